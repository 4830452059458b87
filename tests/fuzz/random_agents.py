"""Random agents: their models, tools, hooks and children, all made from one seed.

Whatever they do that a run passes on is `Planted`, so that any other exception is a fault of tether's.
"""

import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from attrs import define, evolve, field

from tether import (
    Agent,
    AssistantMessage,
    Event,
    Limits,
    ModelError,
    ModelRequest,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolContext,
    ToolResult,
    Usage,
    tool,
)
from tether.approvals import approval
from tether.deltas import ReplyEnd, ReplyInfo
from tether.hooks import Deny
from tether.messages import Queued
from tether.testing import Part, Pause, Reply, ScriptedModel, call

MOST_REQUESTS = 6
"""Of one agent; a model that was asked more often answers in words."""


class Planted(Exception):  # noqa: N818 - planted, to see what becomes of it
    """Raised on purpose, by code that is not tether's."""


@define
class World:
    """One random program, and what is seen of it."""

    rng: random.Random
    agent: Agent = field(factory=lambda: Agent(ScriptedModel()))
    said: list[Queued] = field(factory=list)
    """What was accepted for the agent."""
    taken_back: list[Queued] = field(factory=list)
    arrived: dict[int, Usage] = field(factory=dict)
    """What each request was seen to use, that of children included."""
    contexts: list[ToolContext[Any]] = field(factory=list)
    """Of calls that may be over."""
    heard: list[Event] = field(factory=list)
    replies_edited: bool = False
    models: list[ScriptedModel] = field(factory=list)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    async def pause(self, most: int = 3) -> None:
        """Let others go first, now and then for a while."""
        if self.chance(0.05):
            await anyio.sleep(self.rng.random())
        for _ in range(self.rng.randint(0, most)):
            await checkpoint()

    def say(self, how: Callable[..., Queued], **options: Any) -> None:
        self.said.append(how(f"message {len(self.said)}", **options))

    def disturb(self) -> None:
        """Do one of the things that may be done to a run at any time."""
        agent, rng = self.agent, self.rng
        match rng.randrange(9):
            case 0 | 1 | 2:
                self.say(agent.steer)
            case 3:
                self.say(agent.steer, interrupt=True)
            case 4 | 5:
                self.say(agent.follow_up)
            case 6:
                self.taken_back += agent.clear_queues()
            case _:
                agent.abort()


def make_world(seed: int) -> World:
    """Make the program of a seed."""
    world = World(random.Random(seed))
    world.agent = _agent(world, depth=0)
    return world


def _agent(world: World, depth: int) -> Agent:
    rng = world.rng
    made = [_with_options(world, one) for one in rng.sample(TOOLS, rng.randint(0, 5))]
    if depth < 2 and world.chance(0.35):
        child = _agent(world, depth + 1)
        limits: Any = rng.choice([None, Limits(turns=2), "shared"])
        made.append(child.as_tool("child", "Ask a child.", limits=limits))
    model = _model(world, [one.name for one in made])
    agent = Agent(
        model,
        tools=made,
        deps=world,
        name=f"agent{depth}",
        limits=_limits(world),
        sequential=world.chance(0.2),
        steering=rng.choice(["one_at_a_time", "all"]),
        follow_up=rng.choice(["one_at_a_time", "all"]),
        tool_timeout=rng.choice([1.0, 5.0, 600.0]),
    )
    _add_hooks(world, agent, depth)
    return agent


def _limits(world: World) -> Limits:
    if world.chance(0.7):
        return Limits()
    name, most = world.rng.choice(
        [
            ("turns", 2),
            ("tool_calls", 2),
            ("output_tokens", 12),
            ("input_tokens", 30),
            ("seconds", 2),
        ]
    )
    return Limits(**{name: world.rng.randint(1, most)})


# Models.


def _model(world: World, names: list[str]) -> ScriptedModel:
    def reply(_: ModelRequest) -> Reply:
        return _reply(world, names) if names else "Done."

    model = ScriptedModel(*[reply] * MOST_REQUESTS, *["Done for good."] * 400)
    world.models.append(model)
    return model


