"""A tool that swallows its cancellation is waited for, and named."""

import logging
from typing import Any

import anyio
import pytest

from tether import Agent, Event, Limits, ToolExecutionEnd, ToolExecutionUpdate, tool
from tether.testing import (
    Backend,
    ScriptedModel,
    call,
    cancel_at_every_step,
    check_events,
    virtual_clock,
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_clock(request.param)


@tool
async def stubborn(seconds: float = 2.0) -> str:
    """Go on for a while after a cancellation."""
    until = None
    while until is None or anyio.current_time() < until:
        try:
            await anyio.sleep_forever()
        except BaseException:  # noqa: BLE001, ASYNC103 - badly written, on purpose
            until = until or anyio.current_time() + seconds
            with anyio.move_on_after(10, shield=True):
                await anyio.sleep(seconds / 4)
    return "at last"


@tool
async def tidy() -> None:
    """Take a moment to clean up, and pass the cancellation on."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.move_on_after(10, shield=True):
            await anyio.sleep(0.5)


@tool
async def patient() -> str:
    """Have a deadline of its own."""
    with anyio.move_on_after(1):
        await anyio.sleep_forever()
    await anyio.sleep(3)
    return "in time"


HOW = ["abort", "interrupt", "cancel_tool", "timeout", "limit", "scope"]


async def stopped(agent: Agent, how: str, size: float = 64) -> list[Event]:
    """Stop a run one second after its tool has begun, and follow it to its end."""
    if how == "timeout":
        agent.tool_timeout = 1
    if how == "limit":
        agent.limits = Limits(seconds=1)
    events: list[Event] = []
    with anyio.CancelScope() as scope:
        async with agent.run("go", max_buffer_size=size) as run, anyio.create_task_group() as tasks:

            async def stop() -> None:
                await anyio.sleep(1)
                match how:
                    case "abort":
                        run.abort()
                    case "interrupt":
                        run.interrupt()
                    case "cancel_tool":
                        run.cancel_tool("t")
                    case "scope":
                        scope.cancel()
                    case _:
                        pass

            tasks.start_soon(stop)
            async for event in run:
                events.append(event)
    check_events(events, complete=how != "scope")
    return events


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == level]


@pytest.mark.parametrize("how", HOW)
async def test_it_is_named_in_the_log_and_in_an_event(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(ScriptedModel(call("stubborn", id="t"), "So."), tools=[stubborn])
    events = await stopped(agent, how)
    assert anyio.current_time() == pytest.approx(3)
    told = "stubborn was cancelled 1 s ago and has not stopped; the run waits for it"
    assert logged(caplog, logging.WARNING) == [f"the tool {told}"]
    assert logged(caplog, logging.ERROR) == [
        "the tool stubborn swallowed its cancellation and returned"
    ]
    kinds = [e for e in events if isinstance(e, ToolExecutionUpdate | ToolExecutionEnd)]
    if how != "scope":
        assert isinstance(kinds[0], ToolExecutionUpdate)
        assert kinds[0].details == {"holds_up": "stubborn"}
        assert [type(one) for one in kinds[1:]] == [ToolExecutionEnd]


@pytest.mark.parametrize("how", HOW)
async def test_one_that_cleans_up_in_time_is_not_named(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    events = await stopped(Agent(ScriptedModel(call("tidy", id="t"), "So."), tools=[tidy]), how)
    assert anyio.current_time() == pytest.approx(1.5)
    assert logged(caplog, logging.WARNING) == logged(caplog, logging.ERROR) == []
    assert not any(isinstance(event, ToolExecutionUpdate) for event in events)


async def test_deadlines_of_a_tools_own_are_no_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent(ScriptedModel(call("patient"), "So."), tools=[patient])
    await agent.prompt("go")
    assert caplog.records == []


async def test_a_consumer_that_does_not_read_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent(ScriptedModel(call("stubborn", id="t")), tools=[stubborn])
    with anyio.move_on_after(1):
        async with agent.run("go", max_buffer_size=0) as run:
            async for event in run:
                if isinstance(event, ToolExecutionUpdate):
                    break
    assert anyio.current_time() == pytest.approx(3)
    assert len(logged(caplog, logging.WARNING)) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancel_at_every_step_reports_it(backend: Backend) -> None:
    @tool
    async def swallow() -> str:
        """Swallow a cancellation."""
        try:
            await anyio.sleep(1)
        except BaseException:  # noqa: BLE001, ASYNC103 - badly written, on purpose
            return "swallowed"  # noqa: ASYNC104 - likewise
        return "slept"

    def make() -> Agent:
        return Agent(ScriptedModel(call("swallow"), "So."), tools=[swallow])

    async def program(agent: Agent) -> None:
        await agent.prompt("go")

    with pytest.raises(AssertionError, match="the tool swallow swallowed its cancellation"):
        cancel_at_every_step(program, setup=make, backend=backend, virtual_time=True)
