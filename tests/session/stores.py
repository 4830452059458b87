"""Stores in memory, for sessions."""

from collections.abc import Iterable, Sequence

from tether.session import Entry


class MemoryStore:
    """A store that takes each entry at once."""

    def __init__(self, kept: Iterable[Entry] = ()) -> None:
        self.kept = list(kept)

    def append(self, entry: Entry) -> None:
        self.kept.append(entry)

    def entries(self) -> Iterable[Entry]:
        return list(self.kept)

    def close(self) -> None:
        pass


class BatchingStore(MemoryStore):
    """A store that takes entries in batches, and refuses those with an entry of some kinds."""

    def __init__(self, kept: Iterable[Entry] = (), *, fails_with: Iterable[str] = ()) -> None:
        super().__init__(kept)
        self.fails_with = set(fails_with)

    def append_all(self, entries: Sequence[Entry]) -> None:
        if self.fails_with & {entry.kind for entry in entries}:
            raise OSError(28, "No space left on device")
        self.kept += entries
