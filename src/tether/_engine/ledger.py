"""Account for what a run spends.

No I/O.
"""

from collections.abc import Callable

from attrs import field, frozen

from tether.limits import Limits, Spent
from tether.messages import AssistantMessage

__all__ = ("Ledger",)


def _nothing(_: AssistantMessage) -> float:
    return 0.0


@frozen(kw_only=True, eq=False, repr=False)
class Ledger:
    """What one run may spend, and has spent."""

    limits: Callable[[], Limits] = Limits
    """What it may spend now: limits may change while it goes."""
    price: Callable[[AssistantMessage], float] = _nothing
    """What a reply costs."""
    spent: Spent = field(factory=Spent)
    """Shared with the run that calls, where that shares its limits."""

    def count(self, reply: AssistantMessage) -> None:
        """Count a reply that is not part of the conversation; the loop counts the others."""
        self.spent.usage += reply.usage
        self.spent.cost += self.price(reply)
