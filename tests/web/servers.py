"""Web servers in the event loop of a test."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import import_module
from typing import Any

import anyio
import anyio.lowlevel
import httpx
from attrs import define
from sniffio import current_async_library

__all__ = ("GUARD", "Reader", "client_of", "hypercorn", "reading", "uvicorn")

GUARD = 60
"""Seconds; the machine may be busy."""


def _listening() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def hypercorn(app: Any) -> AsyncIterator[str]:
    """Serve an application with hypercorn, on the backend of the test, and give its URL."""
    from hypercorn.config import Config

    serve: Any = import_module(f"hypercorn.{current_async_library()}").serve
    listener, url = _listening()
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.errorlog = None
    config.graceful_timeout = 1
    stopped = anyio.Event()

    async def later(*connection: Any) -> None:
        # Where tasks are eager, hypercorn does not hear an application that answers before it waits.
        await anyio.lowlevel.checkpoint()
        await app(*connection)

    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await serve(later, config, shutdown_trigger=stopped.wait)

        tasks.start_soon(run)
        try:
            yield url
        finally:
            stopped.set()


@asynccontextmanager
async def uvicorn(app: Any) -> AsyncIterator[str]:
    """Serve an application with uvicorn, which needs asyncio, and give its URL."""
    from uvicorn import Config, Server

    listener, url = _listening()
    server = Server(Config(app, log_level="critical", timeout_graceful_shutdown=1))
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await server.serve([listener])

        tasks.start_soon(run)
        try:
            yield url
        finally:
            server.should_exit = True


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


def client_of(url: str, **options: Any) -> httpx.AsyncClient:
    """Make a client of a server."""
    return httpx.AsyncClient(base_url=url, timeout=GUARD, trust_env=False, **options)


@define
class Reader:
    """Reads a body, as far as it is asked to."""

    chunks: AsyncIterator[bytes]
    read: bytes = b""

    async def until(self, text: str) -> str:
        """Read until the body holds a text, and return all that was read."""
        while text.encode() not in self.read:
            self.read += await anext(self.chunks)
        return self.read.decode()


@asynccontextmanager
async def reading(client: httpx.AsyncClient, url: str, **options: Any) -> AsyncIterator[Reader]:
    """Get something, and leave it where the block ends."""
    async with client.stream("GET", url, **options) as response:
        assert response.status_code == 200, await response.aread()
        chunks = response.aiter_raw()
        yield Reader(chunks)
        await response.aclose()
        # What is closed raises in the innermost of httpx's generators, which ends them all; else trio complains.
        with suppress(httpx.HTTPError, httpx.StreamError, StopAsyncIteration):
            await anext(chunks)
