"""A conversation at one moment. No I/O."""

from collections.abc import Sequence

from attrs import frozen

from tether import ApprovalRequested, Message, Queued, Usage
from tether.host.store import ConversationState

__all__ = ("Snapshot",)


@frozen(kw_only=True)
class Snapshot:
    """A conversation at one moment. To go on from it, follow it after `number`."""

    number: int
    """The number of the last event that `items` tell of: where the last message ended."""
    items: Sequence[tuple[str, Message]]
    """The messages that have ended, each with the id that `fork` takes."""
    waiting: tuple[ApprovalRequested, ...]
    """The calls that wait for an approval."""
    queued: tuple[Queued, ...]
    """What was said and is not in the conversation yet."""
    state: ConversationState
    usage: Usage
    cost: float | None
    """In the currency of the prices; None where it is not known."""
    model: str
    title: str
