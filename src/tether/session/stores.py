"""The places that a session can be kept in: what it needs of each."""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from tether.session.entries import Entry

__all__ = ("BatchStore", "LeasedStore", "SessionStore")


class SessionStore(Protocol):
    """What a session needs of the place it is kept in: all there is to write for a database."""

    def append(self, entry: Entry) -> None:
        """Keep an entry; return when it is kept. Where this raises, nothing of it is kept."""
        ...

    def entries(self) -> Iterable[Entry]:
        """Give all entries in the order in which they were kept."""
        ...

    def close(self) -> None:
        """Let go of the place."""
        ...


@runtime_checkable
class BatchStore(SessionStore, Protocol):
    """A store that takes a while, such as a database. What a run adds is written in a worker thread.

    Entries are written by one thread at a time, not always the same.
    """

    def append_all(self, entries: Sequence[Entry]) -> None:
        """Keep entries in their order, all of them or none; return when they are kept."""
        ...


@runtime_checkable
class LeasedStore(BatchStore, Protocol):
    """A store for one writer, which has to say from time to time that it is still there."""

    @property
    def renew_every(self) -> float:
        """After how many seconds, at the latest."""
        ...

    def renew(self) -> None:
        """Say so. This may be called while another thread writes.

        Raises:
            LostClaimError: another has taken the conversation over.
        """
        ...
