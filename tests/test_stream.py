"""The stream between a producer and its consumers: the programs people write with it, and its promises."""

import asyncio
import gc
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.waiting import until_blocked

import tether
from tether import (
    Agent,
    AgentEnd,
    Event,
    EventStream,
    MessageUpdate,
    create_event_stream,
    open_event_stream,
)
from tether.errors import ConsumerTooSlowError
from tether.stream import CHECKPOINT_EVERY, EventSink
from tether.testing import ScriptedModel

pytestmark = pytest.mark.usefixtures("quick_garbage_collection")

GUARD = 5


@pytest.fixture(autouse=True)
def _nothing_is_left_to_the_garbage_collector() -> Iterator[None]:
    yield
    gc.collect()


async def counting(sink: EventSink[int], to: int = 5) -> str:
    for number in range(to):
        await sink.send(number)
    return "counted"


async def hundred(sink: EventSink[int]) -> str:
    return await counting(sink, 100)


async def thousand(sink: EventSink[int]) -> str:
    return await counting(sink, 1000)


async def endless(sink: EventSink[int]) -> None:
    number = 0
    while True:
        await sink.send(number)
        number += 1


async def failing(sink: EventSink[int]) -> None:
    await sink.send(1)
    raise LookupError("producer")


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


class TestExceptions:
    async def test_a_failure_comes_behind_the_events_and_once(self) -> None:
        seen: list[int] = []
        async with open_event_stream(failing) as stream:
            with pytest.raises(LookupError, match="producer"):
                async for event in stream:
                    seen.append(event)
            assert [event async for event in stream] == []
            with pytest.raises(LookupError):
                await stream.result()
        assert seen == [1]

    async def test_a_failure_nobody_saw_leaves_the_block_plain(self) -> None:
        with pytest.raises(LookupError, match="producer"):
            async with open_event_stream(failing):
                await until_blocked()

    async def test_the_consumers_own_leaves_the_block_as_itself(self) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            async with open_event_stream(endless) as stream:
                async for _ in stream:
                    raise ZeroDivisionError
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    async def test_two_that_failed_come_as_a_group_of_two(self) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with open_event_stream(failing):
                await until_blocked()
                raise ZeroDivisionError
        assert [type(error) for error in caught.value.exceptions] == [
            ZeroDivisionError,
            LookupError,
        ]

    async def test_what_a_producer_raises_while_it_is_cancelled_is_not_lost(self) -> None:
        async def untidy(sink: EventSink[int]) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise LookupError("clean-up")

        with pytest.raises(LookupError, match="clean-up"):
            async with open_event_stream(untidy):
                await until_blocked()

    async def test_a_cancellation_stays_one(self) -> None:
        with anyio.move_on_after(0.01) as scope:
            async with open_event_stream(endless) as stream:
                await stream.result()
        assert scope.cancelled_caught

    async def test_nested_streams_come_out_plain_too(self) -> None:
        async def outer(sink: EventSink[int]) -> None:
            async with open_event_stream(failing) as inner:
                async for event in inner:
                    await sink.send(event)

        with pytest.raises(LookupError, match="producer"):
            async with open_event_stream(outer) as stream:
                assert [event async for event in stream] == [1]


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
        with anyio.fail_after(GUARD), pytest.raises(anyio.ClosedResourceError, match="was left"):
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


