"""Streams of asyncio that read on between two waits.

anyio has asyncio's transport read while somebody waits for bytes, and pauses it behind each wait. Where a model writes
fifty words a second, these two system calls, with all that leads to them, are a sixth of the CPU of a run. Here the
transport reads on, and is paused when something comes that nobody waits for: what is read ahead is one read at most.

anyio has no public way to the transport of a stream. Where there is none to be found, as on trio, the stream is used as
it is.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import anyio
from anyio.abc import ByteStream, SocketStream
from anyio.lowlevel import checkpoint

from tether._scopes.backend import current_backend

__all__ = ("ReadAhead", "reading_on")


class ReadAhead(anyio.TypedAttributeSet):
    """What a stream tells of itself besides the attributes of its socket."""

    chunks: Sequence[bytes] = anyio.typed_attribute()
    """What has come and was not received."""


class _Transport(Protocol):
    """Those parts of `asyncio.Transport` that are used here."""

    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_protocol(self) -> Any: ...
    def set_protocol(self, protocol: Any, /) -> None: ...


def reading_on(stream: SocketStream) -> ByteStream:
    """Let a stream read on between two waits, if it is one of asyncio's.

    Args:
        stream: a stream that nobody receives from yet. From now on it is used through what is returned.

    Returns:
        A stream with the same attributes, and `ReadAhead`; or the stream itself.
    """
    transport: _Transport | None = getattr(stream, "_transport", None)
    queue = getattr(getattr(stream, "_protocol", None), "read_queue", None)
    if transport is None or queue is None:
        return stream
    return _ReadingOn(stream, transport, queue)


class _ReadingOn(ByteStream):
    """Receives from the transport of a stream, and leaves all else to the stream."""

    def __init__(self, stream: SocketStream, transport: _Transport, queue: deque[bytes]) -> None:
        self._stream = stream
        self._transport = transport
        self._arrivals = _Arrivals(transport, queue)
        # The task that opened the connection reads it too, or another one of its event loop.
        self._new_event: Callable[[], anyio.Event] = current_backend().create_event
        transport.set_protocol(self._arrivals)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {**self._stream.extra_attributes, ReadAhead.chunks: lambda: self._arrivals.chunks}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        arrivals = self._arrivals
        if arrivals.chunks:
            await checkpoint()
        elif not (arrivals.has_ended or self._transport.is_closing()):
            self._transport.resume_reading()
            arrivals.awaited = event = self._new_event()
            try:
                await event.wait()
            finally:
                arrivals.awaited = None
        if not arrivals.chunks:
            # It knows how the connection has ended.
            return await self._stream.receive(max_bytes)
        chunk = arrivals.chunks.popleft()
        if len(chunk) > max_bytes:
            arrivals.chunks.appendleft(chunk[max_bytes:])
            return chunk[:max_bytes]
        return chunk

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Arrivals:
    """An `asyncio.Protocol` that takes what arrives, before the one that anyio has given the transport.

    Args:
        transport: what reads.
        queue: that of anyio's protocol, which may hold something already.
    """

    __slots__ = (
        "_protocol",
        "_transport",
        "awaited",
        "chunks",
        "has_ended",
        "pause_writing",
        "resume_writing",
    )

    def __init__(self, transport: _Transport, queue: deque[bytes]) -> None:
        self._transport = transport
        self._protocol = transport.get_protocol()
        self.chunks = queue
        self.awaited: anyio.Event | None = None
        """Set when something has come; None unless somebody waits."""
        self.has_ended = False
        self.pause_writing: Callable[[], None] = self._protocol.pause_writing
        self.resume_writing: Callable[[], None] = self._protocol.resume_writing

    def data_received(self, data: bytes) -> None:
        self.chunks.append(bytes(data))
        if self.awaited is None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool | None:
        stays_open: bool | None = self._protocol.eof_received()
        self._end()
        return stays_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
        self._end()

    def _end(self) -> None:
        self.has_ended = True
        self._wake()

    def _wake(self) -> None:
        if self.awaited is not None:
            self.awaited.set()
            self.awaited = None
