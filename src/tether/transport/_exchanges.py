"""One request over one connection, and its answer."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx

from tether.transport._bodies import Body, body_of
from tether.transport._connections import CLOSING_TIME, Connection
from tether.transport._heads import Head, read_head
from tether.transport._pool import Pool
from tether.transport._requests import FramedRequest

__all__ = ("AnswerBody", "ConnectionWasStaleError", "exchange")


class ConnectionWasStaleError(Exception):
    """The server had closed a connection that was kept, and has not got the whole request."""


async def exchange(
    pool: Pool, connection: Connection, request: httpx.Request, framed: FramedRequest
) -> httpx.Response:
    """Send a request, and read the answer up to its body.

    Args:
        pool: gets the connection back.
        connection: one that was taken from it.
        request: what is sent.
        framed: the same, as bytes.

    Raises:
        ConnectionWasStaleError: the request can be sent again over another connection.
        httpx.RequestError: it failed otherwise.

    Cancellation:
        Closes the connection.
    """
    timeouts = request.extensions.get("timeout", {})
    try:
        is_sent = await _send(connection, request, framed, timeouts.get("write"))
        head, rest = await _read_head(connection, timeouts.get("read"), is_sent=is_sent)
    except BaseException:
        await pool.drop(connection)  # noqa: ASYNC102 - it shields what it waits for
        raise
    body = body_of(head, request.method)
    both_keep = framed.framing.keeps_alive and head.framing.keeps_alive
    keeps_alive = is_sent and both_keep and not head.framing.is_ambiguous
    return httpx.Response(
        head.status,
        headers=head.headers,
        stream=AnswerBody(pool, connection, body, timeouts, rest, keeps_alive=keeps_alive),
        extensions={
            "http_version": head.version,
            "reason_phrase": head.reason,
            "network_stream": connection,
        },
    )


async def _send(
    connection: Connection, request: httpx.Request, framed: FramedRequest, seconds: float | None
) -> bool:
    """Send a request.

    Returns:
        Whether all of it was sent. A server may hang up before, and have answered.
    """
    stream: Any = request.stream
    try:
        if isinstance(stream, httpx.SyncByteStream):
            await _send_at_once(connection, stream, framed, seconds)
        else:
            await _send_as_it_comes(connection, stream, framed, seconds)
    except httpx.WriteError:
        return False
    return True


async def _send_at_once(
    connection: Connection,
    stream: httpx.SyncByteStream,
    framed: FramedRequest,
    seconds: float | None,
) -> None:
    """Send a body that nobody has to wait for, its first piece together with the head."""
    data = framed.head
    for piece in stream:
        await connection.send(data + framed.piece(piece), seconds)
        data = b""
    if data := data + framed.end():
        await connection.send(data, seconds)


async def _send_as_it_comes(
    connection: Connection,
    stream: httpx.AsyncByteStream,
    framed: FramedRequest,
    seconds: float | None,
) -> None:
    await connection.send(framed.head, seconds)
    pieces: AsyncIterator[bytes] = aiter(stream)
    try:
        async for piece in pieces:
            if data := framed.piece(piece):
                await connection.send(data, seconds)
    finally:
        if (aclose := getattr(pieces, "aclose", None)) is not None:
            with anyio.move_on_after(CLOSING_TIME, shield=True):
                await aclose()
    if data := framed.end():
        await connection.send(data, seconds)


async def _read_head(
    connection: Connection, seconds: float | None, *, is_sent: bool
) -> tuple[Head, bytes]:
    """Read the head of the final answer; return it, and what came behind it."""
    data = b""
    try:
        while True:
            if (found := read_head(data)) is None:
                more = await connection.receive(seconds)
                if not more:
                    raise httpx.RemoteProtocolError(
                        "Server disconnected without sending a response."
                    )
                data += more
                continue
            head, end = found
            data = data[end:]
            if head.status >= 200:
                return head, data
            if head.status == 101:
                raise httpx.RemoteProtocolError(
                    "Received server _SWITCH_UPGRADE event without a pending proposal"
                )
    except (httpx.ReadError, httpx.RemoteProtocolError) as error:
        if data or is_sent or connection.is_fresh:
            raise
        raise ConnectionWasStaleError from error


class AnswerBody(httpx.AsyncByteStream):
    """The body of an answer: an iterator, which reads when it is asked and not before.

    Args:
        pool: gets the connection back, when the body is over or closed.
        connection: what it is read from.
        body: takes it out of what frames it.
        timeouts: of the request; `read` is looked up at each wait.
        data: what came together with the head.
        keeps_alive: whether the connection may carry another request afterwards.
    """

    def __init__(
        self,
        pool: Pool,
        connection: Connection,
        body: Body,
        timeouts: dict[str, float | None],
        data: bytes,
        *,
        keeps_alive: bool,
    ) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._body = body
        self._timeouts = timeouts
        self._keeps_alive = keeps_alive
        self._ready = self._taken(data)

    @property
    def is_over(self) -> bool:
        """Whether all of it was read."""
        return self._body.is_over and not self._ready

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece, self._ready = self._ready, b""
        body = self._body
        while not piece:
            if body.is_over or body.failure:
                await self.aclose()
                if body.failure:
                    raise httpx.RemoteProtocolError(body.failure)
                raise StopAsyncIteration
            if self._connection is None:
                raise httpx.StreamClosed
            try:
                data = await self._connection.receive(self._timeouts.get("read"))
            except BaseException:
                await self.aclose()
                raise
            piece = self._taken(data) if data else self._ended()
        return piece

    async def aclose(self) -> None:
        """Close it; a connection in the middle of the body is closed too.

        Cancellation:
            Waits until it is closed.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.drop(connection)

    def _taken(self, data: bytes) -> bytes:
        """Take what arrived; at the end of the body, give the connection back at once if it can be used again."""
        body = self._body
        piece = body.feed(data)
        if (
            body.is_over
            and self._keeps_alive
            and not body.rest
            and self._connection is not None
            and self._pool.keep(self._connection)
        ):
            self._connection = None
        return piece

    def _ended(self) -> bytes:
        self._keeps_alive = False
        self._body.end()
        return b""
