"""What one call reports while it runs: nothing of it comes after the end of the call, and no question stays open."""

import anyio
import anyio.lowlevel

from tether._engine.publisher import Publisher
from tether.events import ApprovalAnswered, ApprovalRequested, CallEvent

__all__ = ("Reports",)


class Reports:
    """The reports of one call.

    Args:
        publisher: sends events to those who follow the run.
    """

    __slots__ = ("_all_delivered", "_on_their_way", "_open", "_publisher", "_question")

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._question: ApprovalRequested | None = None
        self._open = True
        self._on_their_way = 0
        self._all_delivered: anyio.Event | None = None

    async def report(self, event: CallEvent) -> None:
        """Publish an event of the call; one that comes after the end of the call is dropped.

        Cancellation:
            While a consumer is slow; the event may then come later, or not at all.
        """
        if not self._open:
            await anyio.lowlevel.checkpoint()
            return
        self._on_their_way += 1
        # Noted before it is published: what a cancellation holds up there is published later.
        self._note(event)
        try:
            await self._publisher.publish(event)
            if isinstance(event, ApprovalRequested):
                await self._publisher.caught_up()
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

    def withdraw(self) -> ApprovalAnswered | None:
        """Return what ends the question that is open, if there is one: it counts as ended from here on."""
        question, self._question = self._question, None
        if question is None:
            return None
        return ApprovalAnswered(question.call_id, question.name, "withdrawn")

    def _note(self, event: CallEvent) -> None:
        match event:
            case ApprovalRequested():
                self._question = event
            case ApprovalAnswered():
                self._question = None
            case _:
                pass

    async def delivered(self) -> None:
        """Wait until the updates that came in time are published: a task that is none of the call's may send some.

        Cancellation:
            At once.
        """
        while self._on_their_way:
            self._all_delivered = anyio.Event()
            await self._all_delivered.wait()
