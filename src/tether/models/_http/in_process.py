"""A server inside the process, for models that need no network."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import anyio
import httpx
import msgspec

__all__ = ("respond_in_process",)


def respond_in_process(
    respond: Callable[[Mapping[str, Any]], Iterator[Mapping[str, Any]]],
) -> Callable[[], httpx.AsyncBaseTransport]:
    """Make a transport that answers requests by a function: a server inside the process.

    Args:
        respond: from the body of a request to the JSON objects of the event stream that answers it.

    Returns:
        A function that makes the transport, for `HttpModel.transport`.
    """

    def handle(request: httpx.Request) -> httpx.Response:
        events = respond(msgspec.json.decode(request.content))
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, stream=_EventBody(events)
        )

    return lambda: httpx.MockTransport(handle)


class _EventBody(httpx.AsyncByteStream):
    """A body that is made while it is read, with a checkpoint before each event."""

    def __init__(self, events: Iterator[Mapping[str, Any]]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        for event in self._events:
            return b"data: " + msgspec.json.encode(event) + b"\n\n"
        raise StopAsyncIteration
