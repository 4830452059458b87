"""A server that is watched: its history, and how its last scrape went. No I/O."""

from attrs import define, field, frozen

from tether.top.exposition import Fault, Page
from tether.top.history import History

__all__ = ("Answer", "Failure", "Outcome", "Source")


@frozen
class Answer:
    """A server has answered with a page of metrics."""

    time: float
    """Seconds since 1970."""
    page: Page
    seconds: float
    """How long the answer took."""
    size: int
    """Bytes."""


@frozen
class Failure:
    """A server has not answered, or with something else."""

    time: float
    """Seconds since 1970."""
    reason: str


Outcome = Answer | Failure


@define(eq=False)
class Source:
    """A server.

    Args:
        name: its address, as it is shown.
    """

    name: str
    history: History = field(factory=History)
    failure: Failure | None = None
    """Why the last scrape failed; None if it did not."""
    answered: float | None = None
    """When it answered last, in seconds since 1970."""
    seconds: float = 0.0
    size: int = 0
    series: int = 0
    faults: list[Fault] = field(factory=list)
    fault_count: int = 0

    def take(self, outcome: Outcome) -> None:
        """Add what came of a scrape."""
        if isinstance(outcome, Failure):
            self.failure = outcome
            return
        if self.history.is_crowded or self._is_early(outcome.time):
            self.history = History()
        self.history.add(outcome.time, outcome.page)
        self.failure, self.answered = None, outcome.time
        self.seconds, self.size = outcome.seconds, outcome.size
        self.series = len(outcome.page.samples)
        self.faults, self.fault_count = outcome.page.faults, outcome.page.fault_count

    def _is_early(self, time: float) -> bool:
        """Whether the clock was set back."""
        moments = self.history.moments
        return bool(moments) and time <= moments[-1].time
