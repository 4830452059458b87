"""The result of a stream, and who may wait for it."""

import anyio
import pytest
from tests.producers import counting, hundred
from tests.waiting import until_blocked

from tether import Agent, AgentEnd, EventStream, create_event_stream, open_event_stream
from tether.testing import ScriptedModel

pytestmark = pytest.mark.usefixtures("quick_garbage_collection", "garbage_collected_after_each")

GUARD = 60


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
