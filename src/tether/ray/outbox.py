"""What a run on a worker has to say, until the driver has it: bounded in number and in bytes.

Each item has a number. The driver pulls what comes behind the number that it has; that confirms all before, which is
then forgotten here. So an answer that is lost is given again, and what has not been confirmed is not certain.
"""

import pickle
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from tether._channel.broadcast import Broadcast
from tether.events import Event, MessageUpdate, ToolExecutionUpdate
from tether.ray._ray import cloudpickle
from tether.ray.exchange import Item
from tether.session import Session
from tether.session.entries import Entry
from tether.stream import CHECKPOINT_EVERY, EventSink

__all__ = ("Kept", "Mirror", "Outbox", "Sink", "packed", "packed_with_code")

_BATCH_EVENTS: Final = 256
_BATCH_BYTES: Final = 64 * 1024
"""Ray hands over what is smaller than 100 KiB without its object store."""
_BATCHES: Final = 2
"""One is on its way while the next one fills."""
_OVERHEAD: Final = 48
"""Bytes of an event beside its text, roughly."""


class Outbox:
    """The items of one run.

    Args:
        linger: seconds for which a pull waits for more deltas, once there are some.
    """

    def __init__(self, linger: float) -> None:
        self._linger = linger
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        # How many items were confirmed and forgotten, and how far a pull has to be answered at once.
        self._confirmed = 0
        self._urgent = 0
        self._changed = anyio.Event()

    @property
    def last(self) -> int:
        """The number of the last item."""
        return self._confirmed + len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether events have to wait."""
        return self._holds(_BATCHES * _BATCH_EVENTS, _BATCHES * _BATCH_BYTES)

    def put(self, item: Item) -> None:
        """Add an item, also where it is full."""
        match item:
            case MessageUpdate():
                size = len(item.text) + _OVERHEAD
            case _:
                size = len(packed(item))
        self._items.append((item, size))
        self._bytes += size
        if not isinstance(item, MessageUpdate | ToolExecutionUpdate):
            self._urgent = self.last
        if len(self._items) == 1 or self._urgent == self.last or self._is_batch:
            self._notify()

    async def has_room(self) -> None:
        """Wait for room.

        Cancellation:
            At once.
        """
        while self.is_full:
            await self._changed.wait()

    async def confirmed(self, number: int) -> None:
        """Wait until the driver has an item, and all before.

        Cancellation:
            At once.
        """
        while self._confirmed < number:
            await self._changed.wait()

    async def pull(self, after: int) -> list[Item]:
        """Wait for items behind a number, which is thereby confirmed.

        Returns:
            As many as make a batch.

        Cancellation:
            At once; nothing is lost.
        """
        self._confirm(after)
        while not self._items:
            await self._changed.wait()
        with anyio.move_on_after(self._linger):
            while self._urgent <= self._confirmed and not self._is_batch:
                await self._changed.wait()
        return [item for item, _ in islice(self._items, _BATCH_EVENTS)]

    def rest(self, after: int) -> list[Item]:
        """Return all that is left behind a number."""
        self._confirm(after)
        return [item for item, _ in self._items]

    def _confirm(self, number: int) -> None:
        while self._items and self._confirmed < number:
            _, size = self._items.popleft()
            self._bytes -= size
            self._confirmed += 1
        self._notify()

    @property
    def _is_batch(self) -> bool:
        return self._holds(_BATCH_EVENTS, _BATCH_BYTES)

    def _holds(self, events: int, size: int) -> bool:
        return len(self._items) >= events or self._bytes >= size

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Sink(EventSink[Event]):
    """Puts the events of a run into its outbox, with no stream between them."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(Broadcast[Event, Any]())
        self._outbox = outbox

    async def send(self, item: Event) -> None:
        """Put an event, once there is room.

        Cancellation:
            Only before the event is put.
        """
        if not self._offer(item):
            self._since_checkpoint = 0
            await checkpoint()
            await self._outbox.has_room()
            self._outbox.put(item)

    def _offer(self, item: Event) -> bool:
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY or self._outbox.is_full:
            return False
        self._outbox.put(item)
        return True

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


def packed(item: object) -> bytes:
    """Pickle what a worker has to say; what Python cannot, such as objects of a script's classes, Ray can."""
    try:
        return pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - what pickling raises is made by code of others
        return packed_with_code(item)


def packed_with_code(item: object) -> bytes:
    """Pickle something so that what only a script has goes along."""
    return bytes(cloudpickle.dumps(item))
