"""The other side of an ASGI application, without a server."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
from attrs import define, field
from starlette.applications import Starlette

import tether

__all__ = ("Client", "Following", "following", "opened", "scope_of")


def scope_of(path: str = "/", method: str = "GET", **headers: str) -> dict[str, Any]:
    """Make the scope of a request."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }


@define
class Client:
    """Who has sent a request without a body, and what they were sent."""

    messages: list[Any] = field(factory=list)
    gone: anyio.Event = field(factory=anyio.Event)
    asked: bool = False
    broken: bool = False
    """Whether sending raises, as ASGI 2.4 has it for a client that has gone."""

    async def receive(self) -> Any:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.broken:
            raise BrokenPipeError
        self.messages.append(message)

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def body(self) -> str:
        return b"".join(m.get("body", b"") for m in self.messages).decode()

    @property
    def is_complete(self) -> bool:
        return not self.messages[-1].get("more_body", False)


@asynccontextmanager
async def opened(
    app: Starlette, *, address: str = "127.0.0.1", **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Start an application without a server, and give a client that reads whole answers, at an address."""
    transport = httpx.ASGITransport(app, client=(address, 50000))
    headers = {"content-type": "application/json", **options.pop("headers", {})}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers=headers, **options
        ) as client,
    ):
        yield client


@define
class Following:
    """What a viewer of a conversation has got."""

    client: Client
    seen: int = 0

    @property
    def frames(self) -> list[dict[str, str]]:
        """The events that are complete, each with its fields."""
        parts = self.client.body.split("\n\n")[:-1] if self.client.messages else []
        return [
            dict(line.split(": ", 1) for line in part.splitlines())
            for part in parts
            if not part.startswith(":")
        ]

    @property
    def events(self) -> list[tether.Event]:
        """The events of the conversation."""
        return [tether.from_json(f["data"], tether.Event) for f in self.frames if "event" not in f]

    def named(self, name: str) -> list[Any]:
        """The data of the events of a type."""
        return [json.loads(f["data"]) for f in self.frames if f.get("event") == name]

    @property
    def place(self) -> str:
        """The id of the last event that has one."""
        return [f["id"] for f in self.frames if "id" in f][-1]

    async def until(self, done: Callable[["Following"], object]) -> None:
        """Wait until what was got is enough."""
        with anyio.fail_after(60):
            while not done(self):
                await anyio.sleep(0.001)

    async def until_end(self, runs: int = 1) -> None:
        """Wait until so many runs are over."""
        await self.until(lambda v: sum(isinstance(e, tether.AgentEnd) for e in v.events) >= runs)


@asynccontextmanager
async def following(
    app: Any,
    id: str,
    *,
    after: str = "",
    headers: dict[str, str] | None = None,
    client: Client | None = None,
) -> AsyncIterator[Following]:
    """Follow a conversation, and leave where the block ends."""
    given = {"host": "127.0.0.1", **(headers or {})}
    scope = scope_of(f"/api/conversations/{id}/events", **given)
    scope["query_string"] = f"after={after}".encode() if after else b""
    client = client or Client()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, scope, client.receive, client.send)
        viewer = Following(client)
        await viewer.until(lambda v: v.client.messages[1:])
        yield viewer
        client.gone.set()
