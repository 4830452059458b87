"""Programs with an agent in one event loop, to be cancelled at every one of their steps."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus
from attrs import define, field

from tether import (
    Agent,
    Event,
    EventStream,
    Invocation,
    MessageUpdate,
    ModelError,
    TextDelta,
    ToolContext,
    ToolExecutionStart,
    tool,
)
from tether.testing import Pause, ScriptedModel, call


@define
class State:
    """What one run of a program works with, and leaves."""

    agent: Agent = field(factory=lambda: Agent(ScriptedModel()))
    events: list[Event] = field(factory=list)
    complete: bool = True
    """Whether a consumer read to the end where nobody cancelled."""
    cleaned: list[str] = field(factory=list)
    begun: list[str] = field(factory=list)


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    await anyio.lowlevel.checkpoint()
    return a + b


@tool
async def report(context: ToolContext[Any]) -> str:
    """Report more than the channel holds."""
    for number in range(6):
        await context.update(f"{number}")
    return "reported"


CALLS = [call("add", a=1, b=2), call("add", a=3, b=4), call("add", a=5, b=6)]


async def follow(state: State, prompt: str = "go", **options: Any) -> None:
    async with state.agent.run(prompt, **options) as run:
        async for event in run:
            state.events.append(event)


def agent(state: State, *replies: Any, **options: Any) -> Agent:
    state.agent = Agent(ScriptedModel(*replies), **options)
    return state.agent


async def plain_reply(state: State) -> None:
    agent(state, "Hello there, you.")
    await follow(state)


async def just_the_result(state: State) -> None:
    state.complete = False
    await agent(state, "Hello there, you.").prompt("go")


async def parallel_tools(state: State) -> None:
    agent(state, ["on it", *CALLS], "done", tools=[add])
    await follow(state)


async def sequential_tools(state: State) -> None:
    agent(state, CALLS, "done", tools=[add], sequential=True)
    await follow(state)


async def a_full_channel(state: State) -> None:
    agent(state, [call("report"), call("report")], "done", tools=[report])
    await follow(state, max_buffer_size=0)


async def shielded_cleanup(state: State) -> None:
    @tool
    async def careful() -> str:
        """Clean up, whatever happens."""
        state.begun.append("careful")
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            with anyio.move_on_after(1, shield=True):
                await anyio.lowlevel.checkpoint()
                state.cleaned.append("careful")
        return "clean"

    agent(state, call("careful"), "done", tools=[careful])
    await follow(state)


def outliving(state: State, *replies: Any) -> Agent:
    """An agent with a tool that starts a task, which goes on after the call."""

    async def keep(*, task_status: TaskStatus[None]) -> None:
        state.begun.append("kept")
        try:
            await anyio.lowlevel.checkpoint()
            task_status.started()
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(1, shield=True):
                await anyio.lowlevel.checkpoint()
            state.cleaned.append("kept")

    @tool
    async def start(context: ToolContext[Any]) -> str:
        """Start a task."""
        await context.start(keep)
        return "started"

    return agent(state, *replies, tools=[start])


async def a_task_that_ends_with_its_run(state: State) -> None:
    outliving(state, [call("start"), call("start")], "done")
    await follow(state)


async def a_task_that_ends_with_its_conversation(state: State) -> None:
    outliving(state, call("start"), "done", call("start"), "done")
    state.complete = False
    async with state.agent.opened():
        await follow(state)
        await state.agent.prompt("more")


async def fail_when_cancelled(state: State) -> None:
    """Wait, and fail to clean up."""
    state.begun.append("failing")
    try:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
    except anyio.get_cancelled_exc_class():
        raise ValueError("could not clean up") from None
    finally:
        state.cleaned.append("failing")


async def task_groups_whose_clean_up_fails(state: State) -> None:
    @tool
    async def spread() -> str:
        """Work in child tasks."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail_when_cancelled, state)
            tasks.start_soon(fail_when_cancelled, state)
            await anyio.lowlevel.checkpoint()
        return "spread"

    agent(
        state, [call("spread"), call("add", a=1, b=1), call("spread")], "done", tools=[spread, add]
    )
    await follow(state)