class TestResult:
    async def test_may_be_awaited_by_many(self) -> None:
        got: list[str] = []

        async def wait(stream: EventStream[int, str]) -> None:
            got.append(await stream.result())

        async with (
            open_event_stream(counting, max_buffer_size=0) as stream,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(3):
                tasks.start_soon(wait, stream)
        assert got == ["counted"] * 3

    async def test_takes_nothing_from_a_task_that_iterates(self) -> None:
        seen: list[int] = []

        async def iterate(stream: EventStream[int, str]) -> None:
            async for event in stream:
                await until_blocked()
                seen.append(event)

        async with (
            open_event_stream(counting, max_buffer_size=1) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(iterate, stream)
            await until_blocked()
            assert await stream.result() == "counted"
        assert seen == [0, 1, 2, 3, 4]

    async def test_after_a_break_and_inside_the_loop(self) -> None:
        with anyio.fail_after(GUARD):
            async with open_event_stream(hundred, max_buffer_size=1) as stream:
                async for _ in stream:
                    break
                assert await stream.result() == "counted"
            async with open_event_stream(hundred, max_buffer_size=1) as stream:
                async for _ in stream:
                    assert await stream.result() == "counted"

    async def test_who_was_cut_off_while_it_waited_goes_on_with_the_next_event(self) -> None:
        sink, stream = create_event_stream(2)
        sink.send_nowait(0)
        with anyio.move_on_after(0):
            await stream.result()
        got: list[int] = []

        async def iterate() -> None:
            got.extend([event async for event in stream])

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(iterate)
                await until_blocked()
                for number in range(1, 9):
                    await sink.send(number)
                sink.end("r")
        assert got == [1, 2, 3, 4, 5, 6, 7, 8]
        assert await stream.result() == "r"

    async def test_who_iterates_once_another_task_has_asked_goes_on_with_the_next_event(
        self,
    ) -> None:
        sink, stream = create_event_stream(1)
        results: list[str] = []

        async def ask() -> None:
            results.append(await stream.result())

        async def produce() -> None:
            for number in range(5):
                await sink.send(number)
            sink.end("r")

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await until_blocked()
                sink.send_nowait(-1)
                tasks.start_soon(produce)
                assert [event async for event in stream] == [0, 1, 2, 3, 4]
        assert results == ["r"]

    async def test_who_iterates_behind_the_end_gets_the_end(self) -> None:
        for asked in (0.0, GUARD):
            sink, stream = create_event_stream(1)
            sink.send_nowait(0)
            with anyio.move_on_after(0):
                await stream.result()
            sink.end("r")
            with anyio.move_on_after(asked):
                await stream.result()
            with anyio.fail_after(GUARD):
                assert [event async for event in stream] == []

    async def test_of_a_run_that_was_asked_with_a_deadline(self) -> None:
        agent = Agent(ScriptedModel("one two three four five six"))
        with anyio.fail_after(GUARD):
            async with agent.run("go", max_buffer_size=1) as run:
                with anyio.move_on_after(0):
                    await run.result()
                assert isinstance([event async for event in run][-1], AgentEnd)
                assert (await run.result()).text == "one two three four five six"


class TestBranches:
    async def test_each_gets_all_from_where_it_began(self) -> None:
        sink, stream = create_event_stream(10)
        await sink.send(0)
        branch = stream.branch(10)
        await sink.send(1)
        sink.end("r")
        assert [event async for event in stream] == [0, 1]
        assert [event async for event in branch] == [1]
        assert await branch.result() == "r"

    async def test_one_that_waits_holds_all_up(self) -> None:
        sink, stream = create_event_stream(10)
        stream.branch(1)
        sink.send_nowait(0)
        with pytest.raises(anyio.WouldBlock):
            sink.send_nowait(1)

    async def test_one_that_drops_keeps_the_newest_and_counts(self) -> None:
        sink, stream = create_event_stream(math.inf)
        branch = stream.branch(2, when_full="drop_oldest")
        for number in range(5):
            await sink.send(number)
        sink.end()
        assert [event async for event in branch] == [3, 4]
        assert branch.statistics().dropped == 3

    async def test_one_that_drops_never_drops_what_it_must_keep(self) -> None:
        sink, stream = create_event_stream(math.inf)
        branch = stream.branch(2, when_full="drop_oldest", droppable=lambda n: n % 2 == 1)
        for number in [0, 1, 3, 2]:
            sink.send_nowait(number)
        with pytest.raises(anyio.WouldBlock):
            sink.send_nowait(4)
        sink.end()
        assert [event async for event in branch] == [0, 2]

    @pytest.mark.parametrize("size", [0, 1, 2])
    async def test_one_without_room_that_drops_holds_nobody_up_who_reads_it(
        self, size: int
    ) -> None:
        agent = Agent(ScriptedModel("one two three"))
        got: list[Event] = []

        async def read(stream: EventStream[Event, Any]) -> None:
            got.extend([event async for event in stream])

        with anyio.fail_after(GUARD):
            async with agent.run("go") as run, anyio.create_task_group() as tasks:
                tasks.start_soon(read, run.branch(size, when_full="drop_oldest"))
                events = [event async for event in run]
        kept = [event for event in got if not isinstance(event, MessageUpdate)]
        assert kept == [event for event in events if not isinstance(event, MessageUpdate)]

    async def test_one_without_a_buffer_takes_an_event_while_it_is_waited_for(self) -> None:
        sink, stream = create_event_stream(math.inf)
        branch = stream.branch(0, when_full="drop_oldest")
        sink.send_nowait(0)
        got: list[int] = []

        async def take() -> None:
            got.append(await branch.receive())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await until_blocked()
            sink.send_nowait(1)
            sink.send_nowait(2)
        assert branch.statistics().dropped == 2
        assert got == [2]

    async def test_one_that_drops_keeps_the_order_of_what_it_keeps(self) -> None:
        sink, stream = create_event_stream(math.inf)
        branch = stream.branch(4, when_full="drop_oldest", droppable=lambda n: n >= 10)
        for number in [0, 10, 1, 11, 2, 3, 12]:
            sink.send_nowait(number)
        sink.end()
        assert [event async for event in branch] == [0, 1, 2, 3]
        assert branch.statistics().dropped == 3

    async def test_a_predicate_that_raises_loses_nothing(self) -> None:
        def refuse(_: int) -> bool:
            raise ZeroDivisionError

        sink, stream = create_event_stream(math.inf)
        branch = stream.branch(2, when_full="drop_oldest", droppable=refuse)
        sink.send_nowait(0)
        sink.send_nowait(1)
        with pytest.raises(ZeroDivisionError):
            sink.send_nowait(2)
        sink.end()
        assert [event async for event in branch] == [event async for event in stream] == [0, 1]

    def test_a_rule_that_is_none_is_refused(self) -> None:
        _, stream = create_event_stream()
        wrong: Any = "drop"
        with pytest.raises(ValueError, match="'wait', 'drop_oldest', 'fail', not 'drop'"):
            stream.branch(when_full=wrong)

    async def test_one_that_fails_lets_the_others_go_on(self) -> None:
        sink, stream = create_event_stream(math.inf)
        branch = stream.branch(1, when_full="fail")
        for number in range(3):
            await sink.send(number)
        sink.end()
        assert await branch.__anext__() == 0
        with pytest.raises(ConsumerTooSlowError, match="more than 1 events behind"):
            await branch.__anext__()
        assert [event async for event in stream] == [0, 1, 2]

    async def test_one_that_was_closed_holds_nobody_up(self) -> None:
        sink, stream = create_event_stream(10)
        branch = stream.branch(0)
        branch.close()
        sink.send_nowait(1)
        sink.end()
        assert [event async for event in stream] == [1]


class TestOneConsumer:
    async def test_a_second_task_is_refused(self) -> None:
        sink, stream = create_event_stream()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.__anext__)
            await until_blocked()
            with pytest.raises(anyio.BusyResourceError):
                await stream.__anext__()
            sink.send_nowait(1)

    async def test_tasks_may_take_turns(self) -> None:
        sink, stream = create_event_stream()
        got: list[int] = []

        async def take() -> None:
            got.append(await stream.__anext__())

        for number in range(4):
            sink.send_nowait(number)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
        assert got == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [-1, 1.5, "3", None])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="whole number from 0 on"):
        create_event_stream(size)


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
    with anyio.fail_after(1):
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
    with anyio.fail_after(1):
        await sink.send("x")
    assert sink._offer("y")