def _reply(world: World, names: list[str]) -> Reply:
    rng = world.rng
    if world.chance(0.03):
        written = rng.choice([None, "<function>"])
        kind: Any = rng.choice(["server", "context_overflow"])
        return ModelError("refused", kind=kind, failed_generation=written)
    blocks: list[Any] = []
    if world.chance(0.2):
        blocks.append(Thinking("hm, let me see"))
    if world.chance(0.5):
        blocks.append(Text("I shall do this."))
    blocks += [_call(world, names) for _ in range(rng.choice([0, 1, 1, 2, 3, 4]))]
    usage = Usage(input_tokens=rng.randint(1, 9), output_tokens=rng.randint(1, 9))
    if world.chance(0.05):
        return AssistantMessage(blocks or "cut", stop_reason="length", usage=usage)
    if world.chance(0.03):
        return [*blocks, ReplyEnd(AssistantMessage(blocks, stop_reason="pause", usage=usage))]
    parts: list[Part] = [*blocks]
    parts.insert(0 if world.chance(0.5) else len(parts), ReplyInfo(usage=usage))
    if world.chance(0.2):
        parts.insert(rng.randint(0, len(parts)), Pause(seconds=rng.random()))
    if world.chance(0.04):
        broken = rng.choice([ModelError("gone", kind="connection"), Planted("a bug in a model")])
        parts.insert(rng.randint(0, len(parts)), broken)
    return parts or "Nothing."


def _call(world: World, names: list[str]) -> ToolCall:
    name = world.rng.choice(names)
    match world.rng.randrange(20):
        case 0:
            return call("unknown")
        case 1:
            return ToolCall("", name, malformed='{"n": ')
        case 2:
            return call(name, id="same", n=1)
        case 3:
            return call(name, wrong="x")
        case _:
            return (
                call(name, request="go")
                if name == "child"
                else call(name, n=world.rng.randint(0, 3))
            )


def _arguments(world: World, name: str) -> dict[str, Any]:
    if name == "child":
        return {"request": "go"}
    return {} if name in {"slow", "hang", "finish"} else {"n": world.rng.randint(0, SEVERAL)}


# Tools. They find the world in their context, so that they are made once and not for each program.


@tool
async def quick(n: int = 0) -> str:
    """Answer at once."""
    return f"{n}"


@tool
async def slow(context: ToolContext[World]) -> str:
    """Take a while."""
    await context.deps.pause(10)
    return "slow"


@tool
def plain(n: int = 0) -> str:
    """Work in a thread."""
    return f"{n} in {threading.get_ident()}"


@tool
async def fail(context: ToolContext[World], n: int = 0) -> str:
    """Fail."""
    await context.deps.pause()
    if n == SEVERAL:
        raise ExceptionGroup("several", [ValueError("a"), Planted("b")])
    raise ValueError(n)


@tool
async def spread(context: ToolContext[World], n: int = 0) -> str:
    """Work in tasks, one of which may fail."""

    async def work(place: int) -> None:
        await context.deps.pause(4)
        if place == SEVERAL:
            raise ValueError(place)

    async with anyio.create_task_group() as tasks:
        for place in range(n + 1):
            tasks.start_soon(work, place)
    return "spread"


@tool
async def report(context: ToolContext[World], n: int = 0) -> str:
    """Report, from several tasks, and go on reporting after the end."""
    context.deps.contexts.append(context)
    async with anyio.create_task_group() as tasks:
        for place in range(n + 1):
            tasks.start_soon(context.update, f"part {place}")
        await context.deps.pause()
    return "reported"


