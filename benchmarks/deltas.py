"""CPU microseconds per text delta, through the whole path, beside plain httpx on the same stream.

The server is a process of its own and sends a chat-completions reply of many deltas, each an HTTP chunk. The
client's CPU time is taken: for tether from the socket through the decoder, the loop and the channel to a consumer
of events; for httpx alone, reading lines and decoding their JSON. Repetitions take turns; medians are compared.

    python benchmarks/deltas.py [DELTAS] [REPETITIONS]
"""

import json
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import uvloop

from tether import Agent, MessageUpdate, TextDelta, model_from_name


def serve(listener: socket.socket, deltas: int) -> None:
    """Answer every request with the same reply, one connection at a time."""
    body = b"".join(chunk(delta) for delta in ["word "] * deltas) + chunk(None) + sse(b"[DONE]")
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    while True:
        connection, _ = listener.accept()
        with connection:
            request = b""
            while b"\r\n\r\n" not in request or not request.endswith(b"}"):
                request += connection.recv(65536)
            connection.sendall(head + body + b"0\r\n\r\n")


def chunk(content: str | None) -> bytes:
    delta = {} if content is None else {"content": content}
    choice = {
        "index": 0,
        "delta": delta,
        "logprobs": None,
        "finish_reason": None if delta else "stop",
    }
    whole = {
        "id": "chatcmpl-BTKqHqGjKzKQ0QWqVwDOmzqQqYxYB",
        "object": "chat.completion.chunk",
        "created": 1746530000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_0392822090",
        "choices": [choice],
    }
    return sse(json.dumps(whole).encode())


def sse(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


async def plain(url: str, deltas: int) -> list[float]:
    times = [time.process_time()]
    count = 0
    async with (
        httpx.AsyncClient(verify=False, timeout=60) as client,
        client.stream("POST", f"{url}/chat/completions", content=b"{}") as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["choices"][0]["delta"].get(
                "content"
            ):
                count += 1
                if count % 1000 == 0:
                    times.append(time.process_time())
    assert count == deltas
    return times


async def ours(url: str, deltas: int) -> list[float]:
    agent = Agent(model_from_name("openai-chat:m", base_url=url))
    times = [time.process_time()]
    count = 0
    async with agent.run("go") as run:
        async for event in run:
            match event:
                case MessageUpdate(TextDelta()):
                    count += 1
                    if count % 1000 == 0:
                        times.append(time.process_time())
    assert count == deltas
    return times


Program = Callable[[str, int], Awaitable[list[float]]]
ROWS: dict[str, tuple[Program, str, dict[str, Any]]] = {
    "httpx on asyncio": (plain, "asyncio", {}),
    "tether on asyncio": (ours, "asyncio", {}),
    "httpx on uvloop": (plain, "asyncio", {"loop_factory": uvloop.new_event_loop}),
    "tether on uvloop": (ours, "asyncio", {"loop_factory": uvloop.new_event_loop}),
    "httpx on trio": (plain, "trio", {}),
    "tether on trio": (ours, "trio", {}),
}


def main(deltas: int = 20_000, repetitions: int = 5) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = multiprocessing.get_context("fork").Process(
        target=serve, args=(listener, deltas), daemon=True
    )
    server.start()
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in ROWS}
    for _ in range(repetitions):
        for name, (program, backend, options) in ROWS.items():
            times = anyio.run(program, url, deltas, backend=backend, backend_options=options)
            total = (times[-1] - times[0]) / deltas * 1e6
            seen[name].append((total, (times[-1] - times[-2]) / (times[2] - times[1])))
    server.kill()
    print(f"{'':20} CPU us/delta   ratio to httpx   last to second thousand")
    for name, values in seen.items():
        total = statistics.median(value for value, _ in values)
        growth = statistics.median(value for _, value in values)
        base = statistics.median(v for v, _ in seen[f"httpx on {name.split(' on ')[1]}"])
        print(f"{name:20} {total:12.2f}   {total / base:14.2f}   {growth:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
