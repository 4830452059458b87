"""The tree of the entries of a log, and the branch of it that a conversation is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tether.errors import DecodeError, UsageError
from tether.messages import JsonObject
from tether.session.calls import NotedCalls
from tether.session.entries import Entry
from tether.session.reading import misplaced

__all__ = ("Branch", "end_of_main_conversation", "entries_by_id", "find", "leaves")


class Branch:
    """The entries from the root to a head, and what they say last.

    Args:
        entries: all entries of the tree by id. Others may add to it, and have branches of their own.
        head: the id of the last entry; None at the root.
    """

    __slots__ = ("_entries", "calls", "head", "notes")

    def __init__(self, entries: Mapping[str, Entry], head: str | None) -> None:
        self._entries = entries
        self.move(head)

    def move(self, head: str | None) -> None:
        """Take another entry for the head, and look back from there."""
        self.head: str | None = head
        self.notes: dict[str, JsonObject] = {entry.kind: entry.data for entry in self.from_root()}
        """What the last entry of each kind says."""
        self.calls: NotedCalls = NotedCalls.of(self)
        """What is noted of the calls of the last reply."""

    def grow(self, entry: Entry) -> None:
        """Take for the head an entry that follows it."""
        self.head = entry.id
        self.notes[entry.kind] = entry.data
        self.calls.take(entry)

    def __iter__(self) -> Iterator[Entry]:
        """Go from the head to the root."""
        id_ = self.head
        while id_ is not None:
            entry = self._entries[id_]
            yield entry
            id_ = entry.parent

    def from_root(self) -> Sequence[Entry]:
        """Give the entries in the order in which they were written."""
        return tuple(reversed(list(self)))

    def says_nothing_since(self, id_: str | None) -> bool:
        """Say whether an entry is on this branch, with no message behind it."""
        for entry in self:
            if entry.id == id_:
                return True
            if entry.kind == "message":
                return False
        return id_ is None


def entries_by_id(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Take the entries by their ids.

    Raises:
        DecodeError: two have the same id, or one follows an entry that does not come before it.
    """
    taken: dict[str, Entry] = {}
    for number, entry in enumerate(entries, 1):
        if (reason := misplaced(entry, taken)) is not None:
            raise DecodeError(reason, path=f"entry {number}")
        taken[entry.id] = entry
    return taken


def end_of_main_conversation(entries: Mapping[str, Entry]) -> str | None:
    """Find the last entry that is not of the conversation of a child."""
    last, aside = None, set[str]()
    for entry in entries.values():
        if entry.kind == "child" or entry.parent in aside:
            aside.add(entry.id)
        else:
            last = entry.id
    return last


def leaves(entries: Mapping[str, Entry]) -> Sequence[Entry]:
    """Return the last entries of all branches, oldest first."""
    parents = {entry.parent for entry in entries.values()}
    return [entry for entry in entries.values() if entry.id not in parents]


def find(entries: dict[str, Entry], wanted: str) -> str:
    """Return the id of the entry that has an id, or whose message has it.

    Raises:
        UsageError: there is none.
    """
    if wanted in entries:
        return wanted
    for entry in reversed(entries.values()):
        if entry.kind == "message" and entry.data.get("id") == wanted:
            return entry.id
    raise UsageError(f"the session has no entry or message {wanted!r}")
