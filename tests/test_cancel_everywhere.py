"""Cancel each of these programs at every one of its steps, on both backends, and see what is left.

After each cancellation: no task, socket, process, thread or async generator is left (the kit sees to that); the
transcript is valid and the events so far are the beginning of a run; what arrived is kept; the agent is idle, and
its next request is accepted by a model that is as strict as a provider.
"""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from attrs import define, field
from tests.models.replay import Exchange, events, serving

from tether import (
    Agent,
    AgentEnd,
    AgentStart,
    AssistantMessage,
    Event,
    EventStream,
    Invocation,
    MessageEnd,
    MessageUpdate,
    ModelError,
    RunResult,
    TextDelta,
    ToolContext,
    ToolExecutionStart,
    blocking,
    model_from_name,
    tool,
)
from tether.model import RetryPolicy
from tether.testing import (
    CancelReport,
    Pause,
    ScriptedModel,
    call,
    cancel_at_every_step,
    check_events,
    check_transcript,
)
from tether.toolbox.coding import changing_tools


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
def multiply(a: int, b: int) -> int:
    """Multiply, in a thread."""
    return a * b


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


async def a_thread(state: State) -> None:
    agent(state, [call("multiply", a=2, b=3)], "six", tools=[multiply])
    await follow(state)


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


async def a_run_started_from_a_thread(state: State) -> None:
    inner = Agent(ScriptedModel([call("add", a=1, b=1), call("multiply", a=2, b=2)], "two"))
    inner.tools = [add, multiply]

    @tool
    def ask() -> str:
        """Ask another agent, from a thread."""
        return anyio.from_thread.run(run_inner).text

    async def run_inner() -> RunResult:
        state.begun.append("inner")
        try:
            return await inner.prompt("?")
        finally:
            # A thread that was given up is not waited for; what it runs in the event loop is.
            state.cleaned.append("inner")

    agent(state, call("ask"), "done", tools=[ask])
    try:
        await follow(state)
    finally:
        assert not inner.state.running
        check_transcript(inner.messages)


async def a_thread_that_reports(state: State) -> None:
    @tool
    def work(context: ToolContext[Any]) -> str:
        """Report, from a thread, more than the channel holds."""
        for number in range(3):
            anyio.from_thread.run(context.update, f"{number}")
        return "reported"

    agent(state, [call("work"), call("work")], "done", tools=[work])
    await follow(state, max_buffer_size=0)


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


async def a_blocking_run_in_a_thread(state: State) -> None:
    state.complete = False
    agent(state, call("add", a=1, b=2), "done", tools=[add])

    def work() -> None:
        with blocking.run(state.agent, "go") as run:
            state.events.extend(run)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, work)
        for _ in range(20):  # steps beside those of the thread's own event loop
            await anyio.sleep(0.001)


async def a_subprocess(state: State) -> None:
    command = "echo begun; sleep 0.01 & wait; echo done"
    agent(state, call("run_command", command=command), "done", tools=changing_tools(os.curdir))
    await follow(state)


CHUNK = json.dumps({"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}]})
END = json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


async def over_http(state: State) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(events(CHUNK), events(CHUNK), events(END, "[DONE]"))

    async with serving(handler) as server:
        state.agent = Agent(model_from_name("openai-chat:m", base_url=server.url))
        await follow(state)


async def a_retry_that_waits(state: State) -> None:
    answers = iter([503, 503, 200])

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(events(CHUNK, END, "[DONE]"), status=next(answers))

    async with serving(handler) as server:
        policy = RetryPolicy(attempts=3, wait_initial=0.001)
        model = model_from_name("openai-chat:m", base_url=server.url, retry=policy)
        state.agent = Agent(model)
        await follow(state)


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
REAL: list[Program] = [
    a_thread,
    a_thread_that_reports,
    a_run_started_from_a_thread,
    a_blocking_run_in_a_thread,
    a_subprocess,
    over_http,
    a_retry_that_waits,
]
"""Those with threads, processes and sockets, whose steps take longer."""


async def check(state: State) -> None:
    """What must be true wherever the program was cut off."""
    check_transcript(state.agent.messages)
    over = bool(state.events) and isinstance(state.events[-1], AgentEnd)
    if not state.events or isinstance(state.events[0], AgentStart):
        check_events(state.events, complete=over)
    assert state.begun == state.cleaned
    assert not state.agent.state.running
    _check_that_nothing_said_is_lost(state)
    state.agent.clear_queues()
    state.agent.model = ScriptedModel("fine")
    assert (await state.agent.prompt("more")).text == "fine"
    check_transcript(state.agent.messages)


def _check_that_nothing_said_is_lost(state: State) -> None:
    """The deltas a consumer has seen stand in the transcript, and whole messages stand there as they were."""
    kept = state.agent.messages
    arriving = ""
    for event in state.events:
        match event:
            case MessageUpdate(TextDelta(text)):
                arriving += text
            case MessageEnd(message):
                assert message in kept
                arriving = ""
            case _:
                pass
    if arriving:
        replies = [message.text for message in kept if isinstance(message, AssistantMessage)]
        assert any(text.startswith(arriving) for text in replies)


@pytest.fixture(scope="module")
def points(tell: Callable[[str], None]) -> Iterator[list[CancelReport]]:
    """Gather what was tried, and say at the end how much it was."""
    reports: list[CancelReport] = []
    yield reports
    tried = sum(report.points for report in reports)
    tell(
        f"cancel points tried: {tried} in {len(reports)} trials of {len(CHEAP) + len(REAL)} programs"
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("program", CHEAP, ids=lambda program: program.__name__)
def test_cancelled_at_every_step(
    program: Program, backend: Any, points: list[CancelReport]
) -> None:
    report = cancel_at_every_step(program, setup=State, check=check, backend=backend)
    assert report.points >= 5
    points.append(report)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("program", REAL, ids=lambda program: program.__name__)
def test_cancelled_at_every_step_with_real_parts(
    program: Program, backend: Any, points: list[CancelReport]
) -> None:
    report = cancel_at_every_step(program, setup=State, check=check, backend=backend, limit=60)
    assert report.points >= 10
    points.append(report)


CATCH = {a_consumer_that_raises, a_model_error, a_generator_with_aclosing}
NATIVE = [program for program in CHEAP if program not in CATCH]
"""Where a block raises and its task is then cancelled natively while it waits for its tasks, the error stands
for both, as it does with asyncio's own TaskGroup; a program that catches the error has lost the cancellation.
So does `aclosing`, which closes a generator by a GeneratorExit."""


@pytest.mark.parametrize("program", NATIVE, ids=lambda program: program.__name__)
def test_cancelled_natively_at_every_step(program: Program, points: list[CancelReport]) -> None:
    """As `asyncio.timeout` and `asyncio.TaskGroup` do it: `task.cancel()`."""
    report = cancel_at_every_step(program, setup=State, check=check, kind="task")
    points.append(report)


@pytest.mark.parametrize(
    "program", [parallel_tools, steering, a_child_agent], ids=lambda program: program.__name__
)
def test_cancelled_natively_once_more_during_clean_up(
    program: Program, points: list[CancelReport]
) -> None:
    report = cancel_at_every_step(program, setup=State, check=check, kind="twice", limit=100)
    points.append(report)
