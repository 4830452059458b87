"""What a piece of text costs on its way from the provider to a browser: CPU of the web server's process alone.

Provider and browser are processes of their own. The next piece comes when the browser has got the last, so that each is
told by itself. The server is uvicorn. pydantic-ai, whose adapters speak two of the protocols, is left out where it is
not installed (extra `bench`).

    python -m benchmarks.browser [PIECES]
"""

import asyncio
import importlib.util
import json
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.provider import Counter, provider

REPETITIONS = 3


@frozen
class Case:
    """A protocol, and what is to be counted in it."""

    name: str
    path: str
    body: Any
    mark: bytes
    """What each frame with a piece of text holds, once."""
    make: Callable[[str], Any]
    """Makes the application, for the URL of the provider."""


def ours(url: str) -> Any:
    from tether import Agent, model_from_name
    from tether.web import app

    def make_agent(_: object) -> Agent:
        return Agent(model_from_name("openai-chat:m", base_url=url, api_key="k"))

    return app(make_agent)


def one_response(url: str) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from tether import Agent, model_from_name
    from tether.web import EventStreamResponse

    async def chat(_: Request) -> EventStreamResponse:
        model = model_from_name("openai-chat:m", base_url=url, api_key="k")
        return EventStreamResponse(Agent(model), "go")

    return Starlette(routes=[Route("/chat", chat, methods=["POST"])])


def pydantic_ai(url: str) -> Any:
    from pydantic_ai.ui.ag_ui import AGUIAdapter
    from pydantic_ai.ui.vercel_ai import VercelAIAdapter
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    from benchmarks.peers.pydantic_ai import agent

    own = agent(url)

    async def vercel(request: Request) -> Any:
        return await VercelAIAdapter.dispatch_request(request, agent=own, sdk_version=6)

    async def ag_ui(request: Request) -> Any:
        return await AGUIAdapter.dispatch_request(request, agent=own)

    routes = [
        Route("/vercel", vercel, methods=["POST"]),
        Route("/ag-ui", ag_ui, methods=["POST"]),
    ]
    return Starlette(routes=routes)


UI = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "go"}]}
VERCEL = {"id": "{id}", "messages": [UI], "trigger": "submit-message"}
AG_UI = {
    "threadId": "{id}",
    "runId": "r",
    "messages": [{"id": "u", "role": "user", "content": "go"}],
    "tools": [],
    "context": [],
    "state": {},
    "forwardedProps": {},
}
OPENAI = {"model": "tether", "messages": [{"role": "user", "content": "go"}], "stream": True}

CASES = (
    Case("tether, EventStreamResponse", "/chat", {}, b'"text_delta"', one_response),
    Case("tether, Vercel AI SDK", "/vercel", VERCEL, b'"text-delta"', ours),
    Case("tether, AG-UI", "/ag-ui", AG_UI, b'"TEXT_MESSAGE_CONTENT"', ours),
    Case("tether, OpenAI", "/v1/chat/completions", OPENAI, b'"delta":{"content"', ours),
    Case("pydantic-ai, Vercel AI SDK", "/vercel", VERCEL, b'"text-delta"', pydantic_ai),
    Case("pydantic-ai, AG-UI", "/ag-ui", AG_UI, b'"TEXT_MESSAGE_CONTENT"', pydantic_ai),
)


def browse(port: int, case: Case, id: str, acknowledged: Path, pipe: Any) -> None:
    """Be the browser: send a request, and say of each piece of text that it has come."""
    counter = Counter(acknowledged)
    counter.set(0)
    body = json.dumps(case.body).replace("{id}", id).encode()
    head = f"POST {case.path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n"
    head += f"accept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    count, rest = 0, b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + body)
        while data := connection.recv(65536):
            rest += data
            count += rest.count(case.mark)
            # What is left may hold the beginning of the next mark.
            rest = rest[
                max(rest.rfind(case.mark) + len(case.mark), len(rest) - len(case.mark) + 1) :
            ]
            counter.set(count)
    pipe.send(count)


async def cost(case: Case, count: int, acknowledged: Path, url: str) -> float:
    """Return the microseconds of the server's CPU for each piece of text."""
    from uvicorn import Config, Server

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(Config(case.make(f"{url}/drip/{count}/chat"), log_level="warning"))
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    took: list[float] = []
    for number in range(REPETITIONS + 1):  # the first is for warming up
        here, there = multiprocessing.Pipe()
        arguments = (port, case, f"c{number}", acknowledged, there)
        start = time.process_time()
        reader = multiprocessing.get_context("fork").Process(target=browse, args=arguments)
        reader.start()
        while not here.poll():
            await asyncio.sleep(0.02)
        took.append(time.process_time() - start)
        got = here.recv()
        assert got == count, f"{case.name}: {got} pieces of {count} came"
        reader.join()
    server.should_exit = True
    await serving
    return statistics.median(took[1:]) / count * 1e6


@contextmanager
def shared_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "acknowledged")
        path.write_bytes(bytes(8))
        yield path


def main(count: int = 1000) -> None:
    print(f"{'':30}CPU us/delta")
    with shared_file() as acknowledged, provider(acknowledged=acknowledged) as url:
        for case in CASES:
            if case.make is pydantic_ai and importlib.util.find_spec("pydantic_ai") is None:
                continue
            print(f"{case.name:30}{asyncio.run(cost(case, count, acknowledged, url)):12.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
