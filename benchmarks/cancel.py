"""From a cancellation to the end of the connection and of the block, against a bare httpx stream.

A server in a process of its own sends a beginning and then waits for the connection to close; it says when it did,
by the clock of the machine. Both clients are cancelled in the same way, in turns; medians and 99th percentiles are
compared. Then the same for a tree of processes that ignore being asked to end: how long after the time they are given
for it they are gone.

    python -m benchmarks.cancel [RUNS]
"""

import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import anyio
import httpx

from tether import Agent, MessageUpdate, Text, ToolExecutionUpdate, model_from_name
from tether.testing import ScriptedModel, call
from tether.toolbox.coding import changing_tools
from tether.toolbox.shell import GRACE

CHUNK = {"choices": [{"index": 0, "delta": {"content": "word"}, "finish_reason": None}]}
EVENT = b"data: " + json.dumps(CHUNK).encode() + b"\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def serve(listener: socket.socket, told: Connection) -> None:
    """Send the beginning of a reply, and tell when the client has gone."""
    while True:
        connection, _ = listener.accept()
        with connection:
            request = b""
            while not request.endswith(b"}"):
                request += connection.recv(65536)
            connection.sendall(HEAD + b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            told.send(time.monotonic())


async def plain(url: str, scope: anyio.CancelScope) -> float:
    async with (
        httpx.AsyncClient(verify=False) as client,
        client.stream("POST", f"{url}/chat/completions", content=b"{}") as response,
    ):
        return await cancelled_soon(scope, response.aiter_bytes().__anext__)


async def ours(url: str, scope: anyio.CancelScope) -> float:
    agent = Agent(model_from_name("openai-chat:m", base_url=url))
    async with agent.run("go") as run:
        async for event in run:
            if isinstance(event, MessageUpdate):
                return await cancelled_soon(scope, anyio.lowlevel.checkpoint)
    raise AssertionError("no delta came")


async def cancelled_soon(scope: anyio.CancelScope, first: Callable[[], Awaitable[object]]) -> float:
    """Cancel the scope once the reply has begun, and be cancelled."""
    await first()
    await anyio.sleep(0.002)
    started.append(time.monotonic())
    scope.cancel()
    await anyio.sleep_forever()
    raise AssertionError("it was not cancelled")


started: list[float] = []
PROGRAMS: dict[str, Callable[[str, anyio.CancelScope], Awaitable[float]]] = {
    "httpx": plain,
    "tether": ours,
}


async def once(name: str, url: str) -> float:
    """Return the seconds from the cancellation to the end of the block."""
    with anyio.CancelScope() as scope:
        await PROGRAMS[name](url, scope)
    return time.monotonic() - started[-1]


async def ended_tree(folder: str) -> float:
    """Cancel a command whose processes ignore SIGTERM; return the seconds beyond their grace until all are gone."""
    stubborn = "trap '' TERM; echo $$; (while :; do sleep 1; done) & while :; do sleep 1; done"
    agent = Agent(
        ScriptedModel(call("run_command", command=stubborn)), tools=changing_tools(folder)
    )
    with anyio.CancelScope() as scope:
        async with agent.run("go") as run:
            async for event in run:
                match event:
                    case ToolExecutionUpdate(content=[Text(group)]):
                        began = time.monotonic()
                        scope.cancel()
    took = time.monotonic() - began
    while is_there(int(group)):
        took = time.monotonic() - began
    return took - GRACE


def is_there(group: int) -> bool:
    """Say whether a process of a group still runs. One that has ended and that nobody has noted yet does not."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return any(int(row[0]) == group and not row[1].startswith("Z") for row in rows)


def shown(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered) * 1e3:6.2f} {ordered[int(len(ordered) * 0.99)] * 1e3:6.2f}"


def main(runs: int = 200) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    heard, told = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener, told), daemon=True
    )
    server.start()
    print(f"{'ms: median, 99th percentile':28} {'connection gone':>16} {'block left':>16}")
    for backend in ("asyncio", "trio"):
        gone: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        left: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        for _ in range(runs):
            for name in PROGRAMS:
                left[name].append(anyio.run(once, name, url, backend=backend))
                gone[name].append(heard.recv() - started[-1])
        for name in PROGRAMS:
            print(f"{name + ' on ' + backend:28} {shown(gone[name]):>16} {shown(left[name]):>16}")
        ratios = [
            statistics.median(of["tether"]) / statistics.median(of["httpx"]) for of in (gone, left)
        ]
        print(f"{'ratio of the medians':28} {ratios[0]:>16.2f} {ratios[1]:>16.2f}")
    server.kill()
    for backend in ("asyncio", "trio"):
        with tempfile.TemporaryDirectory() as folder:
            late = [
                anyio.run(ended_tree, folder, backend=backend) for _ in range(max(1, runs // 50))
            ]
        worst = f"{max(late) * 1e3:.0f} ms after their grace"
        print(f"{'processes gone, on ' + backend:28} {worst:>33}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
