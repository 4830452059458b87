"""What a run has to say on its worker: bounded, in order, and not lost where an answer is."""

import anyio
import pytest
from tests.waiting import until_blocked

pytest.importorskip("ray")

from tether import AgentStart, MessageUpdate, TextDelta
from tether.ray.outbox import Outbox, Sink

DELTA = MessageUpdate(TextDelta("word "))


async def test_what_is_not_confirmed_is_given_again() -> None:
    outbox = Outbox(lambda: 0.0)
    for _ in range(3):
        outbox.put(AgentStart())
    assert len(await outbox.pull(0)) == 3
    assert len(await outbox.pull(1)) == 2
    assert (outbox.rest(2), outbox.rest(3), outbox.last) == ([AgentStart()], [], 3)


async def test_deltas_wait_for_others_and_other_events_do_not() -> None:
    outbox = Outbox(lambda: 3600.0)
    async with anyio.create_task_group() as tasks:
        got: list[int] = []

        async def pull() -> None:
            got.append(len(await outbox.pull(0)))

        tasks.start_soon(pull)
        await until_blocked()
        outbox.put(DELTA)
        outbox.put(DELTA)
        await until_blocked()
        assert got == []
        outbox.put(AgentStart())
    assert got == [3]


@pytest.mark.parametrize("text", ["word", "word " * 10_000])
async def test_it_is_bounded_in_number_and_in_bytes(text: str) -> None:
    outbox = Outbox(lambda: 0.0)
    sink = Sink(outbox)
    with anyio.move_on_after(0.2) as scope:
        while True:
            await sink.send(MessageUpdate(TextDelta(text)))
    assert scope.cancelled_caught
    assert outbox.last <= 2048
    assert outbox.last * len(text) <= 256 * 1024
    sent = outbox.last
    batch = await outbox.pull(0)
    assert 0 < len(batch) <= sent
    await outbox.pull(len(batch) - 1)
    await outbox.has_room()


async def test_a_confirmation_is_waited_for() -> None:
    outbox = Outbox(lambda: 0.0)
    outbox.put(AgentStart())
    outbox.put(AgentStart())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outbox.confirmed, 1)
        await until_blocked()
        assert len(await outbox.pull(1)) == 1
