"""A server at an address: streamable HTTP, with what it refuses noted, and what it sends bounded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

import httpx2
from mcp.client.streamable_http import streamable_http_client

from tether.mcp.printable import one_line
from tether.mcp.specs import Http
from tether.mcp.wire import Wire

__all__ = ("http_streams",)

_LARGEST_MESSAGE: Final = 32 * 1024 * 1024
"""Bytes of one message of a server."""
_CONNECT: Final = 30.0
"""Seconds. Answers have no such limit: deadlines of calls are those of the tools."""


@asynccontextmanager
async def http_streams(spec: Http, wire: Wire) -> AsyncIterator[Any]:
    """Open the streams of a server's messages.

    Args:
        spec: its address.
        wire: where its refusals are noted.

    Returns:
        A context manager that gives a stream to read and one to write.

    Cancellation:
        Closes the connections, and passes on.
    """

    async def note(response: httpx2.Response) -> None:
        if response.request.method == "POST":
            _note(response, wire)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            response.stream = _Bounded(response.stream)  # pyright: ignore[reportAttributeAccessIssue]

    client = httpx2.AsyncClient(
        headers={"accept-encoding": "identity", **spec.headers},
        auth=spec.auth,
        timeout=httpx2.Timeout(_CONNECT, read=None),
        event_hooks={"response": [note]},
    )
    async with (
        client,
        streamable_http_client(
            spec.url, http_client=client, max_sse_event_size=_LARGEST_MESSAGE
        ) as streams,
    ):
        yield streams


def _note(response: httpx2.Response, wire: Wire) -> None:
    status = response.status_code
    if status < 400:
        wire.trouble = None
        return
    wire.trouble = f"HTTP {status}"
    with suppress(ValueError):  # a status that has no name
        wire.trouble += f" {HTTPStatus(status).phrase}"
    if challenge := response.headers.get("www-authenticate"):
        wire.trouble += f" ({one_line(challenge, 200)})"
    if status == 404 and "mcp-session-id" in response.request.headers:
        wire.session_lost = True


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends with an error where it is too large."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._chunks: AsyncIterator[bytes] = aiter(body)
        self._size = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self._size += len(chunk)
        if self._size > _LARGEST_MESSAGE:
            raise httpx2.StreamError(
                f"the server sent a message of more than {_LARGEST_MESSAGE:,} bytes"
            )
        return chunk

    async def aclose(self) -> None:
        await self._body.aclose()
