"""The other side of an ASGI application, without a server."""

from typing import Any

import anyio
from attrs import define, field

__all__ = ("Client", "scope_of")


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
