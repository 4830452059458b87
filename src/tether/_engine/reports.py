"""What one call reports while it runs: nothing of it comes after the end of the call."""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

from tether.events import ToolExecutionUpdate

__all__ = ("Reports",)


class Reports:
    """The reports of one call.

    Args:
        publish: sends an event to those who follow the run.
    """

    __slots__ = ("_all_delivered", "_on_their_way", "_open", "_publish")

    def __init__(self, publish: Callable[[ToolExecutionUpdate], Awaitable[None]]) -> None:
        self._publish = publish
        self._open = True
        self._on_their_way = 0
        self._all_delivered: anyio.Event | None = None

    async def report(self, update: ToolExecutionUpdate) -> None:
        """Publish an update; one that comes after the end of the call is dropped.

        Cancellation:
            While a consumer is slow; the update may then come later, or not at all.
        """
        if not self._open:
            await anyio.lowlevel.checkpoint()
            return
        self._on_their_way += 1
        try:
            await self._publish(update)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            if self._open:
                raise
        finally:
            self._on_their_way -= 1
            if not self._on_their_way and self._all_delivered is not None:
                self._all_delivered.set()

    def close(self) -> None:
        """Drop what comes from here on."""
        self._open = False

    async def delivered(self) -> None:
        """Wait until the updates that came in time are published: a task that is none of the call's may send some.

        Cancellation:
            At once.
        """
        while self._on_their_way:
            self._all_delivered = anyio.Event()
            await self._all_delivered.wait()
