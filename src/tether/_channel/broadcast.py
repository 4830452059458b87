"""What a sink and its streams share: to all consumers in one step or to none, one line of senders, one end.

Senders that must wait stand in line at a lock; the first waits for room, and is woken by whatever may have made some.
"""

from typing import Generic, NoReturn, TypeVar

import anyio

from tether._channel.channel import Channel, State
from tether._channel.failure import Failure, is_broken

__all__ = ("Broadcast",)

E = TypeVar("E")
R = TypeVar("R")


class Broadcast(Generic[E, R]):
    """What a sink and its streams share: the consumers, the line of senders, the end."""

    __slots__ = (
        "_finished",
        "_line",
        "_taking",
        "channels",
        "ended",
        "failure",
        "failures",
        "has_outcome",
        "in_line",
        "only",
        "result",
        "room",
        "waited",
    )

    def __init__(self) -> None:
        self.channels: tuple[Channel[E], ...] = ()
        """The consumers that follow: all but those that were closed; none after the end."""
        self._taking: tuple[Channel[E], ...] = ()
        # Those of them that are open.
        self.only: Channel[E] | None = None
        """The one that is open, where there is just one and nobody is in line: it may be offered an event."""
        self._line: anyio.Lock | None = None
        # Made when somebody waits. Held by the sender that waits for room; the others wait for the lock, first come,
        # first served.
        self.in_line: int = 0
        """How many senders wait. Counted here, as a lock may not be asked outside an event loop."""
        self.waited: float = 0.0
        """Seconds for which consumers had no room while a sender waited."""
        self.room: anyio.Event | None = None
        """What the first in line waits for."""
        self.ended: bool = False
        """Whether no event can follow. The result may."""
        self.has_outcome: bool = False
        """Whether there is a result, or a failure."""
        self._finished: anyio.Event | None = None
        self.result: R | None = None
        self.failure: Failure | None = None
        """What consumers get in place of a result."""
        self.failures: list[Failure] = []
        """That one, and what the producer raised behind the end."""

    # Events.

    def deliver(self, event: E, *, in_turn: bool = False) -> bool:
        """Give the event to all consumers if all can take it and nobody is in line, else to none.

        Args:
            event: what to deliver.
            in_turn: whether the caller is the first in line.

        Returns:
            Whether it was delivered.

        Raises:
            anyio.ClosedResourceError: nothing can follow the end.
            anyio.BrokenResourceError: every consumer has closed its stream.
        """
        if not self.channels:
            self._refuse()
        if self.in_line and not in_turn:
            return False
        taking = self._taking
        if not all(channel.would_take(event) for channel in taking):
            return False
        for channel in taking:
            channel.take(event)
        if any(channel.state is not State.OPEN for channel in taking):
            self._regroup()
        return True

    async def deliver_in_turn(self, event: E) -> None:
        """Stand in line, and deliver the event once all consumers can take it."""
        self.in_line += 1
        try:
            self._line = self._line or anyio.Lock(fast_acquire=True)
            async with self._line:
                while not self.deliver(event, in_turn=True):
                    self.only = None
                    self.room = room = anyio.Event()
                    began = anyio.current_time()
                    try:
                        await room.wait()
                    finally:
                        self.waited += anyio.current_time() - began
        finally:
            self.in_line -= 1
            self._look_who_is_alone()

    @property
    def unread(self) -> int:
        """How many events consumers have not taken yet, all together."""
        return sum(channel.buffer_used for channel in self._taking)

    def room_made(self) -> None:
        """Let the first in line try again."""
        if self.room is not None:
            self.room.set()
            self.room = None

    def check_not_ended(self) -> None:
        """Refuse a second end."""
        if self.ended:
            raise anyio.ClosedResourceError("this sink has ended already")

    def _refuse(self) -> NoReturn:
        if self.ended:
            raise anyio.ClosedResourceError("this sink has ended: nothing can follow its end")
        raise anyio.BrokenResourceError("every consumer of this sink has closed its stream")

    # Consumers.

    def join(self, channel: Channel[E]) -> None:
        """Add a consumer."""
        if self.ended:
            channel.end()
        else:
            self.channels = (*self.channels, channel)
            self._regroup()

    def changed(self) -> None:
        """Note that a consumer has changed its state: there may be room now."""
        self._regroup()
        self.room_made()

    def make_room(self, channel: Channel[E]) -> None:
        """Let a consumer that is about to wait have an event."""
        if channel.state is State.DISCARDING:
            channel.reopen()
            self._regroup()
        self.room_made()

    def _regroup(self) -> None:
        self.channels = tuple(c for c in self.channels if c.state is not State.CLOSED)
        self._taking = tuple(c for c in self.channels if c.state is State.OPEN)
        self._look_who_is_alone()

    def _look_who_is_alone(self) -> None:
        alone = len(self._taking) == 1 and not self.in_line
        self.only = self._taking[0] if alone else None

    # The end.

    def end(self) -> None:
        """Let no event follow."""
        if not self.ended:
            self.ended = True
            for channel in self.channels:
                channel.end()
            self.channels = ()
            self.changed()

    def finish(self, result: R) -> None:
        """End with a result, unless there is one already or a failure."""
        self.end()
        if not self.has_outcome:
            self.result = result
            self._note_outcome()

    def fail(self, exception: BaseException, *, heard: bool = False) -> None:
        """End with a failure; behind another end, it is kept for who opened the stream.

        Args:
            exception: the failure.
            heard: whether nobody has to be told.
        """
        if any(exception is failure.exception for failure in self.failures):
            return
        # A producer that notices that nobody follows any more has not failed.
        nobody = not self.ended and not self.channels and is_broken(exception)
        failure = Failure(exception, heard or nobody)
        self.failures.append(failure)
        self.end()
        if not self.has_outcome:
            self.failure = failure
            self._note_outcome()

    @property
    def finished(self) -> "anyio.Event":
        """Set once there is a result, or a failure; made for those who wait for it."""
        if self._finished is None:
            self._finished = anyio.Event()
            if self.has_outcome:
                self._finished.set()
        return self._finished

    def _note_outcome(self) -> None:
        self.has_outcome = True
        if self._finished is not None:
            self._finished.set()
