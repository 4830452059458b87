"""Events go to listeners, then to consumers; of a run that ends in order none is missing, and none comes twice."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest
from tests.waiting import until_blocked

from tether._engine.interruption import RunControl
from tether._engine.publisher import Publisher
from tether.events import AgentStart, Event, ToolExecutionEnd, ToolExecutionUpdate, TurnStart
from tether.hooks import Hooks
from tether.limits import Limits
from tether.messages import ToolResultMessage
from tether.stream import CHECKPOINT_EVERY, EventSink, EventStream, create_event_stream

GUARD = 60


def made(room: int) -> tuple[Publisher, EventStream[Event, None], Hooks, RunControl]:
    sink: EventSink[Event]
    stream: EventStream[Event, None]
    sink, stream = create_event_stream(room)
    hooks, control = Hooks(), RunControl(Limits)
    return Publisher(sink, hooks, control), stream, hooks, control


async def took(stream: EventStream[Event, None], number: int) -> Sequence[Event]:
    with anyio.fail_after(GUARD):
        return [await anext(stream) for _ in range(number)]


async def test_what_an_interruption_kept_from_being_sent_goes_before_the_next_event() -> None:
    publisher, stream, _, control = made(1)
    await publisher.publish(TurnStart(1))

    async def request() -> None:
        with control.interruptible():
            await publisher.publish(TurnStart(2))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request)
        await anyio.wait_all_tasks_blocked()
        control.interrupt()
    assert not publisher.offer(TurnStart(3)), "it would come before the second"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publisher.publish, TurnStart(3))
        assert await took(stream, 3) == [TurnStart(1), TurnStart(2), TurnStart(3)]


async def test_tasks_that_publish_at_once_publish_each_event_once() -> None:
    publisher, stream, _, _ = made(1)
    async with anyio.create_task_group() as tasks:
        for number in range(9):
            tasks.start_soon(publisher.publish, TurnStart(number))
        taken = await took(stream, 9)
    assert sorted(event.turn for event in taken if isinstance(event, TurnStart)) == [*range(9)]


async def test_listeners_hear_of_an_event_in_order_and_before_consumers() -> None:
    publisher, stream, hooks, _ = made(8)
    heard: list[tuple[str, int]] = []

    async def second(_: Event) -> None:
        heard.append(("second", stream.statistics().current_buffer_used))

    hooks.add(
        "on_event", lambda _: heard.append(("first", stream.statistics().current_buffer_used))
    )
    hooks.add("on_event", second)
    assert not publisher.offer(AgentStart()), "listeners may have to be waited for"
    await publisher.publish(AgentStart())
    assert heard == [("first", 0), ("second", 0)]
    assert await took(stream, 1) == [AgentStart()]


async def test_an_event_that_a_listener_refuses_reaches_no_consumer() -> None:
    publisher, stream, hooks, _ = made(8)

    def refuse(_: Event) -> None:
        raise ValueError("no")

    hooks.add("on_event", refuse)
    with pytest.raises(ValueError, match="no"):
        await publisher.publish(AgentStart())
    assert stream.statistics().current_buffer_used == 0


async def test_of_a_run_that_is_closed_consumers_get_what_they_have_room_for_without_a_gap() -> (
    None
):
    publisher, stream, _, _ = made(1)
    publisher.publish_nowait(TurnStart(1))
    publisher.publish_nowait(TurnStart(2))
    assert await took(stream, 1) == [TurnStart(1)]
    publisher.publish_nowait(TurnStart(3))
    assert await took(stream, 1) == [TurnStart(2)]
    stream.close()
    publisher.publish_nowait(TurnStart(4))


@pytest.mark.parametrize("where", ["consumer", "listener"])
async def test_an_event_that_a_cancellation_kept_back_comes_once_when_the_run_is_closed(
    where: str,
) -> None:
    publisher, stream, hooks, _ = made(1)
    if where == "listener":
        hooks.add("on_event", lambda _: anyio.sleep_forever())
    else:
        await publisher.publish(TurnStart(0))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publisher.publish, TurnStart(1))
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    if where == "consumer":
        assert await took(stream, 1) == [TurnStart(0)]
    publisher.publish_nowait(TurnStart(1))
    assert await took(stream, 1) == [TurnStart(1)]
    publisher.publish_nowait(TurnStart(2))
    assert await took(stream, 1) == [TurnStart(2)]


async def test_what_a_call_reported_stays_before_its_end_whoever_else_is_cancelled() -> None:
    """Two calls report to a consumer that is slow; one is cut off, then the other, which sends for both."""
    publisher, stream, *_ = made(0)
    first, second = ToolExecutionUpdate("a", "a"), ToolExecutionUpdate("b", "b")
    end = ToolExecutionEnd("a", "a", ToolResultMessage("a", "a", ""), 0.0)
    scopes = [anyio.CancelScope() for _ in range(3)]

    async def publish(scope: anyio.CancelScope, event: Event) -> None:
        with scope:
            await publisher.publish(event)

    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish, scopes[0], second)
            await until_blocked()
            tasks.start_soon(publish, scopes[1], first)
            await until_blocked()
            scopes[1].cancel()
            await until_blocked()
            got = [*await took(stream, 1)]
            await until_blocked()
            tasks.start_soon(publish, scopes[2], end)
            await until_blocked()
            scopes[0].cancel()
            await until_blocked()
            got += await took(stream, 2)
    assert got == [second, first, end]


async def test_an_event_whose_checkpoint_was_cancelled_goes_before_the_next_one() -> None:
    publisher, stream, _, _ = made(2 * CHECKPOINT_EVERY)
    before = [TurnStart(number) for number in range(CHECKPOINT_EVERY - 1)]
    assert all(publisher.offer(event) for event in before)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await publisher.publish(TurnStart(98))
    assert scope.cancelled_caught
    await publisher.publish(TurnStart(99))
    assert await took(stream, len(before) + 2) == [*before, TurnStart(98), TurnStart(99)]


async def test_who_publishes_beside_one_that_is_at_a_checkpoint_does_not_wait() -> None:
    publisher, stream, _, _ = made(2 * CHECKPOINT_EVERY)
    while publisher.offer(AgentStart()):
        pass
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publisher.publish, TurnStart(1))
        while not (others := publisher.offer(TurnStart(2))):
            await anyio.lowlevel.checkpoint()
    assert others
    taken = await took(stream, CHECKPOINT_EVERY + 1)
    assert {*taken} == {AgentStart(), TurnStart(1), TurnStart(2)}