class TestPairs:
    """What anyio's own `send` and `receive` would do otherwise."""

    def test_are_made_in_one_place(self) -> None:
        source = Path(tether.__file__).parent
        uses = [p for p in source.rglob("*.py") if "create_memory_object_stream" in p.read_text()]
        assert [path.name for path in uses] == ["channel.py"]

    async def test_a_receive_that_is_cancelled_as_the_event_comes_has_not_taken_it(self) -> None:
        sink, stream = create_event_stream(0)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.receive)
                await until_blocked()
                sink.send_nowait(1)
                scope.cancel()
        assert await stream.receive() == 1

    @pytest.mark.parametrize("eager", [False, True])
    def test_nor_has_one_that_asyncio_cancels(self, *, eager: bool) -> None:
        async def main() -> None:
            for late in (False, True):
                sink, stream = create_event_stream(0)
                task = asyncio.create_task(stream.receive())
                await until_blocked()
                if not late:
                    task.cancel()
                    sink.send_nowait(1)
                else:
                    sink.send_nowait(1)
                    task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert stream.statistics().current_buffer_used == 1
                assert await stream.receive() == 1

        factory = getattr(asyncio, "eager_task_factory", None)
        if eager and factory is None:
            pytest.skip("this Python has no eager tasks")
        with asyncio.Runner() as runner:
            if eager:
                runner.get_loop().set_task_factory(factory)
            runner.run(main())

    async def test_to_all_or_to_none_also_where_a_receiver_is_being_cancelled(self) -> None:
        sink, stream = create_event_stream(0)
        branch = stream.branch(0)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.receive)
                tasks.start_soon(branch.receive)
                await until_blocked()
                scope.cancel()
                sink.send_nowait(1)
        with anyio.fail_after(GUARD):
            assert [await stream.receive(), await branch.receive()] == [1, 1]

    async def test_what_interrupts_a_receive_has_no_further_context(self) -> None:
        _, stream = create_event_stream()
        caught: list[BaseException] = []

        async def receive() -> None:
            try:
                await stream.receive()
            except BaseException as error:
                caught.append(error)
                raise

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await until_blocked()
            tasks.cancel_scope.cancel()
        assert [error.__context__ for error in caught] == [None]

    @pytest.mark.filterwarnings("error")
    async def test_those_that_are_dropped_say_nothing(self) -> None:
        for _ in range(3):
            sink, stream = create_event_stream()
            sink.send_nowait(stream.branch())
            with pytest.raises(LookupError):
                async with open_event_stream(failing):
                    await until_blocked()
        del sink, stream
        gc.collect()
