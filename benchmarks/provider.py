"""A provider in a process of its own, so that its CPU time is nobody's. What it sends is encoded before it is asked.

The address says what is wanted: `/SCENARIO/SIZE/...`, and behind that whatever path a client appends:

    text/20000      so many pieces of text, each in an HTTP chunk of its own, as fast as they are read
    batched/20000   the same, two hundred to a chunk
    drip/2000       the same, the next one when the client says that it has got the last (see `Acknowledgements`)
    pace/2000       the same, one each millisecond
    live/100        the same, fifty each second, as a model writes
    turns/50x16     fifty turns, of which each but the last calls a tool sixteen times at once
    idle/1          the beginning of a reply, and nothing more
"""

import asyncio
import contextlib
import functools
import json
import multiprocessing
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.replies import APIS

__all__ = ("provider",)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
BATCH = 200
INTERVALS = {"pace": 0.001, "live": 0.02}
"""Seconds between two pieces of text."""


@contextmanager
def provider(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, int]]:
    """Start it; give its address, and the port for acknowledgements."""
    listener, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    process = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener, other, tls), daemon=True
    )
    process.start()
    try:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", other.getsockname()[1]
    finally:
        process.kill()
        process.join()
        listener.close()
        other.close()


def serve(listener: socket.socket, other: socket.socket, tls: ssl.SSLContext | None) -> None:
    async def main() -> None:
        acknowledgements = Acknowledgements()
        answer = functools.partial(answer_all, acknowledgements)
        server = await asyncio.start_server(answer, sock=listener, backlog=4096, ssl=tls)
        async with await asyncio.start_server(acknowledgements.come_from, sock=other):
            await server.serve_forever()

    asyncio.run(main())


class Acknowledgements:
    """What a client says over a connection of its own: that it has got a piece of text."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def come_from(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take those that come over a connection in place of those over the last; say that it is so."""
        self._streams = (reader, writer)
        writer.write(b"k")

    async def wait(self) -> None:
        assert self._streams is not None
        await self._streams[0].readexactly(1)


async def answer_all(
    acknowledgements: Acknowledgements, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the requests of a connection, one after the other."""
    # asyncio does so only for sockets that were made with their protocol's number.
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode().lower().split("\r\n")
            [length] = [int(field[15:]) for field in fields if field.startswith("content-length:")]
            body = await reader.readexactly(length)
            path = line.split()[1]
            _, scenario, size, *_ = path.split("/")
            if scenario == "drip":
                await drip(writer, shape_of(path), int(size), acknowledgements)
                continue
            if scenario in INTERVALS:
                await pace(writer, shape_of(path), int(size), INTERVALS[scenario])
                continue
            writer.write(HEAD)
            writer.write(reply(scenario, size, shape_of(path), body))
            await writer.drain()
    writer.close()


def shape_of(path: str) -> str:
    ends = {"completions": "chat", "responses": "responses", "messages": "messages"}
    return ends[path.partition("?")[0].rpartition("/")[2]]


def reply(scenario: str, size: str, shape: str, body: bytes) -> bytes:
    match scenario:
        case "text":
            return text(shape, int(size))
        case "batched":
            return text(shape, int(size), BATCH)
        case "idle":
            return chunk(APIS[shape].text(1)[0])
        case "turns":
            turns, _, parallel = size.partition("x")
            return turn(shape, int(turns), int(parallel), APIS[shape].asked(json.loads(body)))
    raise ValueError(f"no scenario is called {scenario}")


@functools.cache
def text(shape: str, count: int, batch: int = 1) -> bytes:
    events = APIS[shape].text(count)
    groups = (b"".join(events[at : at + batch]) for at in range(0, len(events), batch))
    return b"".join(map(chunk, groups)) + LAST


@functools.cache
def turn(shape: str, turns: int, parallel: int, before: int) -> bytes:
    calls = APIS[shape].calls
    assert calls is not None
    if before + 1 >= turns:
        return text(shape, 1)
    asked = [(f"call_{before}_{n}", {"a": before, "b": n}) for n in range(parallel)]
    return b"".join(map(chunk, calls(asked))) + LAST


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def drip(
    writer: asyncio.StreamWriter, shape: str, count: int, acknowledgements: Acknowledgements
) -> None:
    """Send the next piece of text when the last one was got: the client wakes up once for each."""
    writer.write(HEAD)
    for number, event in enumerate(APIS[shape].text(count)):
        writer.write(chunk(event))
        if 1 <= number <= count:
            await acknowledgements.wait()
    writer.write(LAST)
    await writer.drain()


async def pace(writer: asyncio.StreamWriter, shape: str, count: int, interval: float) -> None:
    writer.write(HEAD)
    due = time.monotonic()
    for event in APIS[shape].text(count):
        writer.write(chunk(event))
        due += interval
        await asyncio.sleep(max(0, due - time.monotonic()))
    writer.write(LAST)
    await writer.drain()