@tool(timeout=2)
async def hang(context: ToolContext[World]) -> str:
    """Hang until it is stopped, and clean up."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.move_on_after(1, shield=True):
            await context.deps.pause(5)
    return "never"


@tool(timeout=1)
async def swallow(n: int = 0) -> str:
    """Swallow a cancellation, for a while, and fail or answer."""
    try:
        await anyio.sleep(30)
    except BaseException:  # noqa: BLE001, ASYNC103 - badly written, on purpose
        with anyio.move_on_after(5, shield=True):
            await anyio.sleep(2 * n)
        if n:
            raise ValueError("swallowed") from None  # noqa: ASYNC104 - likewise
    return "swallowed"


@tool
async def meddle(context: ToolContext[World], n: int = 0) -> str:
    """Speak to the agent that it serves, or abort it."""
    await context.deps.pause()
    context.deps.disturb()
    await context.deps.pause(n)
    return "meddled"


@tool
async def finish(context: ToolContext[World]) -> ToolResult:
    """End the run."""
    await context.deps.pause()
    return ToolResult("over", terminate=True)


@tool
async def unkeepable(n: int = 0) -> ToolResult:
    """Give what cannot be kept."""
    return ToolResult(f"{n}", details=object())


SEVERAL = 3
TOOLS = [quick, slow, plain, fail, spread, report, hang, swallow, meddle, finish, unkeepable]


def _with_options(world: World, made: Tool) -> Tool:
    if world.chance(0.1):
        made = evolve(made, timeout=world.rng.choice([0.3, 1.0, 60.0]))
    if world.chance(0.1):
        made = evolve(made, sequential=True)
    return evolve(made, max_concurrency=1) if world.chance(0.1) else made


# Hooks.


def _add_hooks(world: World, agent: Agent, depth: int) -> None:
    hooks = agent.hooks
    hooks.add("around_model", _watch(world), name="watch", depth=1000)
    if depth == 0:
        hooks.add("on_event", world.heard.append, name="heard", depth=-1000)

    async def wait_or_raise(*_: object) -> None:
        await world.pause()
        if world.chance(0.015):
            raise Planted("a hook")

    async def listen(_: Event) -> None:
        if world.chance(0.2):
            await world.pause(1)
        if world.chance(0.002):
            raise Planted("a listener")
        if world.chance(0.01):
            world.disturb()

    async def judge(_: object) -> Deny | None:
        await wait_or_raise()
        return Deny("no") if world.chance(0.2) else None

    async def approve(_: object) -> Any:
        await wait_or_raise()
        return world.rng.choice(["once", "always", True, False, Deny("no")])

    if world.chance(0.2):
        hooks.add("around_tool", approval(approve), name="approve", depth=1000)

    async def around(invocation: Any, proceed: Any) -> Any:
        await wait_or_raise()
        result = await proceed(invocation)
        await wait_or_raise()
        return result

    async def edit(reply: AssistantMessage) -> AssistantMessage:
        await wait_or_raise()
        world.replies_edited = True
        return evolve(reply, content=[*reply.content, Text("(edited)")])

    async def stop(_: object) -> bool:
        await wait_or_raise()
        return world.chance(0.1)

    for point, hook, probability in (
        ("on_event", listen, 0.4),
        ("before_tool", judge, 0.3),
        ("around_tool", around, 0.2),
        ("after_tool", wait_or_raise, 0.2),
        ("before_model", wait_or_raise, 0.2),
        ("transform_context", wait_or_raise, 0.2),
        ("after_model", edit, 0.1),
        ("should_stop", stop, 0.2),
    ):
        if world.chance(probability):
            hooks.add(point, hook)  # type: ignore[arg-type]


def _watch(world: World) -> Any:
    """Make a hook that notes what each reply was seen to use."""

    @asynccontextmanager
    async def watch(request: ModelRequest, proceed: Any) -> AsyncIterator[Any]:
        number = len(world.arrived)
        world.arrived[number] = Usage()
        async with proceed(request) as deltas:
            yield _Watched(world, number, deltas)

    return watch


class _Watched:
    def __init__(self, world: World, number: int, deltas: Any) -> None:
        self._world = world
        self._number = number
        self._deltas = deltas

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> Any:
        await self._world.pause(1)
        delta = await self._deltas.__anext__()
        match delta:
            case ReplyInfo(usage=Usage() as usage) | ReplyEnd(AssistantMessage(usage=usage)):
                self._world.arrived[self._number] = usage
            case _:
                pass
        return delta
