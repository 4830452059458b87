"""What a store has not taken yet."""

from collections import deque
from collections.abc import Iterator
from threading import Lock

from tether.session.entries import Entry
from tether.session.stores import BatchStore, SessionStore

__all__ = ("Backlog",)


class Backlog:
    """The entries that wait to be written, in order. Sessions over the same log have one together.

    Args:
        store: what takes them.
    """

    __slots__ = ("_batches", "_store", "_waiting", "_writing")

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        # Looked at once: to compare a store with a protocol takes some 15 us.
        self._batches = store if isinstance(store, BatchStore) else None
        self._waiting = deque[Entry]()
        self._writing = Lock()

    @property
    def takes_a_while(self) -> bool:
        """Whether the store is one that is written to in a worker thread."""
        return self._batches is not None

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._waiting))

    def append(self, entry: Entry) -> None:
        """Let an entry wait."""
        self._waiting.append(entry)

    def remove(self, entry: Entry) -> None:
        """Forget an entry that was refused."""
        self._waiting.remove(entry)

    def clear(self) -> None:
        """Forget all that waits, as something else has written it."""
        self._waiting.clear()

    def write(self) -> None:
        """Write all that waits; one thread at a time does.

        Raises:
            Exception: what the store raised; what it has not taken still waits.
        """
        with self._writing:
            if self._batches is not None:
                self._write_all(self._batches)
                return
            while self._waiting:
                self._store.append(self._waiting[0])
                self._waiting.popleft()

    def _write_all(self, store: BatchStore) -> None:
        waiting = tuple(self._waiting)
        if waiting:
            store.append_all(waiting)
            for _ in waiting:
                self._waiting.popleft()
