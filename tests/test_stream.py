"""The stream between a producer and its consumers: the programs people write with it, and its promises."""

import math
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.producers import endless, thousand
from tests.waiting import until_blocked

from tether import create_event_stream, open_event_stream
from tether.stream import CHECKPOINT_EVERY, EventSink

pytestmark = pytest.mark.usefixtures("quick_garbage_collection", "garbage_collected_after_each")

GUARD = 60


class TestPrograms:
    """What a tutorial on event streams would show."""

    async def test_push_five_then_iterate(self) -> None:
        sink, stream = create_event_stream()
        for number in range(5):
            sink.send_nowait(number)
        sink.end("done")
        assert [event async for event in stream] == [0, 1, 2, 3, 4]
        assert await stream.result() == "done"

    async def test_producer_and_consumer_at_once(self) -> None:
        log: list[str] = []

        async def producer(sink: EventSink[int]) -> None:
            for number in range(3):
                log.append(f"sends {number}")
                await sink.send(number)

        async with open_event_stream(producer, max_buffer_size=0) as stream:
            async for number in stream:
                log.append(f"gets {number}")
        assert sorted(log) == sorted(f"{verb} {n}" for verb in ("sends", "gets") for n in range(3))
        assert log.index("gets 0") < log.index("sends 2")

    async def test_a_slow_consumer_holds_its_producer_up(self) -> None:
        sent: list[int] = []

        async def producer(sink: EventSink[int]) -> None:
            for number in range(20):
                await sink.send(number)
                sent.append(number)

        async with open_event_stream(producer, max_buffer_size=3) as stream:
            for number in range(20):
                await until_blocked()
                assert len(sent) <= number + 3
                assert stream.statistics().current_buffer_used <= 3
                assert await stream.__anext__() == number

    async def test_just_the_result(self) -> None:
        async with open_event_stream(thousand, max_buffer_size=1) as stream:
            assert await stream.result() == "counted"
            assert await stream.result() == "counted"

    async def test_a_simulated_agent_loop(self) -> None:
        async def agent(sink: EventSink[dict[str, Any]]) -> list[str]:
            await sink.send({"type": "agent_start"})
            messages = ["hello"]
            await sink.send({"type": "message", "text": "hello"})
            said = ""
            for word in ["Hi", " there", "!"]:
                said += word
                await sink.send({"type": "update", "word": word})
            messages.append(said)
            await sink.send({"type": "agent_end"})
            return messages

        async with open_event_stream(agent) as stream:
            types = [event["type"] async for event in stream]
        assert types == ["agent_start", "message", "update", "update", "update", "agent_end"]
        assert await stream.result() == ["hello", "Hi there!"]

    async def test_a_heart_keeps_beating_while_another_task_iterates(self) -> None:
        beats = 0
        done = anyio.Event()

        async def heart() -> None:
            nonlocal beats
            while not done.is_set():
                beats += 1
                await checkpoint()

        async def iterate() -> None:
            async with open_event_stream(thousand) as stream:
                assert len([event async for event in stream]) == 1000
            done.set()

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(heart)
                tasks.start_soon(iterate)
        assert beats >= 1000 // CHECKPOINT_EVERY


class TestLeaving:
    @pytest.mark.parametrize("way", ["break", "raise", "cancel", "return"])
    async def test_cancels_the_producer_and_waits_until_it_has_cleaned_up(self, way: str) -> None:
        cleaned: list[str] = []

        async def producer(sink: EventSink[int]) -> None:
            try:
                await endless(sink)
            finally:
                with anyio.move_on_after(1, shield=True):
                    await checkpoint()
                    cleaned.append("producer")

        async def consume() -> None:
            with anyio.CancelScope() as scope:
                async with open_event_stream(producer) as stream:
                    async for _ in stream:
                        if way == "break":
                            break
                        if way == "raise":
                            raise ZeroDivisionError
                        if way == "return":
                            return
                        scope.cancel()

        with anyio.fail_after(GUARD):
            try:
                await consume()
            except ZeroDivisionError:
                assert way == "raise"
        assert cleaned == ["producer"]

    async def test_a_result_that_was_never_made_is_an_error_and_no_hang(self) -> None:
        async with open_event_stream(endless) as stream:
            pass
        with anyio.fail_after(GUARD), pytest.raises(anyio.ClosedResourceError, match="left before"):
            await stream.result()

    async def test_a_closed_stream_tells_its_producer(self) -> None:
        told: list[str] = []

        async def producer(sink: EventSink[int]) -> None:
            try:
                await endless(sink)
            except anyio.BrokenResourceError as error:
                told.append(str(error))
                raise

        async with open_event_stream(producer) as stream:
            await stream.aclose()
            await until_blocked()
            with pytest.raises(anyio.ClosedResourceError):
                await stream.__anext__()
        assert told == ["every consumer of this sink has closed its stream"]


