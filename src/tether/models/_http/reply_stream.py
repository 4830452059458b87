"""The body of an answer: bytes to events to deltas, each step a generator, none of them ahead of its consumer."""

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any, Final, Protocol

import anyio
import httpx

from tether.deltas import Delta, ReplyEnd, ReplyInfo
from tether.errors import ModelError
from tether.models._http.unpacking import Unpacker, unpacker
from tether.models._http.waiting import Waiting
from tether.models._wire.protocol import Decoder, Frames
from tether.transport._exchanges import AnswerBody

__all__ = ("Border", "ReplyStream", "error_body", "opened_body")

_LONGEST_ERROR_BODY: Final = 64 * 1024
_ERROR_BODY_TIME: Final = 10.0
_LAST_BYTES_TIME: Final = 0.25
"""Seconds for what follows the end of a reply, so that its connection can be used again."""

_FACTS: Final = frozenset({ReplyInfo, ReplyEnd})
"""Deltas with texts that the server has written, and not the model."""


class Border(Protocol):
    """What everything that comes from outside passes."""

    def explained(self, error: Exception, *, answered: bool) -> ModelError:
        """Make an error for people of whatever was raised, and take secrets out of it."""
        ...

    def cleaned_delta(self, delta: Delta) -> Delta:
        """Take secrets out of what a server reports about its reply."""
        ...


class ReplyStream:
    """A reply as it arrives; the body is read on when all deltas are used up.

    Args:
        chunks: the body.
        frames: cuts it into events.
        decoder: reads the events.
        border: what errors and facts pass.
        unpacker: unpacks the body, if it is packed.
        room: bytes that the body may have, unpacked; and again as many on the wire, if it is packed.
        waiting: the deadline, which is set while a chunk is waited for.
        first_byte_timeout: seconds to wait for the first chunk.
        idle_timeout: seconds to wait for each of the others.
    """

    __slots__ = (
        "_border",
        "_chunks",
        "_decoder",
        "_frames",
        "_has_begun",
        "_idle_timeout",
        "_over",
        "_pieces",
        "_ready",
        "_room",
        "_room_on_the_wire",
        "_timeout",
        "_unpacker",
        "_waiting",
        "_without_pauses",
        "error",
    )

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        frames: Frames,
        decoder: Decoder,
        *,
        border: Border,
        unpacker: Unpacker | None,
        room: int,
        waiting: Waiting,
        first_byte_timeout: float,
        idle_timeout: float,
    ) -> None:
        self._chunks = chunks
        self._frames = frames
        self._decoder = decoder
        self._border = border
        self._unpacker = unpacker
        self._pieces: Iterator[bytes] = iter(())
        self._room = self._room_on_the_wire = room
        self._waiting = waiting
        self._timeout = first_byte_timeout
        self._idle_timeout = idle_timeout
        self._has_begun = False
        self._without_pauses = False
        self._ready: list[Delta] = []
        # The next delta stands last.
        self._over = False
        self.error: ModelError | None = None
        """What is wrong with it, to be raised when the deltas before are delivered."""
        next(self._frames)
        next(decoder)

    def without_pauses(self) -> Callable[[], None]:
        """Take the promise that nothing is waited for between two deltas: the deadline then stays in between.

        Returns:
            What to call before anything else is waited for.
        """
        self._without_pauses = True
        return self._waiting.stop

    def timed_out(self) -> ModelError | None:
        """Say what is wrong with it where the deadline has cancelled its consumer.

        Returns:
            The error; None where the whole reply was delivered before.
        """
        if self.error is None and (self._ready or not self._over):
            self.error = self._border.explained(httpx.ReadTimeout(""), answered=True)
        return self.error

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        ready = self._ready
        while not ready:
            if self.error is not None:
                raise self.error
            if self._over:
                self._waiting.stop()
                await self._read_to_the_end()
                raise StopAsyncIteration
            await self._read()
        delta = ready.pop()
        return self._border.cleaned_delta(delta) if type(delta) in _FACTS else delta

    async def _read(self) -> None:
        try:
            packed = self._unpacker is not None
            piece = await (self._next_unpacked() if packed else self._next_chunk())
        except StopAsyncIteration:
            self._end(None)
        except (httpx.HTTPError, httpx.StreamError, zlib.error) as error:
            failure = self._border.explained(error, answered=self._has_begun)
            self._end(failure)
        else:
            self._take(piece)
        finally:
            self._ready.reverse()

    async def _next_unpacked(self) -> bytes:
        assert self._unpacker is not None
        while (piece := next(self._pieces, None)) is None:
            if self._unpacker.is_over:
                raise StopAsyncIteration
            chunk = await self._next_chunk()
            self._room_on_the_wire -= len(chunk)
            if self._room_on_the_wire < 0:
                raise zlib.error("it is larger than it may be")
            self._pieces = self._unpacker.unpack(chunk)
        return piece

    async def _next_chunk(self) -> bytes:
        closely = self._without_pauses and self._has_begun
        allow = self._waiting.allow_again if closely else self._waiting.allow
        allow(self._timeout, httpx.ReadTimeout)
        try:
            chunk = await self._chunks.__anext__()
        except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103 - the scope is left by the error
            if not self._waiting.caused(error):
                raise
        else:
            self._has_begun = True
            self._timeout = self._idle_timeout
            return chunk
        finally:
            if not self._without_pauses:
                self._waiting.stop()
        raise httpx.ReadTimeout("")

    def _take(self, piece: bytes) -> None:
        self._room -= len(piece)
        decode, extend = self._decoder.send, self._ready.extend
        try:
            for event in self._frames.send(piece):
                extend(decode(event))
        except StopIteration as end:
            self._finish(end)
        except ModelError as error:
            # Deltas that came before it in the same read are delivered first.
            self._fail(error)
        else:
            if self._room < 0:
                self._end(ModelError("the reply is larger than it may be", kind="malformed"))

    def _end(self, failure: ModelError | None) -> None:
        """Report the end of the body to the decoder, and its reason."""
        try:
            if failure is None:
                for event in self._frames.send(None):
                    self._ready.extend(self._decoder.send(event))
                self._decoder.send(None)
            else:
                self._decoder.throw(failure)
        except StopIteration as end:
            self._finish(end)
        except ModelError as error:
            self._fail(error)

    def _fail(self, error: ModelError) -> None:
        self.error = self._border.explained(error, answered=True)

    def _finish(self, end: StopIteration) -> None:
        self._over = True
        self._ready.extend(end.value)

    async def _read_to_the_end(self) -> None:
        """Read what follows the reply, usually the end of the body alone; the reply is whole without it."""
        if isinstance(self._chunks, AnswerBody) and self._chunks.is_over:
            return
        with anyio.move_on_after(_LAST_BYTES_TIME), suppress(httpx.HTTPError, httpx.StreamError):
            async for _ in self._chunks:
                pass


