"""Responses that are sent piece by piece, until they are complete or their reader has gone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import anyio
from anyio.lowlevel import checkpoint
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tether.embedding.disconnect import until_disconnect
from tether.embedding.task_group import open_task_group
from tether.web.refusals import Refusal, refused
from tether.web.sse import COMMENT

__all__ = ("KEEP_ALIVE", "Body", "StreamedResponse", "Streams")

KEEP_ALIVE: Final = 15.0
"""Seconds between two comments; proxies close connections on which nothing is sent for a minute or so."""

_HEADERS: Final = {
    # Neither kept nor recompressed, which would hold events back, nor collected by nginx.
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
}


class Streams:
    """The responses of a server that go on until it ends: closing them ends each in order."""

    KEY: Final = "tether.streams"
    """Where they are found in the scope of a request."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._closed = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Run a block until it is done, or the streams are closed."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._closed:
                scope.cancel()
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def close(self) -> None:
        """End all blocks, and those that begin later."""
        self._closed = True
        for scope in self._scopes:
            scope.cancel()


class Body:
    """The body of a response that is being sent. Several tasks may send.

    Args:
        send: the ASGI callable.
        start: the message that begins the response.
        reader: the scope that ends when the reader goes.
    """

    __slots__ = ("_lock", "_reader", "_send", "_start", "begun")

    def __init__(self, send: Send, start: Mapping[str, object], reader: anyio.CancelScope) -> None:
        self._send = send
        self._start = start
        self._reader = reader
        self._lock = anyio.Lock(fast_acquire=True)
        self.begun: bool = False

    async def send(self, piece: bytes = b"", *, more: bool = True) -> None:
        """Send a piece. The first begins the response: from then on it cannot become another one.

        Args:
            piece: what to send.
            more: whether another piece may follow.

        Cancellation:
            Also when the reader has gone. A piece that was begun may be incomplete.
        """
        async with self._lock:
            try:
                if not self.begun:
                    self.begun = True
                    await self._send({**self._start})
                await self._send({"type": "http.response.body", "body": piece, "more_body": more})
            except OSError:
                # Since version 2.4, ASGI servers may raise it when the reader has gone.
                self._reader.cancel()
                await checkpoint()

    async def keep_alive(self, seconds: float) -> None:
        """Send comments until cancelled, once the response has begun."""
        while True:
            await anyio.sleep(seconds)
            if self.begun:
                await self.send(COMMENT)


class StreamedResponse(Response):
    """Server-sent events, written by `write` in a subclass.

    What `write` does is cancelled when the reader goes, and ended in order when the server ends. A `Refusal` that it
    raises before it sends anything is answered as such.

    Args:
        headers: of the response.
        keep_alive: seconds between two comments.
        background: what to do when the response is over.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        keep_alive: float = KEEP_ALIVE,
        background: BackgroundTask | None = None,
    ) -> None:
        self.status_code = 200
        self.background = background
        self.init_headers({**_HEADERS, **(headers or {})})
        self._keep_alive = keep_alive

    async def write(self, scope: Scope, body: Body) -> None:
        """Write the body.

        Raises:
            Refusal: there is nothing to send.
        """
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response.

        Raises:
            Exception: what `write` raises, behind the end of the body.

        Cancellation:
            Passes through to `write` and on.
        """
        async with until_disconnect(receive) as reader, open_task_group() as tasks:
            start = {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
            body = Body(send, start, reader)
            tasks.start_soon(body.keep_alive, self._keep_alive)
            try:
                if scope["method"] != "HEAD":
                    with scope.get(Streams.KEY, Streams()).opened():
                        await self.write(scope, body)
            except Refusal as refusal:
                if body.begun:
                    raise
                await refused(refusal)(scope, receive, send)
            else:
                await body.send(more=False)
        if self.background is not None:
            await self.background()
