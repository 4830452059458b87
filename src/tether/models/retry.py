"""When a failed request is made again. No I/O: whoever made it does the waiting."""

from typing import Final

from attrs import field, frozen

from tether.errors import ModelError
from tether.messages import FailureKind

__all__ = ("RetryPolicy",)

_PASSING: Final[frozenset[FailureKind]] = frozenset(
    {"rate_limit", "overloaded", "server", "timeout", "connection"}
)


@frozen(kw_only=True)
class RetryPolicy:
    """Which failures lead to another attempt, how many there are, and how long to wait.

    A request is made again only if nothing of its reply has arrived: no text comes twice.
    """

    attempts: int = 4
    """The first one included; 1 means no other."""
    kinds: frozenset[FailureKind] = field(default=_PASSING, converter=frozenset)
    wait_initial: float = 0.5
    """Seconds before the second attempt; twice as long before each further one, with some jitter."""
    wait_max: float = 30.0
    """Seconds. If the server asks for a longer wait, the error is raised at once."""

    def wants(self, error: Exception) -> bool | float:
        """Decide about a failure.

        Args:
            error: what went wrong.

        Returns:
            False to raise it; the seconds that the server asked for; or True for the next wait of the policy.
        """
        if not isinstance(error, ModelError) or error.kind not in self.kinds:
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= self.wait_max else False
