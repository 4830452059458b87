"""What comes out of a stream's block: what was raised in it, as that very object, and nothing of our task group's."""

import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NoReturn

import anyio
import pytest
from anyio.lowlevel import checkpoint
from tests.waiting import until_blocked

from tether import Agent, Event, EventStream, create_event_stream, open_event_stream
from tether.stream import EventSink
from tether.testing import ScriptedModel


class UploadErrors(ExceptionGroup[Exception]):
    def derive(self, excs: Sequence[Exception], /) -> "UploadErrors":  # type: ignore[override]
        return UploadErrors(self.message, excs)


def upload_errors() -> UploadErrors:
    error = UploadErrors("2 failed", [ValueError("a"), ExceptionGroup("b", [KeyError("b")])])
    error.add_note("a note")
    error.__cause__ = OSError("cause")
    error.__context__ = TimeoutError("context")
    return error


def check_untouched(error: BaseException) -> None:
    assert type(error) is UploadErrors
    assert error.__notes__ == ["a note"]
    assert repr(error.__cause__) == repr(OSError("cause"))
    assert repr(error.__context__) == repr(TimeoutError("context"))
    assert repr(error.exceptions[1]) == repr(ExceptionGroup("b", [KeyError("b")]))


async def endless(sink: EventSink[int]) -> None:
    while True:
        await sink.send(1)


@asynccontextmanager
async def a_stream() -> AsyncIterator[object]:
    async with open_event_stream(endless) as stream:
        yield stream


def a_run() -> AbstractAsyncContextManager[object]:
    return Agent(ScriptedModel("one two three")).run("go")


@pytest.mark.parametrize("block", [a_stream, a_run])
@pytest.mark.parametrize("steps", [0, 3])
async def test_a_group_that_the_block_raises_comes_out_as_that_object(
    block: Any, steps: int
) -> None:
    error = upload_errors()
    with pytest.raises(UploadErrors) as caught:
        async with block():
            for _ in range(steps):
                await checkpoint()
            raise error
    assert caught.value is error
    check_untouched(error)
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == [
        "test_a_group_that_the_block_raises_comes_out_as_that_object"
    ]


