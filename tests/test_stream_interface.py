"""A stream and a run in the hands of code that knows only anyio's abstract streams."""

import gc
import weakref

import anyio
import pytest
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from anyio.streams.stapled import StapledObjectStream
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentEnd,
    AgentStart,
    Event,
    EventStream,
    create_event_stream,
    open_event_stream,
)
from tether.stream import EventSink
from tether.testing import ScriptedModel

GUARD = 60


async def collect(source: ObjectReceiveStream[object]) -> list[object]:
    """Read to the end, as code does that was written for anyio's streams."""
    items: list[object] = []
    async with source:
        while True:
            try:
                items.append(await source.receive())
            except anyio.EndOfStream:
                return items


async def copy(source: ObjectReceiveStream[object], target: ObjectSendStream[object]) -> None:
    async with source, target:
        async for item in source:
            await target.send(item)


class TestAbstractly:
    async def test_a_run_is_read_as_any_stream(self) -> None:
        agent = Agent(ScriptedModel("hello"))
        async with agent.run("go") as run:
            assert isinstance(run, ObjectReceiveStream)
            events = await collect(run)
            assert (await run.result()).text == "hello"
        assert isinstance(events[0], AgentStart)
        assert isinstance(events[-1], AgentEnd)

    async def test_so_is_a_branch_of_one(self) -> None:
        async with Agent(ScriptedModel("hello")).run("go") as run:
            branch = run.branch(100)
            events: list[Event] = [event async for event in run]
            assert await collect(branch) == events

    async def test_a_run_is_copied_into_a_memory_stream(self) -> None:
        send, receive = anyio.create_memory_object_stream[object](100)
        async with Agent(ScriptedModel("hello")).run("go") as run:
            await copy(run, send)
        with receive:
            assert isinstance((await collect(receive))[-1], AgentEnd)

    async def test_from_sink_to_stream_to_sink(self) -> None:
        first, source = create_event_stream(1)
        target, last = create_event_stream(0)
        got: list[object] = []

        async def read() -> None:
            got.extend(await collect(last))

        async def fill() -> None:
            async with first:
                for number in range(5):
                    await first.send(number)

        with anyio.fail_after(GUARD):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(copy, source, target)
                tasks.start_soon(fill)
                tasks.start_soon(read)
        assert got == [0, 1, 2, 3, 4]

    async def test_stapled(self) -> None:
        sink, stream = create_event_stream(4)
        both: StapledObjectStream[int] = StapledObjectStream(sink, stream)
        assert both.extra_attributes == {}
        async with both:
            await both.send(1)
            sink.send_nowait(2)
            await both.send_eof()
            assert [await both.receive(), await both.receive()] == [1, 2]
            with pytest.raises(anyio.EndOfStream):
                await both.receive()
        with pytest.raises(anyio.ClosedResourceError):
            await both.receive()
        with pytest.raises(anyio.ClosedResourceError):
            await both.send(3)


class TestSinkAsContextManager:
    async def test_keeps_the_result_of_its_producer(self) -> None:
        async def producer(sink: EventSink[int]) -> str:
            async with sink:
                await sink.send(1)
                return "result"

        async with open_event_stream(producer) as stream:
            assert [event async for event in stream] == [1]
            assert await stream.result() == "result"

    async def test_ends_the_events_at_once_and_not_the_producer(self) -> None:
        go_on = anyio.Event()

        async def producer(sink: EventSink[int]) -> str:
            async with sink:
                await sink.send(1)
            with pytest.raises(anyio.ClosedResourceError):
                await sink.send(2)
            await go_on.wait()
            return "result"

        with anyio.fail_after(GUARD):
            async with open_event_stream(producer) as stream:
                assert [event async for event in stream] == [1]
                go_on.set()
                assert await stream.result() == "result"

    async def test_fails_the_stream_with_what_was_raised(self) -> None:
        error = LookupError("producer")

        async def producer(sink: EventSink[int]) -> None:
            async with sink:
                await sink.send(1)
                raise error

        async with open_event_stream(producer) as stream:
            with pytest.raises(LookupError) as caught:
                [event async for event in stream]
            assert caught.value is error
        with pytest.raises(LookupError) as caught:
            async with open_event_stream(producer):
                await until_blocked()
        assert caught.value is error

    async def test_says_nothing_where_everybody_has_left(self) -> None:
        async def producer(sink: EventSink[int]) -> None:
            async with sink:
                while True:
                    await sink.send(1)

        async with open_event_stream(producer) as stream:
            stream.close()
            await until_blocked()

    async def test_is_cancelled_with_its_block(self) -> None:
        async def producer(sink: EventSink[int]) -> None:
            async with sink:
                await anyio.sleep_forever()

        with anyio.fail_after(GUARD):
            async with open_event_stream(producer) as stream:
                await until_blocked()
        with pytest.raises(anyio.ClosedResourceError, match="left before"):
            await stream.result()

    async def test_of_a_bare_pair(self) -> None:
        sink, stream = create_event_stream()
        async with sink:
            await sink.send(1)
        assert [event async for event in stream] == [1]
        assert await stream.result() is None
        sink, stream = create_event_stream()
        async with sink:
            sink.end("r")
        assert await stream.result() == "r"
        sink, stream = create_event_stream()
        with pytest.raises(ZeroDivisionError):
            async with sink:
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError):
            await stream.result()

    async def test_does_not_cancel_who_follows(self) -> None:
        sink, stream = create_event_stream()
        with anyio.CancelScope() as scope:
            async with sink:
                scope.cancel()
                await anyio.sleep_forever()
        with pytest.raises(anyio.BrokenResourceError, match="left before"):
            await stream.receive()


class TestStreamAsContextManager:
    async def test_is_closed_when_left_and_lets_go_of_its_events(self) -> None:
        class Thing:
            pass

        sink, stream = create_event_stream()
        thing = Thing()
        known = weakref.ref(thing)
        sink.send_nowait(thing)
        del thing
        async with stream:
            pass
        gc.collect()
        assert known() is None
        with pytest.raises(anyio.BrokenResourceError):
            sink.send_nowait(1)


async def test_a_run_that_nobody_follows_any_more_ends() -> None:
    agent = Agent(ScriptedModel("one two three", "again"))
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            await run.aclose()
            await agent.wait_idle()
        assert (await agent.prompt("go on")).text


def test_types() -> None:
    sink: ObjectSendStream[int]
    stream: ObjectReceiveStream[int]
    sink, stream = create_event_stream()
    assert isinstance(sink, EventSink)
    assert isinstance(stream, EventStream)
