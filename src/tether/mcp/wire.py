"""What arrives from a server, before the SDK's client reads it.

The client refuses a listing as a whole for one item that is wrong, so such items are taken out here, with the reason.
And the end of the messages is noted, which the client has no word for.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final

import anyio
from attrs import define, field
from mcp.shared.message import SessionMessage
from mcp.types.methods import parse_server_result

from mcp import types
from tether.mcp.printable import one_line
from tether.mcp.schemas import SchemaRefusedError, as_object

__all__ = ("Wire", "tapped")

_LAST_LINES: Final = 5
_LISTS: Final = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}
"""What holds the items of a listing, and the method that it answers."""
_STRICTEST: Final = "2025-11-25"
"""The version of the protocol whose listings are checked most."""
_HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


@define(eq=False)
class Wire:
    """What is known of the messages of one connection."""

    lost: anyio.Event = field(factory=anyio.Event)
    """Set when no more messages will come."""
    refused: dict[str, str] = field(factory=dict)
    """Why items were taken out of listings, by their names."""
    last_words: deque[str] = field(factory=lambda: deque(maxlen=_LAST_LINES))
    """The last lines that a process wrote on its standard error."""
    trouble: str | None = None
    """What ended the connection, or the last answer that was a refusal, where that is known."""
    session_lost: bool = False
    """The server knows the session no longer."""

    def sane(self, message: SessionMessage | Exception) -> SessionMessage | Exception:
        """Take out of a listing what the client would refuse as a whole."""
        if isinstance(message, SessionMessage):
            answer = message.message
            if isinstance(answer, types.JSONRPCResponse):
                for key, method in _LISTS.items():
                    if isinstance(items := answer.result.get(key), list):
                        answer.result[key] = list(self._kept(items, key, method))
        return message

    def _kept(self, items: list[Any], key: str, method: str) -> Iterator[Any]:
        for item in items:
            name = item.get("name") if isinstance(item, dict) else None
            try:
                sane = _sane_tool(item) if key == "tools" else item
                parse_server_result(method, _STRICTEST, {key: [sane]})
            except SchemaRefusedError as error:
                self._refuse(name, str(error))
            except ValueError as error:  # what pydantic raises
                self._refuse(name, f"its entry in the list cannot be read: {error}")
            else:
                yield sane

    def _refuse(self, name: object, reason: str) -> None:
        called = one_line(name, 100) if isinstance(name, str) else "(without a name)"
        self.refused[called] = one_line(reason, 300)


def _sane_tool(item: Any) -> dict[str, Any]:
    """Keep of a tool what is used; its output may be anything, whatever it says of that."""
    if not isinstance(item, dict):
        raise ValueError("it is no object")
    hints = item.get("annotations")
    hints = hints if isinstance(hints, dict) else {}
    sane: dict[str, Any] = {
        "name": item.get("name"),
        "inputSchema": as_object(item.get("inputSchema")),
        "annotations": {name: hints[name] for name in _HINTS if isinstance(hints.get(name), bool)},
    }
    texts = {
        name: item[name] for name in ("title", "description") if isinstance(item.get(name), str)
    }
    if "title" not in texts and isinstance(hints.get("title"), str):
        texts["title"] = hints["title"]
    return sane | texts


@asynccontextmanager
async def tapped(
    transport: AbstractAsyncContextManager[Any], wire: Wire
) -> AsyncIterator[tuple[Any, Any]]:
    """Let what a transport receives pass the wire.

    Args:
        transport: gives a stream to read and one to write.
        wire: what the messages pass.

    Returns:
        A context manager that gives such streams.

    Cancellation:
        Closes the transport, and passes on.
    """
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](0)

    async def pump(source: Any) -> None:
        with send, suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for message in source:
                await send.send(wire.sane(message))
        wire.lost.set()

    with send, receive:
        async with transport as (source, target), anyio.create_task_group() as tasks:
            tasks.start_soon(pump, source)
            try:
                yield receive, target
            finally:
                tasks.cancel_scope.cancel()
