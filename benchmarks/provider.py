"""A provider in a process of its own, so that its CPU time is nobody's. What it sends is encoded before it is asked.

The address says what is wanted: `/SCENARIO/SIZE/...`, and behind that whatever path a client appends:

    text/20000      so many pieces of text, each in an HTTP chunk of its own, as fast as they are read
    batched/20000   the same, two hundred to a chunk
    drip/2000       the same, the next one when the client says that it has got the last (see `provider`)
    pace/2000       the same, one each millisecond
    live/100        the same, fifty each second, as a model writes
    turns/50x16     fifty turns, of which each but the last calls a tool sixteen times at once
    idle/1          the beginning of a reply, and nothing more
"""

import asyncio
import contextlib
import functools
import json
import mmap
import multiprocessing
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.replies import APIS

__all__ = ("Counter", "provider")

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
BATCH = 200
INTERVALS = {"pace": 0.001, "live": 0.02}
"""Seconds between two pieces of text."""


POLL = 0.00005
"""Seconds between two looks at what was acknowledged."""


@contextmanager
def provider(tls: ssl.SSLContext | None = None, acknowledged: Path | None = None) -> Iterator[str]:
    """Start it; give its address.

    Args:
        tls: how it is reached over TLS.
        acknowledged: a file of eight bytes: how many pieces of a reply the client has got. It costs the client
            nothing to write there.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    process = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener, tls, acknowledged), daemon=True
    )
    process.start()
    try:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        process.kill()
        process.join()
        listener.close()


def serve(listener: socket.socket, tls: ssl.SSLContext | None, acknowledged: Path | None) -> None:
    async def main() -> None:
        answer = functools.partial(
            answer_all, None if acknowledged is None else Counter(acknowledged)
        )
        server = await asyncio.start_server(answer, sock=listener, backlog=4096, ssl=tls)
        await server.serve_forever()

    asyncio.run(main())


class Counter:
    """A number in a file that two processes share."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)

    def set(self, number: int) -> None:
        self._memory[:8] = number.to_bytes(8, "little")

    def get(self) -> int:
        return int.from_bytes(self._memory[:8], "little")


async def answer_all(
    acknowledged: Counter | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
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
                assert acknowledged is not None
                await drip(writer, shape_of(path), int(size), acknowledged)
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


async def drip(writer: asyncio.StreamWriter, shape: str, count: int, acknowledged: Counter) -> None:
    """Send the next piece of text when the last one was got: the client wakes up once for each."""
    writer.write(HEAD)
    for number, event in enumerate(APIS[shape].text(count)):
        writer.write(chunk(event))
        while number <= count and acknowledged.get() < number:
            await asyncio.sleep(POLL)
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
