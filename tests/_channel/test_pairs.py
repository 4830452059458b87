"""Memory object stream pairs inside a channel, where receivers are cancelled or dropped."""

import asyncio
import gc
from pathlib import Path

import anyio
import pytest
from tests.producers import failing
from tests.waiting import until_blocked

import tether
from tether import create_event_stream, open_event_stream

pytestmark = pytest.mark.usefixtures("quick_garbage_collection", "garbage_collected_after_each")

GUARD = 60


class TestPairs:
    """What anyio's own `send` and `receive` would do otherwise."""

    def test_are_made_in_one_place(self) -> None:
        """In the spine; what the guests do with pairs of their own is theirs."""
        source = Path(tether.__file__).parent
        spine = [*source.glob("*.py"), *source.glob("_*/*.py")]
        uses = [p for p in spine if "create_memory_object_stream" in p.read_text()]
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
