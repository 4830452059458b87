"""The viewers of a conversation: each reads the log at its own pace, and waits at the end of it."""

import threading
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from tether import Event
from tether.host.log import Log

__all__ = ("Ended", "Feed", "Viewer")

Ended: TypeAlias = Literal["deleted", "rest", "closed"]
"""Why a conversation is no longer held: it was deleted, let go of when it was at rest, or its host was closed."""

_CHECKPOINT_EVERY: Final = 32
"""A viewer goes no further than this many events without a checkpoint."""


class _Bell:
    """Wakes up all who wait, and costs next to nothing where nobody does."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    async def rung(self) -> None:
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()


class Feed:
    """A log, and those who wait for more of it, or for something else to change.

    Args:
        log: the log.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.viewers = 0
        """How many follow."""
        self.ended: Ended | None = None
        self._events = _Bell()
        self._changes = _Bell()

    def append(self, event: Event) -> None:
        """Add an event."""
        self.log.append(event)
        self._events.ring()

    def end(self, why: Ended) -> None:
        """Let viewers end, once they have got what is there."""
        if self.ended is None:
            self.ended = why
            self.change()

    def change(self) -> None:
        """Let all who wait look again."""
        self._events.ring()
        self._changes.ring()

    async def more(self) -> None:
        """Wait for an event, or a change.

        Cancellation:
            At once.
        """
        await self._events.rung()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds; the code that makes it true calls `change`.

        Cancellation:
            At once.
        """
        await checkpoint_if_cancelled()
        while not condition():
            await self._changes.rung()


class Viewer(AsyncIterator[tuple[int, Event]]):
    """An iterator over the events of a conversation, with their numbers. Made by `Conversation.follow`.

    It holds no buffer. A viewer that is slow gets what it has missed of a block as one event, with the number of the
    last fragment. It ends when the conversation is deleted, or let go of.

    The conversation counts as watched from the first event that it is asked for, until it is closed, dropped, or at its
    end. Close it with `close`, or use it as a context manager.

    Args:
        feed: what it follows.
        after: the number of the last event that is known already.
    """

    def __init__(self, feed: Feed, after: int) -> None:
        self._feed = feed
        self._state: Literal["new", "following", "closed"] = "new"
        self._receives = False
        self._since_checkpoint = 0
        self._thread = threading.get_ident()
        self.number: int = after
        """That of the last event it has got."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, Event]:
        """Wait for the next event.

        Returns:
            Its number and itself. A number may be higher by more than one than the one before.

        Raises:
            anyio.BusyResourceError: another task waits for an event of this viewer.
            StopAsyncIteration: the conversation is no longer held by its host, or the viewer was closed.

        Cancellation:
            Only before an event is taken: none is lost, and the viewer goes on with the next call.
        """
        if self._receives:
            raise anyio.BusyResourceError("receiving from")
        self._receives = True
        try:
            return await self._next()
        finally:
            self._receives = False

    def next_nowait(self) -> tuple[int, Event] | None:
        """Return the next event if it is there; else None. It is no checkpoint."""
        found = self._feed.log.after(self.number) if self._state == "following" else None
        if found is not None:
            self.number = found[0]
        return found

    async def _next(self) -> tuple[int, Event]:
        self._join()
        self._since_checkpoint += 1
        if self._since_checkpoint >= _CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            await checkpoint()
        while self._state == "following":
            found = self._feed.log.after(self.number)
            if found is not None:
                self.number = found[0]
                return found
            if self._feed.ended is not None:
                break
            self._since_checkpoint = 0
            await self._feed.more()
        self.close()
        await checkpoint_if_cancelled()
        raise StopAsyncIteration

    def close(self) -> None:
        """Stop following. A task that waits for the next event gets `StopAsyncIteration`."""
        if self._state == "following":
            self._feed.viewers -= 1
            self._feed.change()
        self._state = "closed"

    async def aclose(self) -> None:
        """Do the same as `close`, for `contextlib.aclosing`; it never waits."""
        self.close()

    async def __aenter__(self) -> Self:
        self._join()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self._state != "following":
            return
        if self._thread == threading.get_ident():
            self.close()
        else:
            # The garbage collector runs in any thread, where nobody may be woken up.
            self._feed.viewers -= 1

    def _join(self) -> None:
        if self._state == "new":
            self._state = "following"
            self._feed.viewers += 1
            self._feed.change()
