"""What a host needs of the place where conversations are kept, and what it says of each."""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from attrs import frozen

from tether import Session

__all__ = ("ConversationInfo", "ConversationState", "Store")

ConversationState: TypeAlias = Literal["idle", "running", "waiting"]
"""What a conversation does: nothing, or a run goes, or a call of the run waits for an approval."""


@frozen
class ConversationInfo:
    """A conversation in a list."""

    id: str
    title: str
    """The one that it was given, else the beginning of what was said first."""
    owner: str
    updated: float
    """When something was last said in it; seconds since the epoch."""
    state: ConversationState
    model: str
    """The name of its model; empty where that is not known."""
    messages: int
    """How many it has."""

    @property
    def cursor(self) -> str:
        """Its place in the list, for `before`."""
        return f"{self.updated!r} {self.id}"

    @property
    def place(self) -> tuple[float, str]:
        """What lists are sorted by, the highest first."""
        return (self.updated, self.id)


class Store(Protocol):
    """Where conversations are kept: each is a session, known by its owner and its id.

    Titles and owners are entries of the session, of the kinds `title` (`{"text": ...}`, the last counts) and `owner`
    (`{"name": ...}`).
    """

    async def open(self, id: str, owner: str, *, create: bool) -> Session | None:
        """Open a session to write to.

        Args:
            id: its id, among those of its owner.
            owner: whose it is.
            create: whether it is made where there is none.

        Returns:
            The session; None where there is none.

        Cancellation:
            Leaves nothing open.
        """
        ...

    async def find(
        self, owner: str, *, search: str, limit: int, before: tuple[float, str] | None
    ) -> Sequence[ConversationInfo]:
        """List the conversations of an owner that have messages.

        Args:
            owner: whose.
            search: words that the title or a message contains, upper and lower case being the same; empty for all.
            limit: how many at most.
            before: only those whose `place` is lower.

        Returns:
            The highest places, in falling order, each with the state `idle`.

        Cancellation:
            Stops waiting; nothing has changed.
        """
        ...

    async def delete(self, id: str, owner: str) -> bool:
        """Delete a session that is not open.

        Returns:
            Whether there was one.

        Cancellation:
            Before it begins, or after its end.
        """
        ...
