"""What a consumer raises where a producer, a consumer or both have failed."""

import anyio
import pytest
from tests.producers import endless, failing
from tests.waiting import until_blocked

from tether import open_event_stream
from tether.stream import EventSink

pytestmark = pytest.mark.usefixtures("quick_garbage_collection", "garbage_collected_after_each")


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
