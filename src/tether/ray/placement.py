"""Where a run goes, and what its worker has of the conversation already."""

import uuid
from collections.abc import Callable, Sequence

from attrs import define, field, frozen

from tether.ray.host import Host
from tether.session import Session
from tether.session.entries import Entry

__all__ = ("Place", "Placement")


@frozen
class Place:
    """A worker for a run."""

    host: Host
    conversation: str
    """What the worker keeps the conversation by."""
    known: str | None
    """The last entry that it has."""
    entries: Sequence[Entry]
    """Those behind that."""


@define(eq=False)
class Placement:
    """The places of one agent's runs."""

    make: bytes
    """The function that makes the agent, pickled."""
    grace: float
    """Seconds that a run has to clean up on its worker."""
    choose: Callable[[Host | None], Host]
    """Chooses a worker, given the one that has the conversation."""
    _host: Host | None = field(default=None, init=False)
    _conversation: str = field(default="", init=False)
    _head: str | None = field(default=None, init=False)

    def place(self, session: Session) -> Place:
        """Choose a worker.

        Raises:
            WorkerLostError: there is none left.
        """
        host = self.choose(self._host)
        branch = session.branch
        ids = [entry.id for entry in branch]
        if host is self._host and self._head in ids:
            behind = branch[ids.index(self._head) + 1 :]
            return Place(host, self._conversation, self._head, behind)
        return Place(host, uuid.uuid4().hex, None, branch)

    def keep(self, place: Place, head: str | None) -> None:
        """Note what a worker has, once a run has ended there."""
        self._host, self._conversation, self._head = place.host, place.conversation, head

    def forget(self) -> None:
        """Note that nobody knows what the worker has."""
        self._host, self._head = None, None
