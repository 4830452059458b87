"""Servers of the SDK over HTTP on the loopback interface, in the event loop of the test; and ways to break them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from hypercorn.config import Config
from mcp.server.mcpserver import MCPServer
from tests.ports import reserved_port

__all__ = ("Gate", "served")

App = Callable[..., Awaitable[None]]


class Gate:
    """Stands before an application: it counts requests, and refuses them as it is told."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.refuse: Callable[[dict[str, Any]], tuple[int, dict[str, str]] | None] = lambda _: None
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if (refusal := self.refuse(scope)) is None:
            await self.app(scope, receive, send)
            return
        status, headers = refusal
        while (await receive()).get("more_body"):
            pass
        names = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": names})
        await send({"type": "http.response.body", "body": json.dumps({"no": status}).encode()})


@asynccontextmanager
async def served(
    server: MCPServer[Any] | App, port: int | None = None
) -> AsyncIterator[tuple[str, Gate]]:
    """Serve an application for the time of a block; give the address of `/mcp`, and the gate."""
    if isinstance(server, MCPServer):
        app: Any = server.streamable_http_app()
    else:
        app = server
    gate = Gate(app)
    stop = anyio.Event()
    with reserved_port() as free:
        port = port or free
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_serve, gate, port, stop)
            with anyio.fail_after(30):
                while not await _answers(port):
                    await anyio.sleep(0.01)
            try:
                yield f"http://127.0.0.1:{port}/mcp", gate
            finally:
                stop.set()
                tasks.cancel_scope.deadline = anyio.current_time() + 30


async def _serve(app: Any, port: int, stop: anyio.Event) -> None:
    import sniffio

    if sniffio.current_async_library() == "trio":
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve  # type: ignore[assignment]

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    config.graceful_timeout = 0.1
    config.shutdown_timeout = 30
    await serve(app, config, shutdown_trigger=stop.wait, mode="asgi")


async def _answers(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return True
    except OSError:
        return False
