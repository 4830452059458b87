"""What a run has to say on its worker: bounded, in order, and not lost where an answer is."""

import anyio
import pytest
from tests.waiting import until_blocked

pytest.importorskip("ray")

from tether import AgentStart, MessageUpdate, TextDelta
from tether.ray.outbox import Bell, Outbox, Sink

DELTA = MessageUpdate(TextDelta("word "))


async def test_what_is_not_confirmed_is_given_again() -> None:
    outbox = Outbox()
    for _ in range(3):
        outbox.put(AgentStart())
    left: list[int] = []
    for confirmed in range(4):
        outbox.confirm(confirmed)
        left.append(len(outbox.unconfirmed()))
    assert left == [3, 2, 1, 0]
    assert (outbox.last, outbox.confirmed_up_to, outbox.has_items) == (3, 3, False)


async def test_deltas_wait_for_others_and_other_events_do_not() -> None:
    outbox, bell = Outbox(), Bell()
    outbox.confirm(0, bell)
    async with anyio.create_task_group() as tasks:
        got: list[int] = []

        async def pull() -> None:
            await bell.wait(3600.0)
            got.append(len(outbox.unconfirmed()))

        tasks.start_soon(pull)
        await until_blocked()
        outbox.put(DELTA)
        outbox.put(DELTA)
        await until_blocked()
        assert got == []
        outbox.put(AgentStart())
    assert got == [3]


async def test_deltas_that_wait_for_others_do_not_begin_anew_with_the_next_pull() -> None:
    outbox, bell = Outbox(), Bell()
    outbox.put(DELTA)
    outbox.confirm(0, bell)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bell.wait, 3600.0)
        await until_blocked()
        tasks.cancel_scope.cancel()
    later = Bell(bell.due)
    outbox.confirm(0, later)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await later.wait(7200.0)
    assert later.due == bell.due
    assert anyio.current_time() < later.due <= anyio.current_time() + 3600


@pytest.mark.parametrize("text", ["word", "word " * 10_000])
async def test_it_is_bounded_in_number_and_in_bytes(text: str) -> None:
    outbox = Outbox()
    sink = Sink(outbox)

    async def send() -> None:
        while True:
            await sink.send(MessageUpdate(TextDelta(text)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await until_blocked()
        sent = outbox.last
        assert sent <= 4096
        assert sent * len(text) <= 256 * 1024
        outbox.confirm(sent)
        await until_blocked()
        assert outbox.last > sent
        tasks.cancel_scope.cancel()


async def test_a_confirmation_is_waited_for() -> None:
    outbox = Outbox()
    outbox.put(AgentStart())
    outbox.put(AgentStart())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outbox.confirmed, 1)
        await until_blocked()
        outbox.confirm(1)
    assert len(outbox.unconfirmed()) == 1


async def test_a_bell_is_rung_for_what_was_there_before_it() -> None:
    outbox, bell = Outbox(), Bell()
    for _ in range(3):
        outbox.put(DELTA)
    outbox.confirm(1, bell)
    with anyio.fail_after(60):
        await bell.wait(0.0)
    assert len(outbox.unconfirmed()) == 2