@pytest.mark.parametrize("make", [ZeroDivisionError, KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_so_does_any_exception(make: type[BaseException]) -> None:
    error = make()
    try:
        async with open_event_stream(endless):
            raise error
    except BaseException as raised:  # noqa: BLE001 - of every kind
        caught = raised
    assert caught is error
    assert error.__context__ is None


async def test_a_group_that_the_producer_raises_reaches_the_consumer_as_that_object() -> None:
    error = upload_errors()

    async def producer(sink: EventSink[int]) -> NoReturn:
        await sink.send(1)
        raise error

    async with open_event_stream(producer) as stream:
        with pytest.raises(UploadErrors) as caught:
            async for _ in stream:
                pass
        assert caught.value is error
        with pytest.raises(UploadErrors) as caught:
            await stream.result()
        assert caught.value is error
    with pytest.raises(UploadErrors) as caught:
        async with open_event_stream(producer):
            await until_blocked()
    assert caught.value is error
    check_untouched(error)


async def test_a_group_that_a_listener_raises_comes_out_of_the_run_as_that_object() -> None:
    error = upload_errors()
    agent = Agent(ScriptedModel("hello"))

    @agent.hook("on_event")
    def fail(event: Event) -> None:
        raise error

    with pytest.raises(UploadErrors) as caught:
        await agent.prompt("go")
    assert caught.value is error
    check_untouched(error)


async def test_a_group_beside_the_producers_failure_keeps_its_form() -> None:
    error = upload_errors()

    async def producer(sink: EventSink[int]) -> NoReturn:
        raise LookupError("producer")

    with pytest.raises(ExceptionGroup) as caught:
        async with open_event_stream(producer):
            await until_blocked()
            raise error
    assert caught.value.exceptions[0] is error
    assert repr(caught.value.exceptions[1]) == repr(LookupError("producer"))
    check_untouched(error)


async def _failing_while_it_is_cancelled() -> None:
    try:
        await anyio.sleep_forever()
    finally:
        raise ValueError("clean-up")


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    """What a plain block gives, to compare with."""
    yield


@pytest.mark.parametrize("own_group", [True, False])
async def test_a_scope_further_out_learns_what_a_plain_block_would_tell_it(
    *, own_group: bool
) -> None:
    """Also of a group that mixes cancellations and errors, as trio has them."""

    async def seen(block: AbstractAsyncContextManager[object]) -> tuple[bool, str | None]:
        error = None
        with anyio.CancelScope() as scope:
            try:
                async with block:
                    if own_group:
                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(_failing_while_it_is_cancelled)
                            tasks.start_soon(anyio.sleep_forever)
                            await until_blocked()
                            scope.cancel()
                    else:
                        scope.cancel()
                    await checkpoint()
            except BaseExceptionGroup as group:
                # Errors are kept, cancellations passed on.
                cancelled, rest = group.split(anyio.get_cancelled_exc_class())
                error = repr(rest)
                if cancelled is not None:
                    raise cancelled from None
        return scope.cancelled_caught, error

    plain = await seen(nothing())
    assert await seen(a_stream()) == plain
    assert await seen(a_run()) == plain


async def test_an_error_of_the_producers_own_tasks_is_heard_beside_its_cancellation() -> None:
    async def producer(sink: EventSink[int]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_failing_while_it_is_cancelled)
            tasks.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        async with open_event_stream(producer):
            await until_blocked()
    assert [repr(error) for error in caught.value.exceptions] == [repr(ValueError("clean-up"))]


class Stop(BaseException):
    """The end of something larger than a producer, as that of a test."""


async def test_what_ends_more_than_the_producer_comes_out_alone() -> None:
    async def producer(sink: EventSink[int]) -> NoReturn:
        await sink.send(1)
        await until_blocked()
        raise Stop

    with pytest.raises(Stop):
        async with open_event_stream(producer) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(stream.result)
            tasks.start_soon(stream.branch().result)


class TestAskedAgain:
    async def test_a_failure_is_the_same_each_time(self) -> None:
        async def producer(sink: EventSink[int]) -> NoReturn:
            raise LookupError("producer")

        async def asked(stream: EventStream[int, Any]) -> tuple[int, BaseException | None]:
            with pytest.raises(LookupError) as caught:
                try:
                    raise ZeroDivisionError
                except ZeroDivisionError:
                    await stream.result()
            return len(traceback.extract_tb(caught.value.__traceback__)), caught.value.__context__

        async with open_event_stream(producer) as stream:
            first = await asked(stream)
            assert [await asked(stream) for _ in range(5)] == [first] * 5
        assert first[1] is None

    async def test_so_is_that_of_a_run(self) -> None:
        agent = Agent(ScriptedModel())
        lengths: list[int] = []
        async with agent.run("go") as run:
            for _ in range(4):
                with pytest.raises(Exception, match=r".") as caught:
                    await run.result()
                lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
        assert len(set(lengths)) == 1

    async def test_its_own_context_is_kept(self) -> None:
        error = upload_errors()
        sink, stream = create_event_stream()
        sink.fail(error)
        for _ in range(3):
            with pytest.raises(UploadErrors):
                try:
                    raise ZeroDivisionError
                except ZeroDivisionError:
                    await stream.result()
            check_untouched(error)


class TestNobodyFollows:
    async def test_the_tasks_of_a_producer_notice_and_nothing_comes_out(self) -> None:
        async def producer(sink: EventSink[int]) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(endless, sink)
                tasks.start_soon(endless, sink)

        async with open_event_stream(producer, max_buffer_size=1) as stream:
            await until_blocked()
            stream.close()
            await until_blocked()

    async def test_what_else_they_raise_is_heard(self) -> None:
        error = ExceptionGroup("own", [anyio.BrokenResourceError(), LookupError()])

        async def producer(sink: EventSink[int]) -> None:
            try:
                await endless(sink)
            except anyio.BrokenResourceError:
                raise error from None

        with pytest.raises(ExceptionGroup) as caught:
            async with open_event_stream(producer) as stream:
                stream.close()
                await until_blocked()
        assert caught.value is error


class TestBehindTheEnd:
    async def test_what_a_producer_raises_is_heard(self) -> None:
        async def producer(sink: EventSink[int]) -> None:
            sink.end("done")
            raise LookupError("behind")

        with pytest.raises(LookupError, match="behind"):
            async with open_event_stream(producer) as stream:
                assert [event async for event in stream] == []
                assert await _result(stream) == "done"

    async def test_a_failure_that_it_gave_itself_is_heard_too(self) -> None:
        async def producer(sink: EventSink[int]) -> None:
            sink.fail(LookupError("given"))

        with pytest.raises(LookupError, match="given"):
            async with open_event_stream(producer):
                await until_blocked()


async def _result(stream: EventStream[int, Any]) -> object:
    return await stream.result()


@pytest.mark.parametrize("error", [StopAsyncIteration("x"), anyio.EndOfStream()])
async def test_a_failure_is_not_taken_for_the_end(error: Exception) -> None:
    sink, stream = create_event_stream()
    sink.fail(error)
    with pytest.raises(RuntimeError) as caught:
        await stream.receive()
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_end_of_the_program_comes_once_all_is_cleaned_up(
    backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    order: list[str] = []

    async def leave(_: EventSink[int]) -> NoReturn:
        raise SystemExit(3)

    async def main() -> None:
        try:
            async with open_event_stream(leave):
                try:
                    await anyio.sleep_forever()
                finally:
                    with anyio.CancelScope(shield=True):
                        await until_blocked()
                    order.append("cleaned up")
        except SystemExit:
            # The event loop goes on: it was not stopped by a task.
            await checkpoint()
            order.append("left")
            raise

    with pytest.raises(SystemExit):
        anyio.run(main, backend=backend)
    assert order == ["cleaned up", "left"]
    assert not caplog.records
