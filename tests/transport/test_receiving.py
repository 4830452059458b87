"""Receiving with less than anyio's streams do: in order, nothing lost, and not more held than a read."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.stapled import StapledByteStream
from tests.transport.serving import GUARD

from tether.transport._receiving import ReadAhead, receiving

MOST = 10_000
"""Bytes of a read."""


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[ByteStream, SocketStream]]:
    """Give both ends of a connection, the first of which receives as connections to servers do."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        ends: list[SocketStream] = []
        accepted = anyio.Event()

        async def accept(stream: SocketStream) -> None:
            ends.append(stream)
            accepted.set()

        tasks.start_soon(listener.serve, accept)
        port = listener.extra(SocketAttribute.local_port)
        with anyio.fail_after(GUARD):
            client = await anyio.connect_tcp("127.0.0.1", port)
            await accepted.wait()
            async with receiving(client, MOST) as stream, ends[0] as server:
                yield stream, server
        tasks.cancel_scope.cancel()


def held(stream: ByteStream) -> int:
    """Count the bytes that have come and were not received."""
    return sum(map(len, stream.extra(ReadAhead.chunks, ())))


async def test_what_comes_while_nobody_waits_is_received_in_order() -> None:
    async with joined() as (stream, server):
        await server.send(b"one ")
        assert await stream.receive() == b"one "
        for word in (b"two ", b"three ", b"four"):
            await server.send(word)
            await anyio.wait_all_tasks_blocked()
        told = b""
        while len(told) < len(b"two three four"):
            piece = await stream.receive(3)
            assert len(piece) <= 3
            told += piece
        assert told == b"two three four"


async def test_no_more_than_a_read_is_held_of_an_endless_reply() -> None:
    async with joined() as (stream, server), anyio.create_task_group() as tasks:

        async def send_endlessly() -> None:
            while True:
                await server.send(bytes(64 * 1024))

        tasks.start_soon(send_endlessly)
        for _ in range(3):
            await stream.receive(10)
            await anyio.wait_all_tasks_blocked()
            assert held(stream) < MOST
        tasks.cancel_scope.cancel()


def test_of_uvloop_too_no_more_than_a_read_is_held_and_nothing_lost() -> None:
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    anyio.run(told_in_reads, backend_options={"use_uvloop": True})


async def test_a_long_answer_comes_in_reads_of_bounded_size() -> None:
    await told_in_reads()


async def told_in_reads() -> None:
    sent = random.Random(1).randbytes(20 * MOST + 1)
    async with joined() as (stream, server), anyio.create_task_group() as tasks:
        tasks.start_soon(server.send, sent)
        told = b""
        while len(told) < len(sent):
            piece = await stream.receive(MOST)
            assert len(piece) + held(stream) <= 2 * MOST
            told += piece
    assert told == sent


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    async with joined() as (stream, server):
        with anyio.move_on_after(0):
            await stream.receive()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.receive)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await server.send(b"after all")
        assert await stream.receive() == b"after all"


async def test_the_end_of_a_connection_comes_behind_what_was_sent() -> None:
    async with joined() as (stream, server):
        await server.send(b"the last")
        await server.send_eof()
        await anyio.wait_all_tasks_blocked()
        assert await stream.receive() == b"the last"
        for _ in range(2):
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        await stream.send(b"an answer")
        assert await server.receive() == b"an answer"


async def test_a_stream_that_is_closed_while_somebody_waits_says_so() -> None:
    async with joined() as (stream, _), anyio.create_task_group() as tasks:

        async def wait() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()


async def test_what_was_read_ahead_goes_with_a_stream_that_is_closed() -> None:
    async with joined() as (stream, server):
        await server.send(b"one ")
        assert await stream.receive(1) == b"o"
        await server.send(b"two")
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.receive()


async def test_a_second_task_may_not_wait_for_the_same_bytes() -> None:
    async with joined() as (stream, server), anyio.create_task_group() as tasks:
        told: list[bytes] = []

        async def wait() -> None:
            told.append(await stream.receive())

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await stream.receive()
        await server.send(b"for the first")
        await anyio.wait_all_tasks_blocked()
        assert told == [b"for the first"]


async def test_asyncio_is_not_asked_to_pause_at_each_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[object] = []
    transport = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    pause = transport.pause_reading

    def noted(self: object) -> None:
        pauses.append(self)
        pause(self)

    monkeypatch.setattr(transport, "pause_reading", noted)
    async with joined() as (stream, server):
        if stream.extra(ReadAhead.chunks, None) is None:
            pytest.skip("this event loop has no transports")
        pauses.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(stream.receive)
                await anyio.wait_all_tasks_blocked()
                await server.send(b"a piece")
                await anyio.wait_all_tasks_blocked()
        assert not pauses


async def test_a_stream_without_a_transport_is_used_as_it_is() -> None:
    send, receive = anyio.create_memory_object_stream[bytes](1)
    with send, receive:
        stream = StapledByteStream(send, receive)  # type: ignore[arg-type]
        assert receiving(stream, MOST) is stream  # type: ignore[arg-type]
