"""When a request that failed is made again. No I/O: the waiting is done by whoever asked."""

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
    """Which failures are tried again, how often, and after how long.

    Only a reply of which nothing has arrived is asked for again: no text comes twice.
    """

    attempts: int = 4
    """The first one included; 1 is never to try again."""
    kinds: frozenset[FailureKind] = field(default=_PASSING, converter=frozenset)
    wait_initial: float = 0.5
    """Seconds before the second attempt; doubled before each further one, with some jitter."""
    wait_max: float = 30.0
    """No wait is longer, also where the vendor names one: then the error is raised at once."""

    def wants(self, error: Exception) -> bool | float:
        """Decide about a failure.

        Args:
            error: what went wrong.

        Returns:
            False to let it pass; seconds, where the vendor named them; True for the next wait in the row.
        """
        if not isinstance(error, ModelError) or error.kind not in self.kinds:
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if error.retry_after <= self.wait_max else False
