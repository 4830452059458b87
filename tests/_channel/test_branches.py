"""The consumers of one stream: each gets all, in one step or none, and what it does when it is full."""

import math
from typing import Any

import anyio
import pytest
from tests.waiting import until_blocked

from tether import Agent, Event, EventStream, MessageUpdate, create_event_stream
from tether.errors import ConsumerTooSlowError
from tether.testing import ScriptedModel

pytestmark = pytest.mark.usefixtures("quick_garbage_collection", "garbage_collected_after_each")

GUARD = 60


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
