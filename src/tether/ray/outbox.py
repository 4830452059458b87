"""What a run on a worker has to say, until the driver has it: bounded in number and in bytes.

Each item has a number. The driver pulls what comes behind the number that it has; that confirms all before, which is
then forgotten here. So an answer that is lost is given again, and what has not been confirmed is not certain.
"""

import math
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from tether._channel.broadcast import Broadcast
from tether.deltas import TextDelta
from tether.events import Event, MessageUpdate, ToolExecutionUpdate
from tether.ray.exchange import Item
from tether.ray.packing import sendable
from tether.session import Session
from tether.session.entries import Entry
from tether.stream import CHECKPOINT_EVERY, EventSink

__all__ = ("Bell", "Kept", "Mirror", "Outbox", "Sink")

_BATCH_EVENTS: Final = 2048
_BATCH_BYTES: Final = 64 * 1024
"""Ray hands over what is smaller than 100 KiB without its object store."""
_MOST_EVENTS: Final = 2 * _BATCH_EVENTS
_MOST_BYTES: Final = 2 * _BATCH_BYTES
"""One batch is on its way while the next one fills."""
_OVERHEAD: Final = 8
"""Bytes of an event beside its text, as it is sent."""


class Bell:
    """Is rung where there is something for a pull that waits.

    Args:
        due: when what there is has to go, on the clock of the event loop, as an earlier pull has waited for more.
    """

    def __init__(self, due: float = math.inf) -> None:
        self.due: float = due
        self._rung = anyio.Event()
        self._hurried = anyio.Event()

    @property
    def is_rung(self) -> bool:
        """Whether there is something."""
        return self._rung.is_set()

    def ring(self, *, hurry: bool) -> None:
        """Say that there is something, and whether it has to go at once."""
        self._rung.set()
        if hurry:
            self._hurried.set()

    async def wait(self, linger: float) -> None:
        """Wait until there is something, and then for more, for as many seconds.

        Cancellation:
            At once.
        """
        await self._rung.wait()
        self.due = min(self.due, anyio.current_time() + linger)
        with anyio.CancelScope(deadline=self.due):
            await self._hurried.wait()


class Outbox:
    """The items of one run."""

    def __init__(self) -> None:
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        # How many items were confirmed and forgotten, and how far a pull has to be answered at once.
        self._confirmed = 0
        self._urgent = 0
        # That of the pull that waits for items.
        self._bell: Bell | None = None
        # There while somebody waits for room, or to be confirmed.
        self._changed: anyio.Event | None = None

    @property
    def last(self) -> int:
        """The number of the last item."""
        return self._confirmed + len(self._items)

    @property
    def confirmed_up_to(self) -> int:
        """The number of the last item that the driver has."""
        return self._confirmed

    @property
    def has_items(self) -> bool:
        """Whether there are items that the driver does not have."""
        return bool(self._items)

    @property
    def is_full(self) -> bool:
        """Whether events have to wait."""
        return len(self._items) >= _MOST_EVENTS or self._bytes >= _MOST_BYTES

    def offer(self, event: Event) -> bool:
        """Add an event, if there is room."""
        if self.is_full:
            return False
        self.put(event)
        return True

    def put(self, item: Item) -> None:
        """Add an item, also where it is full.

        Raises:
            UsageError: it cannot be sent.
        """
        if type(item) is MessageUpdate and type(delta := item.delta) is TextDelta:
            size = len(delta.text) + _OVERHEAD
        else:
            size = len(sendable(item, to="the driver"))
            if not isinstance(item, MessageUpdate | ToolExecutionUpdate):
                self._urgent = self.last + 1
        self._items.append((item, size))
        self._bytes += size
        if self._bell is not None:
            self._ring(self._bell)

    async def has_room(self) -> None:
        """Wait for room.

        Cancellation:
            At once.
        """
        while self.is_full:
            await self._change()

    async def confirmed(self, number: int) -> None:
        """Wait until the driver has an item, and all before.

        Cancellation:
            At once.
        """
        while self._confirmed < number:
            await self._change()

    def confirm(self, number: int, bell: Bell | None = None) -> None:
        """Forget the items up to a number, which the driver has.

        Args:
            number: that of the last item.
            bell: rung where there are further ones.
        """
        while self._items and self._confirmed < number:
            _, size = self._items.popleft()
            self._bytes -= size
            self._confirmed += 1
        self._bell = bell
        if bell is not None and self._items:
            self._ring(bell)
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def unconfirmed(self) -> list[Item]:
        """Return all items that are not confirmed: two batches at most, while the run goes."""
        return [item for item, _ in self._items]

    def _ring(self, bell: Bell) -> None:
        is_batch = len(self._items) >= _BATCH_EVENTS or self._bytes >= _BATCH_BYTES
        hurry = is_batch or self._urgent > self._confirmed
        if hurry or not bell.is_rung:
            bell.ring(hurry=hurry)
        if hurry:
            self._bell = None  # there is no more to say

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


class Sink(EventSink[Event]):
    """Puts the events of a run into its outbox, with no stream between them."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(Broadcast[Event, Any]())
        self._outbox = outbox

    def _offer(self, item: Event) -> bool:
        self._since_checkpoint += 1
        return self._since_checkpoint < CHECKPOINT_EVERY and self._outbox.offer(item)

    async def _deliver(self, item: Event) -> None:
        await self._outbox.has_room()
        self._outbox.put(item)

    def send_nowait(self, item: Event) -> None:
        """Put an event, also where there is no room: the run is being closed."""
        self._outbox.put(item)

    async def caught_up(self) -> None:
        """Pass a checkpoint: the driver has consumers catch up."""
        await checkpoint()


class Kept:
    """A store that has what it is given, and keeps nothing: that is done by the driver."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = entries

    def append(self, entry: Entry) -> None:
        """Do nothing."""

    def entries(self) -> Iterable[Entry]:
        """Give what it was made with."""
        return self._entries

    def close(self) -> None:
        """Do nothing."""


class Mirror(Session):
    """The session of runs on a worker: the driver keeps its entries.

    No tool begins before the driver has confirmed that the entry which says so is kept, with all before it.

    Args:
        entries: the conversation so far.
        outbox: that of the run; each has one of its own.
    """

    def __init__(self, entries: Iterable[Entry], outbox: "Outbox") -> None:
        super().__init__(Kept(entries))
        self.outbox = outbox

    @property
    def flushed_later(self) -> bool:
        """Whether entries wait for a `flush`: all of them do."""
        return True

    async def flush(self) -> None:
        """Hand over what is `behind`; wait for the driver where a tool is about to begin.

        Cancellation:
            At once; what was handed over goes on.
        """
        if begins := self.hand_over():
            await self.outbox.confirmed(begins)

    def hand_over(self) -> int:
        """Hand over what is `behind`.

        Returns:
            The number of the last entry that says that a tool begins; 0 without one.
        """
        begins = 0
        for entry in self.behind:
            self.outbox.put(entry)
            begins = self.outbox.last if entry.kind == "begun" else begins
        self.catch_up()
        return begins
