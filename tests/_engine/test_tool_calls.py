"""What a call tells of itself, and that it stops with the call."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    Event,
    ToolContext,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    TurnStart,
    Usage,
    tool,
)
from tether.testing import ScriptedModel, call, check_events

GUARD = 60


async def followed(agent: Agent, events: list[Event], **options: Any) -> None:
    with anyio.fail_after(GUARD):
        async with agent.run("go", **options) as run:
            async for event in run:
                events.append(event)
                await until_blocked()


def of_calls(events: Sequence[Event]) -> list[str]:
    return [
        "end" if isinstance(event, ToolExecutionEnd) else str(event.details)
        for event in events
        if isinstance(event, ToolExecutionUpdate | ToolExecutionEnd)
    ]


@pytest.mark.parametrize("how", ["returned", "raised", "timed out", "given up"])
async def test_what_a_kept_context_tells_after_its_call_is_dropped(how: str) -> None:
    kept: list[ToolContext[Any]] = []
    release = threading.Event()

    async def work(context: ToolContext[Any]) -> None:
        """Work, and leave the context with somebody."""
        kept.append(context)
        await context.update(details="in time")
        if how == "raised":
            raise LookupError
        if how == "timed out":
            await anyio.sleep_forever()

    def work_in_a_thread(context: ToolContext[Any]) -> None:
        """Work, and leave the context with somebody."""
        anyio.from_thread.run(work, context)
        release.wait(GUARD)

    @tool
    async def tell() -> None:
        """Tell of another call, which has ended."""
        await kept[0].update(details="late")
        await kept[0].forward(TurnStart(1), ("child",))
        kept[0].spend(Usage(output_tokens=1000))

    timeout = 0.3 if how in {"timed out", "given up"} else None
    function = work_in_a_thread if how == "given up" else work
    agent = Agent(
        ScriptedModel(call("work"), call("tell"), "Done."),
        tools=[tool(name="work", timeout=timeout)(function), tell],
    )
    events: list[Event] = []
    await followed(agent, events)
    release.set()
    await kept[0].update(details="after the run")
    assert of_calls(events) == ["in time", "end", "end"]
    check_events(events)
    assert not any(isinstance(event, ToolExecutionUpdate) and event.event for event in events)


@pytest.mark.parametrize("size", [0, 1, 64])
@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("ends_by", ["returning", "cancel_tool", "interrupt"])
async def test_nothing_that_another_task_tells_comes_behind_the_end(
    ends_by: str, listens: bool, size: int
) -> None:
    kept: list[ToolContext[Any]] = []
    over = anyio.Event()

    @tool
    async def work(context: ToolContext[Any]) -> None:
        """Work while somebody else tells of it."""
        kept.append(context)
        if ends_by == "returning":
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
        else:
            await anyio.sleep_forever()

    agent = Agent(ScriptedModel(call("work", id="work"), "Done.", "Done."), tools=[work])

    @agent.hook("on_event")
    async def listen(event: Event) -> None:
        if listens and isinstance(event, ToolExecutionUpdate):
            for _ in range(7):
                await anyio.lowlevel.checkpoint()

    async def tell() -> None:
        while not kept:
            await anyio.lowlevel.checkpoint()
        number = 0
        while not over.is_set():
            await kept[0].update(details=number)
            number += 1

    events: list[Event] = []
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            async with agent.run("go", max_buffer_size=size) as run:
                async for event in run:
                    events.append(event)
                    if len(events) < 100 and len(of_calls(events)) == 5:
                        run.interrupt() if ends_by == "interrupt" else None
                        if ends_by == "cancel_tool" and run.running_tools:
                            run.cancel_tool("work")
            over.set()
    told = of_calls(events)
    assert told[-1] == "end"
    assert told[:-1] == [str(number) for number in range(len(told) - 1)]
    check_events(events)


async def test_what_is_told_of_a_run_that_was_left_is_dropped() -> None:
    kept: list[ToolContext[Any]] = []

    @tool
    async def work(context: ToolContext[Any]) -> None:
        """Work for ever."""
        kept.append(context)
        await anyio.sleep_forever()

    agent = Agent(ScriptedModel(call("work")), tools=[work])
    failed: list[BaseException] = []

    async def tell() -> None:
        try:
            for number in range(100):
                await kept[0].update(details=number)
        except Exception as error:  # noqa: BLE001 - it is looked at
            failed.append(error)

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks, agent.run("go", max_buffer_size=20):
            while not kept:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(tell)
            await until_blocked()
    assert failed == []


@pytest.mark.parametrize("how", ["interrupt", "steer", "abort"])
async def test_the_end_of_a_call_is_published_where_the_run_is_interrupted_while_others_report(
    how: str,
) -> None:
    kept: list[ToolContext[Any]] = []
    telling = anyio.Event()

    @tool
    async def work(context: ToolContext[Any]) -> None:
        """Work, and leave the context with somebody."""
        kept.append(context)
        await telling.wait()

    async def tell() -> None:
        while not kept:
            await anyio.lowlevel.checkpoint()
        telling.set()
        for number in range(5):
            await kept[0].update(details=number)

    agent = Agent(ScriptedModel(call("work"), "Done.", "Done."), tools=[work])
    events: list[Event] = []
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            async with agent.run("go", max_buffer_size=1) as run:
                async for event in run:
                    events.append(event)
                    if isinstance(event, ToolExecutionStart):
                        # The call has returned, and waits for what was told of it: we have not read that.
                        await until_blocked()
                        run.steer("Wait.", interrupt=True) if how == "steer" else getattr(
                            run, how
                        )()
                        await until_blocked()
    check_events(events)


async def test_a_group_of_cancellations_that_nobody_asked_for_is_an_error(
    anyio_backend_name: str,
) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("only in asyncio a cancellation can be had that is nobody's")

    @tool
    async def gather() -> None:
        """Gather what others do, and raise what they raised."""
        cancelled = asyncio.ensure_future(asyncio.sleep(GUARD))
        cancelled.cancel()
        raised = await asyncio.gather(cancelled, return_exceptions=True)
        raise BaseExceptionGroup(
            "gathered", [error for error in raised if isinstance(error, BaseException)]
        )

    agent = Agent(ScriptedModel(call("gather"), "Done."), tools=[gather])
    with anyio.fail_after(GUARD):
        result = await agent.prompt("go")
    (answer,) = (message for message in result.messages if isinstance(message, ToolResultMessage))
    assert (answer.outcome, answer.text) == ("error", "gather was cancelled from within")
