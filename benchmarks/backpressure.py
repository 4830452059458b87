"""What a slow consumer costs: bytes the server can write, and growth of resident memory, side by side.

A server in a process of its own writes an endless reply as fast as it is read. The consumer takes one event each 10 ms.
tether waits; the usual design, a task that pushes into an `asyncio.Queue` without a bound, does not.

    python -m benchmarks.backpressure [SECONDS]
"""

import asyncio
import json
import multiprocessing
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import anyio
import httpx

from tether import Agent, MessageUpdate, model_from_name

CHUNK = {"choices": [{"index": 0, "delta": {"content": "word " * 20}, "finish_reason": None}]}
EVENTS = b"".join(
    b"%x\r\n%b\r\n" % (len(e), e) for e in [b"data: " + json.dumps(CHUNK).encode() + b"\n\n"] * 100
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def serve(listener: socket.socket, written: "Synchronized[int]") -> None:
    while True:
        connection, _ = listener.accept()
        written.value = 0
        with connection:
            request = b""
            while not request.endswith(b"}"):
                request += connection.recv(65536)
            try:
                connection.sendall(HEAD)
                while True:
                    written.value += connection.send(EVENTS)
            except OSError:
                pass


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def ours(url: str, seconds: float) -> None:
    agent = Agent(model_from_name("openai-chat:m", base_url=url))
    with anyio.move_on_after(seconds):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    await anyio.sleep(0.01)


async def tutorial(url: str, seconds: float) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def produce() -> None:
        async with (
            httpx.AsyncClient(verify=False) as client,
            client.stream("POST", f"{url}/chat/completions", content=b"{}") as response,
        ):
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    queue.put_nowait(json.loads(line[6:]))

    task = asyncio.create_task(produce())
    with anyio.move_on_after(seconds):
        while True:
            await queue.get()
            await anyio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])


Program = Callable[[str, float], Awaitable[None]]
ROWS: dict[str, tuple[Program, str]] = {
    "tether on asyncio": (ours, "asyncio"),
    "tether on trio": (ours, "trio"),
    "unbounded queue on asyncio": (tutorial, "asyncio"),
}


def main(seconds: float = 10.0) -> None:
    written = multiprocessing.Value("q", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener, written), daemon=True
    )
    server.start()
    print(f"{'':28} {'MiB the server wrote':>22} {'MiB of growth':>15}")
    for name, (program, backend) in ROWS.items():
        anyio.run(program, url, 0.5, backend=backend)  # what is imported and allocated once
        time.sleep(0.2)
        before = resident()
        anyio.run(program, url, seconds, backend=backend)
        grown = resident() - before
        print(f"{name:28} {written.value / 2**20:22.1f} {grown / 2**20:15.2f}")
    server.kill()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
