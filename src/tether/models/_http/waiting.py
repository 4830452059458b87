"""The one deadline of a request and its reply, which moves on with them.

A cancel scope for each read would cost more than the read. So there is one round the request and the block that reads
its reply. Its deadline is set while a server is waited for, and taken away while the consumer has the word.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

import anyio
import httpx
from attrs import frozen

from tether._scopes.backend import current_backend

__all__ = ("TimedBody", "Waiting")

_SLACK: Final = 1 / 16
"""How much later, of its time, a deadline may come that is not moved at each wait."""


class Waiting:
    """How long a server may let us wait for what comes next."""

    __slots__ = ("_now", "error", "scope")

    def __init__(self) -> None:
        self._now: Callable[[], float] = current_backend().current_time
        self.scope = anyio.CancelScope()
        """Round the request and its reply."""
        self.error: type[httpx.TimeoutException] = httpx.ConnectTimeout
        """What it means when the time is over."""

    def allow(self, seconds: float, error: type[httpx.TimeoutException]) -> None:
        """Let the time begin.

        Args:
            seconds: from now on.
            error: what it means when they are over.
        """
        self.error = error
        self.scope.deadline = self._now() + seconds

    def allow_again(self, seconds: float, error: type[httpx.TimeoutException]) -> None:
        """Let the time begin anew, for one of many short waits: to move the deadline costs more than such a wait.

        Args:
            seconds: from now on; it may be a sixteenth more, never less.
            error: what it means when they are over.
        """
        self.error = error
        soonest = self._now() + seconds
        if not soonest <= self.scope.deadline <= soonest + seconds * _SLACK:
            self.scope.deadline = soonest + seconds * _SLACK

    def stop(self) -> None:
        """Take the deadline away."""
        self.scope.deadline = math.inf

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.scope.deadline - self._now()

    def caused(self, cancellation: BaseException) -> bool:
        """Say whether a cancellation came because the time is over, and from nobody else.

        After that every further wait in the scope is cancelled too, until it is left.

        Args:
            cancellation: what was raised.
        """
        if not self.scope.cancel_called:
            return False
        # asyncio's own cancellation reads otherwise than anyio's on it; trio cancels again if somebody else has.
        is_native = type(cancellation).__module__.startswith("asyncio")
        return not is_native or str(cancellation).startswith("Cancelled via cancel scope")


class TimedBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """The body of a request in one piece, which moves the deadline on.

    httpx's own is an async generator, which stays unfinished if the request is cancelled while it is sent.

    Args:
        body: what is sent.
        waiting: the deadline.
        seconds: for the body to be sent, and again as many until the answer begins.
    """

    def __init__(self, body: bytes, waiting: Waiting, seconds: float) -> None:
        self._body = body
        self._waiting = waiting
        self._seconds = seconds

    def __iter__(self) -> Iterator[bytes]:
        # There is a connection.
        self._waiting.allow(self._seconds, httpx.WriteTimeout)
        yield self._body
        self._waiting.allow(self._seconds, httpx.ReadTimeout)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _WithoutWaiting(iter(self))


@frozen(eq=False, repr=False)
class _WithoutWaiting(AsyncIterator[bytes]):
    """An iterator, for those who want an asynchronous one."""

    pieces: Iterator[bytes]

    async def __anext__(self) -> bytes:
        for piece in self.pieces:
            return piece
        raise StopAsyncIteration
