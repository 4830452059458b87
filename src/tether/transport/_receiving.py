"""Receiving from the sockets of an event loop with less than anyio's streams do for it.

Where a model writes fifty words a second, each word is a wait of its own, and what goes with a wait is most of the CPU.

- anyio has asyncio's transport read while somebody waits for bytes, and pauses it behind each wait. These two system
  calls, with all that leads to them, are a sixth of the CPU of a run. Here the transport reads on, and is paused when
  something comes that nobody waits for: what is read ahead is one read at most. anyio has no public way to the
  transport of a stream; where none is to be found, the stream is used as it is.
- asyncio's transport reads up to 256 KiB at once, whatever it is asked for. Where a thousand replies arrive at once,
  that is most of the memory. Here a read is bounded, and what it leaves waits with the system.
- trio tries to read first, which fails as a rule, since nothing has come, and then waits and tries again. Here it
  waits first.
"""

import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.lowlevel import current_token

from tether._scopes.backend import current_backend

__all__ = ("ReadAhead", "receiving")


class ReadAhead(anyio.TypedAttributeSet):
    """What a stream tells of itself besides the attributes of its socket."""

    chunks: Sequence[bytes] = anyio.typed_attribute()
    """What has come and was not received."""


class _Transport(Protocol):
    """Those parts of `asyncio.Transport` that are used here."""

    max_size: int
    """Bytes of a read; that of uvloop has none."""

    def is_closing(self) -> bool: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_protocol(self) -> Any: ...
    def set_protocol(self, protocol: Any, /) -> None: ...


def receiving(stream: SocketStream, most: int) -> ByteStream:
    """Let a stream receive with less.

    Args:
        stream: a stream that nobody receives from yet. From now on it is used through what is returned.
        most: bytes that are read at once by what reads ahead.

    Returns:
        A stream with the same attributes, on asyncio with `ReadAhead`; or the stream itself, if it is of another kind.
    """
    transport: _Transport | None = getattr(stream, "_transport", None)
    queue = getattr(getattr(stream, "_protocol", None), "read_queue", None)
    if transport is not None and queue is not None:
        return _ReadingOn(stream, transport, queue, most)
    # asyncio does not give its sockets away, but something that looks like them: it waits for them itself.
    raw = stream.extra(SocketAttribute.raw_socket, None)
    return _WhenReadable(stream, raw) if isinstance(raw, socket.socket) else stream


class _Receiving(ByteStream):
    """Leaves to a stream all but receiving.

    Args:
        stream: the stream.
    """

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        # The stream is of the event loop that runs.
        self._backend = current_backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _WhenReadable(_Receiving):
    """Waits until a socket can be read, and reads it."""

    def __init__(self, stream: SocketStream, raw: socket.socket) -> None:
        super().__init__(stream)
        self._socket = raw

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while self._socket.fileno() >= 0:
            await self._backend.wait_readable(self._socket)
            try:
                if data := self._socket.recv(max_bytes):
                    return data
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise anyio.BrokenResourceError from error
            raise anyio.EndOfStream
        raise anyio.ClosedResourceError


class _ReadingOn(_Receiving):
    """Receives from the transport of a stream."""

    def __init__(
        self, stream: SocketStream, transport: _Transport, queue: deque[bytes], most: int
    ) -> None:
        super().__init__(stream)
        self._transport = transport
        # What anyio's events are made of, without what they add to be waited for by several tasks.
        loop: Any = current_token().native_token
        self._new_future: Callable[[], Any] = loop.create_future
        self._arrivals = _Arrivals(transport, queue, most)
        transport.set_protocol(self._arrivals)
        if hasattr(transport, "max_size"):
            transport.max_size = most

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {**super().extra_attributes, ReadAhead.chunks: lambda: self._arrivals.chunks}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        arrivals = self._arrivals
        if arrivals.chunks:
            await self._backend.checkpoint()
        elif arrivals.awaited is not None:
            raise anyio.BusyResourceError("reading from")
        elif not (arrivals.has_ended or self._transport.is_closing()):
            self._transport.resume_reading()
            arrivals.awaited = arrival = self._new_future()
            try:
                await arrival
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

    async def aclose(self) -> None:
        self._arrivals.chunks.clear()
        await super().aclose()


class _Arrivals:
    """An `asyncio.Protocol` that takes what arrives, before the one that anyio has given the transport.

    How much is read at once, asyncio's transport has to be told. uvloop's takes this for an `asyncio.BufferedProtocol`,
    and reads into the buffer that it is given.

    Args:
        transport: what reads.
        queue: that of anyio's protocol, which may hold something already.
        most: bytes of a read.
    """

    __slots__ = (
        "_buffer",
        "_most",
        "_protocol",
        "_transport",
        "awaited",
        "chunks",
        "has_ended",
        "pause_writing",
        "resume_writing",
    )

    def __init__(self, transport: _Transport, queue: deque[bytes], most: int) -> None:
        self._transport = transport
        self._most = most
        # One for each read: a connection that waits holds none.
        self._buffer = bytearray()
        self._protocol = transport.get_protocol()
        self.chunks = queue
        self.awaited: Any = None
        """A future that is done when something has come; None unless somebody waits."""
        self.has_ended = False
        self.pause_writing: Callable[[], None] = self._protocol.pause_writing
        self.resume_writing: Callable[[], None] = self._protocol.resume_writing

    def get_buffer(self, sizehint: int) -> bytearray:
        del sizehint
        self._buffer = bytearray(self._most)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        buffer, self._buffer = self._buffer, bytearray()
        self.data_received(memoryview(buffer)[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        self.chunks.append(bytes(data))
        # Where a read is full, more has come as a rule.
        if self.awaited is None or len(data) >= self._most:
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
        arrival, self.awaited = self.awaited, None
        if arrival is not None and not arrival.done():  # as it is if the wait was cancelled
            arrival.set_result(None)
