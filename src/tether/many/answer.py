"""What comes of a prompt, and what comes of all of them. No I/O."""

from attrs import field, frozen

from tether import RunResult
from tether.limits import LimitName
from tether.messages import Prompt, Usage

__all__ = ("Answer", "Job", "Progress")


@frozen
class Job:
    """A prompt that is to be answered."""

    place: int
    """Its place among the prompts, from 0."""
    prompt: Prompt


@frozen
class Answer:
    """What came of a prompt: a result or an error."""

    job: Job
    result: RunResult | None = None
    error: Exception | None = None

    @property
    def place(self) -> int:
        """The place of its prompt, from 0."""
        return self.job.place

    @property
    def ok(self) -> bool:
        """Whether the run came to its end: it was neither cut off by a limit nor by a failure."""
        return self.result is not None and self.result.stop_reason in {"stop", "terminated"}

    @property
    def text(self) -> str:
        """The text of the last reply; empty where there is an error."""
        return "" if self.result is None else self.result.text


@frozen(kw_only=True)
class Progress:
    """How far the runs have come."""

    begun: int = 0
    done: int = 0
    """Answers that are `ok`."""
    failed: int = 0
    """The other answers."""
    kept: int = 0
    """Prompts that were answered before, and not asked again."""
    usage: Usage = field(factory=Usage)
    """All tokens that were spent, those of runs that go on included."""
    cost: float = 0.0
    """In the currency of the prices; 0 without a price, see `Agent`."""
    limit: LimitName | None = None
    """The limit over all runs that was reached, if one was."""

    @property
    def running(self) -> int:
        """How many runs go on."""
        return self.begun - self.done - self.failed