async def task_groups_whose_clean_up_fails_cut_off(state: State) -> None:
    """As above, while the run itself cuts them off."""

    @tool
    async def spread() -> str:
        """Work in child tasks, and have the run cut off."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail_when_cancelled, state)
            await anyio.lowlevel.checkpoint()
            state.agent.steer("enough", interrupt=True)
            await anyio.sleep_forever()
        raise AssertionError

    agent(state, [call("spread"), call("spread")], "done", tools=[spread])
    await follow(state)


async def steering(state: State) -> None:
    run = agent(state, CALLS, "as you say", tools=[add], sequential=True)
    said: list[object] = []

    @run.hook("on_event")
    def say(event: Event) -> None:
        if isinstance(event, ToolExecutionStart) and len(run.messages) == 5 and not said:
            said.append(run.steer("enough"))

    await follow(state)


async def steering_that_interrupts(state: State) -> None:
    run = agent(state, [TextDelta("Once upon"), Pause()], "Sorry.")

    @run.hook("on_event")
    def say(event: Event) -> None:
        if isinstance(event, MessageUpdate) and len(run.messages) == 1:
            run.steer("stop", interrupt=True)

    await follow(state)


async def follow_ups(state: State) -> None:
    run = agent(state, "one", "two", "three")
    run.follow_up("more")
    run.follow_up("and more")
    await follow(state)


async def a_child_agent(state: State) -> None:
    child = Agent(ScriptedModel(call("add", a=1, b=1), "two"), tools=[add], name="child")
    agent(state, call("ask", request="?"), "done", tools=[child.as_tool("ask", "Ask.")])
    await follow(state)


async def two_branches(state: State) -> None:
    agent(state, "one two three four five six", call("add", a=1, b=1), "done", tools=[add])

    async def read(stream: EventStream[Any, Any]) -> None:
        async for _ in stream:
            await anyio.lowlevel.checkpoint()

    async with state.agent.run("go", max_buffer_size=1) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(read, run.branch(1, when_full="drop_oldest"))
        tasks.start_soon(read, run.branch(2))
        async for event in run:
            state.events.append(event)


async def hooks_that_await(state: State) -> None:
    run = agent(state, call("add", a=1, b=1), "done", tools=[add])

    async def wait(*_: object) -> None:
        await anyio.lowlevel.checkpoint()

    for point in (
        "transform_context",
        "before_model",
        "after_model",
        "before_tool",
        "after_tool",
        "should_stop",
    ):
        run.hooks.add(point, wait)

    @run.around_tool
    async def around(invocation: Invocation, proceed: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return await proceed(invocation)

    await follow(state)


async def listeners_that_await(state: State) -> None:
    run = agent(state, call("add", a=1, b=1), "done", tools=[add])

    async def slow(_: Event) -> None:
        await anyio.lowlevel.checkpoint()

    run.subscribe(slow)
    await follow(state)


async def an_abort(state: State) -> None:
    run = agent(state, [TextDelta("Hel"), TextDelta("lo"), Pause()])

    async def abort() -> None:
        for _ in range(8):
            await anyio.lowlevel.checkpoint()
        run.abort()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(abort)
        await follow(state)


async def a_consumer_that_breaks_out(state: State) -> None:
    state.complete = False
    agent(state, ["on it", *CALLS], "done", tools=[add])
    async with state.agent.run("go") as run:
        async for event in run:
            state.events.append(event)
            if isinstance(event, ToolExecutionStart):
                break


async def a_consumer_that_raises(state: State) -> None:
    state.complete = False
    agent(state, ["on it", *CALLS], "done", tools=[add])
    try:
        async with state.agent.run("go") as run:
            async for event in run:
                state.events.append(event)
                if isinstance(event, ToolExecutionStart):
                    raise LookupError
    except LookupError:
        pass


async def a_model_error(state: State) -> None:
    agent(state, [TextDelta("Hel"), ModelError("gone", kind="connection")])
    with suppress(ModelError):
        await follow(state)


async def a_generator_with_aclosing(state: State) -> None:
    state.complete = False
    agent(state, ["on it", *CALLS], "done", tools=[add])

    async def held() -> AsyncIterator[Event]:
        async with state.agent.run("go") as run:
            async for event in run:
                yield event  # noqa: ASYNC119 - what aclosing is for

    async with aclosing(held()) as events:  # type: ignore[type-var]  # it is a generator
        async for event in events:
            state.events.append(event)
            if isinstance(event, ToolExecutionStart):
                break


async def an_iterator(state: State) -> None:
    agent(state, ["on it", *CALLS], "done", tools=[add])
    async with anyio.create_task_group() as tasks:
        async for event in state.agent.stream_events("go", tasks, max_buffer_size=2):
            state.events.append(event)


async def an_iterator_that_is_dropped(state: State) -> None:
    state.complete = False
    agent(state, ["on it", *CALLS], "done", tools=[add])
    async with anyio.create_task_group() as tasks:
        async for event in state.agent.stream_events("go", tasks):
            state.events.append(event)
            if isinstance(event, ToolExecutionStart):
                break


async def an_iterator_that_is_closed(state: State) -> None:
    state.complete = False
    agent(state, ["on it", *CALLS], "done", tools=[add])
    async with anyio.create_task_group() as tasks, state.agent.stream_events("go", tasks) as events:
        state.events.append(await anext(events))


async def an_iterator_read_outside_its_group(state: State) -> None:
    state.complete = False
    agent(state, ["on it", *CALLS], "done", tools=[add])

    async def read(words: AsyncIterator[str]) -> None:
        with suppress(anyio.BrokenResourceError):
            async for _ in words:
                pass

    async with anyio.create_task_group() as readers, anyio.create_task_group() as tasks:
        readers.start_soon(read, state.agent.stream_text("go", tasks))


async def runs_in_line(state: State) -> None:
    state.complete = False
    agent(state, "one", call("add", a=1, b=2), "two", "three", tools=[add])

    async def ask(prompt: str) -> None:
        await state.agent.prompt(prompt, when_busy="wait")

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(ask, f"{number}")


async def a_long_conversation(state: State) -> None:
    turns = [reply for n in range(4) for reply in ([f"turn {n}", *CALLS], "so far so good")]
    agent(state, *turns, tools=[add])
    for n in range(3):
        state.agent.follow_up(f"and {n}")
    await follow(state)


Program = Callable[[State], Awaitable[None]]

CHEAP: list[Program] = [
    plain_reply,
    just_the_result,
    parallel_tools,
    sequential_tools,
    a_full_channel,
    shielded_cleanup,
    a_task_that_ends_with_its_run,
    a_task_that_ends_with_its_conversation,
    task_groups_whose_clean_up_fails,
    task_groups_whose_clean_up_fails_cut_off,
    steering,
    steering_that_interrupts,
    follow_ups,
    a_long_conversation,
    a_child_agent,
    two_branches,
    hooks_that_await,
    listeners_that_await,
    an_abort,
    a_consumer_that_breaks_out,
    a_consumer_that_raises,
    a_model_error,
    a_generator_with_aclosing,
    an_iterator,
    an_iterator_that_is_dropped,
    an_iterator_that_is_closed,
    an_iterator_read_outside_its_group,
    runs_in_line,
]