class TestSink:
    async def test_nothing_follows_the_end(self) -> None:
        sink, _ = create_event_stream()
        sink.end()
        for use in (sink.send_nowait, sink.end, sink.fail):
            with pytest.raises(anyio.ClosedResourceError):
                use(LookupError())
        with pytest.raises(anyio.ClosedResourceError):
            await sink.send(1)

    async def test_send_nowait_refuses_when_full(self) -> None:
        sink, stream = create_event_stream(1)
        sink.send_nowait(1)
        with pytest.raises(anyio.WouldBlock):
            sink.send_nowait(2)
        sink.end()
        assert [event async for event in stream] == [1]

    async def test_senders_that_wait_are_served_in_turn(self) -> None:
        sink, stream = create_event_stream(1)
        await sink.send(0)
        async with anyio.create_task_group() as tasks:
            for number in range(1, 6):
                tasks.start_soon(sink.send, number)
                await until_blocked()
            assert stream.statistics().tasks_waiting_send == 5
            assert [await stream.__anext__() for _ in range(6)] == [0, 1, 2, 3, 4, 5]

    async def test_a_cancelled_send_has_delivered_nothing(self) -> None:
        """Also where room appears in the very step in which the sender is cancelled."""
        sink, stream = create_event_stream(1)
        delivered: list[int] = []

        async def send() -> None:
            await sink.send(1)
            delivered.append(1)

        await sink.send(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await until_blocked()
            assert await stream.__anext__() == 0
            tasks.cancel_scope.cancel()
        sink.end()
        assert [event async for event in stream] == delivered

    async def test_a_sender_in_line_hears_of_the_end(self) -> None:
        sink, _ = create_event_stream(0)
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                with pytest.raises(anyio.ClosedResourceError):
                    await sink.send(1)

            tasks.start_soon(send)
            await until_blocked()
            sink.end()


async def test_neither_side_goes_far_without_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room and with events there all the time, each side still passes one every 32 events."""
    passed = 0

    async def counted() -> None:
        nonlocal passed
        passed += 1
        await checkpoint()

    monkeypatch.setattr("tether.stream.checkpoint", counted)
    sink, stream = create_event_stream(math.inf)
    for number in range(10 * CHECKPOINT_EVERY):
        before = passed
        await sink.send(number)
    assert passed == 10
    for _ in range(10 * CHECKPOINT_EVERY):
        await stream.__anext__()
    assert (before, passed) == (9, 20)


def test_a_pair_may_be_made_outside_an_event_loop() -> None:
    sink, stream = create_event_stream()
    sink.send_nowait(1)

    async def use() -> None:
        sink.end("r")
        assert [event async for event in stream] == [1]
        assert await stream.result() == "r"

    anyio.run(use)


async def test_an_offer_is_taken_at_once_or_not_at_all() -> None:
    sink, stream = create_event_stream(2)
    assert [sink._offer(number) for number in range(3)] == [True, True, False]
    with anyio.fail_after(60):
        assert [await anext(stream) for _ in range(2)] == [0, 1]
    other = stream.branch(1)
    assert sink._offer(2)
    assert not sink._offer(3), "the branch is full"
    assert other.statistics().current_buffer_used == 1
    sink.end()
    with pytest.raises(anyio.ClosedResourceError):
        sink._offer(4)


async def test_offers_leave_the_checkpoints_to_sends() -> None:
    sink, _stream = create_event_stream(10_000)
    taken = [sink._offer(number) for number in range(1000)]
    assert taken.count(False) > 0, "a checkpoint was due"
    first = taken.index(False)
    assert not any(taken[first:]), "until somebody has sent"
    with anyio.fail_after(60):
        await sink.send("x")
    assert sink._offer("y")