def opened_body(response: httpx.Response) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    """Open a body as it arrives, without the counting and cutting that httpx would add.

    Args:
        response: an answer that was begun.

    Returns:
        A context manager that gives the chunks. All generators are finished when it is left.
    """
    stream: Any = response.stream
    # Our own transport reads it with an iterator, of which nothing is left open.
    return nullcontext(stream) if isinstance(stream, AnswerBody) else _unwound(aiter(stream))


@asynccontextmanager
async def _unwound(chunks: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Finish what reads a body.

    The transport of httpx, through which proxies are reached, has several async generators, one inside the other.
    Closing the outer one leaves the others to the garbage collector, of which trio complains. One more step inside a
    cancelled scope ends each of them as in a cancelled task.
    """
    try:
        yield chunks
    finally:
        # A cancellation or the end of the body has finished a generator already.
        if getattr(chunks, "ag_frame", chunks) is not None:
            with anyio.CancelScope() as scope:  # noqa: ASYNC100 - each step of the generator is one
                scope.cancel()
                async for _ in chunks:  # noqa: ASYNC102 - it is there to be cancelled
                    pass


async def error_body(response: httpx.Response) -> bytes:
    """Read the body of an error, as far as it comes and can be unpacked, within bounds of time and size."""
    body = bytearray()
    with (
        anyio.move_on_after(_ERROR_BODY_TIME),
        suppress(httpx.HTTPError, httpx.StreamError, zlib.error),
    ):
        unpacking = unpacker(response.headers.get("content-encoding", ""))
        async with opened_body(response) as chunks:
            async for chunk in chunks:
                for piece in (chunk,) if unpacking is None else unpacking.unpack(chunk):
                    body += piece
                    if len(body) > _LONGEST_ERROR_BODY:
                        break
                if len(body) > _LONGEST_ERROR_BODY or (unpacking and unpacking.is_over):
                    break
    return bytes(body[:_LONGEST_ERROR_BODY])
