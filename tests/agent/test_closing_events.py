"""A run that ends early, for whatever reason, tells its consumers so by the grammar of events."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field
from tests.agent.checked_runs import GUARD, add

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Event,
    Limits,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelError,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnEnd,
    UsageError,
    tool,
)
from tether.hooks import HookPoint
from tether.testing import Pause, ScriptedModel, call, check_events, check_transcript


@define
class Hanging:
    """A tool that hangs beside others, and the agent that has it."""

    begun: anyio.Event = field(factory=anyio.Event)

    def agent(self) -> Agent:
        @tool
        async def hang() -> None:
            """Hang."""
            self.begun.set()
            await anyio.sleep_forever()

        return Agent(ScriptedModel([call("hang"), call("add", a=1, b=2)]), tools=[hang, add])


async def raised_in(agent: Agent, kind: type[Exception], size: float) -> list[Event]:
    """Run an agent that fails."""
    events: list[Event] = []
    with anyio.fail_after(GUARD), pytest.raises(kind):
        async with agent.run("go", max_buffer_size=size) as run:
            async for event in run:
                events.append(event)
    return events


@pytest.mark.parametrize("size", [0, 64])
@pytest.mark.parametrize("point", ["before_tool", "after_tool", "around_tool"])
async def test_a_hook_that_raises_while_tools_run(point: HookPoint, size: int) -> None:
    hanging = Hanging()
    agent = hanging.agent()

    async def fail(invocation: Any, *rest: Any) -> Any:
        if invocation.call.name == "add":
            await hanging.begun.wait()
            raise LookupError("hook")
        return await rest[0](invocation) if point == "around_tool" else None

    agent.hooks.add(point, fail)

    events = await raised_in(agent, LookupError, size)
    check_events(events)
    check_transcript(agent.messages)
    last = events[-1]
    assert isinstance(last, AgentEnd)
    assert last.error is not None
    assert (last.stop_reason, last.error.message) == ("error", "LookupError: hook")


@pytest.mark.parametrize("size", [0, 64])
@pytest.mark.parametrize(
    "kind",
    [MessageStart, MessageUpdate, MessageEnd, ToolExecutionStart, ToolExecutionEnd, TurnEnd],
)
async def test_a_listener_that_raises(kind: type[Event], size: int) -> None:
    agent = Hanging().agent()

    @agent.hook("on_event")
    async def fail(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        if isinstance(event, kind):
            raise LookupError("listener")

    if kind is TurnEnd:
        agent.model = ScriptedModel("Hello.")
    events = await raised_in(agent, LookupError, size)
    check_events(events)
    check_transcript(agent.messages)


async def test_a_model_error_that_a_hook_passes_on_is_shown_as_it_is() -> None:
    agent = Agent(ScriptedModel(call("add", a=1, b=2)), tools=[add])

    @agent.hook("before_tool")
    def fail(_: Any) -> None:
        raise ModelError("no judge", kind="overloaded")

    events = await raised_in(agent, ModelError, 64)
    assert isinstance(events[-1], AgentEnd)
    assert events[-1].error is not None
    assert events[-1].error.kind == "overloaded"


async def test_a_scope_that_is_cancelled_while_tools_run() -> None:
    """What a branch outside of the scope was sent is whole, as it had room."""
    hanging = Hanging()
    agent = hanging.agent()
    events: list[Event] = []
    with anyio.CancelScope() as scope:
        async with agent.run("go") as run:
            branch = run.branch(100)
            await hanging.begun.wait()
            scope.cancel()
            await run.result()
    with anyio.fail_after(GUARD), pytest.raises(anyio.ClosedResourceError):
        async for event in branch:
            events.append(event)
    check_events(events)
    assert events[-1] == AgentEnd("aborted")
    ended = [event.result.outcome for event in events if isinstance(event, ToolExecutionEnd)]
    assert sorted(ended) == ["interrupted", "ok"]


@pytest.mark.parametrize("wrong", [None, "much", math.nan, -1])
async def test_a_price_that_raises_closes_the_run(wrong: Any) -> None:
    def price(_: AssistantMessage) -> float:
        if wrong is None:
            raise LookupError("price")
        return wrong  # type: ignore[no-any-return]

    agent = Agent(ScriptedModel(call("add", a=1, b=2)), tools=[add], price=price)
    events = await raised_in(agent, LookupError if wrong is None else UsageError, 0)
    check_events(events)
    assert isinstance(events[-1], AgentEnd)
    assert events[-1].error is not None
    assert "price" in events[-1].error.message


class TestWhatIsLeftUndone:
    async def test_at_a_limit_with_a_follow_up_waiting_it_is_the_limit(self) -> None:
        agent = Agent(ScriptedModel("one"), limits=Limits(turns=1))
        agent.follow_up("and then?")
        result = await agent.prompt("go")
        assert (result.stop_reason, result.limit) == ("limit", "turns")
        assert [message.text for message in result.undelivered] == ["and then?"]

    async def test_at_a_limit_with_steering_waiting_it_is_the_limit(self) -> None:
        agent = Agent(ScriptedModel("one"), limits=Limits(turns=1))

        @agent.hook("on_event")
        def speak(event: Event) -> None:
            if isinstance(event, TurnEnd):
                agent.steer("wait")

        result = await agent.prompt("go")
        assert (result.stop_reason, result.limit) == ("limit", "turns")
        assert [message.text for message in result.undelivered] == ["wait"]

    async def test_with_nothing_waiting_it_is_none(self) -> None:
        result = await Agent(ScriptedModel("one"), limits=Limits(turns=1)).prompt("go")
        assert (result.stop_reason, result.limit) == ("stop", None)


async def test_an_abort_raises_nothing_also_where_the_model_fails_to_close() -> None:
    reached = anyio.Event()
    agent = Agent(ScriptedModel(["Hel", Pause(reached=reached)]))

    @agent.hook("around_model")
    @asynccontextmanager
    async def fail_to_close(request: Any, proceed: Any) -> AsyncIterator[Any]:
        async with proceed(request) as deltas:
            try:
                yield deltas
            except anyio.get_cancelled_exc_class():
                raise ModelError("gone", kind="connection") from None

    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            await reached.wait()
            run.abort()
            result = await run.result()
    assert result.stop_reason == "aborted"
