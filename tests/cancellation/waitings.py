"""Each way of waiting for an agent, and the `await` of nothing at all that it is compared with.

Each way of cancelling is tried round both. What comes out must be the same; and then the agent is idle, its transcript
is valid, its next request is answered, and its tools have cleaned up.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
from attrs import define, field

from tether import Agent, MessageUpdate, ModelRequest, UserMessage, tool
from tether.testing import Pause, ScriptedModel, call, check_transcript

GUARD = 60


@define
class Waiting:
    """Something that is waited for in vain."""

    wait: Callable[[], Coroutine[Any, Any, object]]
    reached: anyio.Event
    """Set once it is being waited for."""
    agent: Agent | None = None
    cleaned: list[str] = field(factory=list)
    """What its tools noted when they had cleaned up."""

    async def check(self) -> None:
        """See that the agent can go on."""
        if self.agent is None:
            return
        assert not self.agent.state.running
        check_transcript(self.agent.messages)
        assert self.cleaned in ([], ["cleaned"])
        assert (await self.agent.prompt("Go on.")).text == "Gone on."
        check_transcript(self.agent.messages)


def nothing() -> Waiting:
    reached = anyio.Event()

    async def wait() -> None:
        reached.set()
        await anyio.sleep_forever()

    return Waiting(wait, reached)


def task_groups_in_tasks() -> Waiting:
    """What a child is made of. Where one is cancelled natively, anyio forgets one of the task's requests."""
    reached = anyio.Event()

    async def inner() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            reached.set()
            await anyio.sleep_forever()

    async def wait() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inner)
            await anyio.sleep_forever()

    return Waiting(wait, reached)


def _prompt(first: Any, reached: anyio.Event, *tools: Any) -> Waiting:
    agent = Agent(ScriptedModel(first, "Gone on."), tools=tools)
    return Waiting(lambda: agent.prompt("go"), reached, agent)


def a_reply() -> Waiting:
    reached = anyio.Event()
    return _prompt(["Hel", Pause(reached=reached)], reached)


def a_tool() -> Waiting:
    reached = anyio.Event()

    @tool
    async def hang() -> None:
        """Hang."""
        reached.set()
        await anyio.sleep_forever()

    return _prompt([call("hang"), call("hang")], reached, hang)


def a_tool_that_cleans_up() -> Waiting:
    reached = anyio.Event()

    @tool
    async def hang() -> None:
        """Hang, and take a while to stop."""
        try:
            reached.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                waiting.cleaned.append("cleaned")

    waiting = _prompt(call("hang"), reached, hang)
    return waiting


def a_child() -> Waiting:
    reached = anyio.Event()
    child = Agent(ScriptedModel(["Hel", Pause(reached=reached)]), name="child")
    return _prompt(call("ask", request="?"), reached, child.as_tool("ask", "Ask."))


def an_event() -> Waiting:
    reached = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(reached=reached)], "Gone on."))

    async def wait() -> None:
        async with agent.run("go") as run:
            async for _ in run:
                pass

    return Waiting(wait, reached, agent)


def a_block_of_ones_own() -> Waiting:
    reached = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause()], "Gone on."))

    async def wait() -> None:
        async with agent.run("go", max_buffer_size=0) as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    reached.set()
                    await anyio.sleep_forever()

    return Waiting(wait, reached, agent)


def a_chat() -> Waiting:
    waiting = a_reply()
    assert waiting.agent is not None
    chat = waiting.agent.chat()
    waiting.wait = lambda: chat.asend("go")
    return waiting


def a_model_alone() -> Waiting:
    reached = anyio.Event()
    model = ScriptedModel(["Hel", Pause(reached=reached)])

    async def wait() -> None:
        async with model.stream(ModelRequest(messages=[UserMessage("go")])) as deltas:
            async for _ in deltas:
                pass

    return Waiting(wait, reached)


def somebody_who_follows_a_branch() -> Waiting:
    reached = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(reached=reached)], "Gone on."))

    async def wait() -> None:
        async with agent.run("go") as run:
            branch = run.branch(math.inf)
            async for _ in branch:
                pass

    return Waiting(wait, reached, agent)


WAITINGS = [
    a_reply,
    a_tool,
    a_tool_that_cleans_up,
    a_child,
    an_event,
    a_block_of_ones_own,
    a_chat,
    a_model_alone,
    somebody_who_follows_a_branch,
]


def described(error: BaseException) -> object:
    """What a caller can tell of an exception, its group's members included."""
    if isinstance(error, BaseExceptionGroup):
        return (type(error), [described(inner) for inner in error.exceptions])
    if isinstance(error, anyio.get_cancelled_exc_class()):
        # The text of a cancellation by a scope says where it came from, which is the backend's own affair.
        ours = isinstance(error, asyncio.CancelledError) and "cancel scope" not in str(error)
        return (type(error), str(error) if ours else "by a scope")
    return (type(error), str(error))


async def outcome(way: Callable[[Waiting], Awaitable[object]], waiting: Waiting) -> object:
    with anyio.fail_after(GUARD):
        try:
            return await way(waiting)
        except Exception as error:  # noqa: BLE001 - it is described, and compared
            return described(error)
