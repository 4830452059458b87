"""A provider in a process of its own, so that its CPU time is nobody's. What it sends is encoded before it is asked.

The address says what is wanted: `/SCENARIO/SIZE/...`, and behind that whatever path a client appends:

    text/20000      so many pieces of text, each in an HTTP chunk of its own, as fast as they are read
    batched/20000   the same, two hundred to a chunk
    drip/2000       the same, one each millisecond
    turns/50x16     fifty turns, of which each but the last calls a tool sixteen times at once
    idle/1          the beginning of a reply, and nothing more
"""

import asyncio
import contextlib
import functools
import json
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.replies import APIS

__all__ = ("provider",)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
BATCH = 200
DRIP = 0.001
"""Seconds."""


@contextmanager
def provider() -> Iterator[str]:
    """Start it; give its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    process = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener,), daemon=True
    )
    process.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        process.kill()
        process.join()
        listener.close()


def serve(listener: socket.socket) -> None:
    async def main() -> None:
        server = await asyncio.start_server(answer, sock=listener, backlog=4096)
        await server.serve_forever()

    asyncio.run(main())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
                await drip(writer, shape_of(path), int(size))
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


async def drip(writer: asyncio.StreamWriter, shape: str, count: int) -> None:
    writer.write(HEAD)
    due = time.monotonic()
    for event in APIS[shape].text(count):
        writer.write(chunk(event))
        due += DRIP
        await asyncio.sleep(max(0, due - time.monotonic()))
    writer.write(LAST)
    await writer.drain()
