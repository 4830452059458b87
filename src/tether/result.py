"""What came of a run: how it ended, what it added to the conversation, what it spent.

No I/O.
"""

from typing import Any, Generic, TypeVar

from attrs import field, frozen

from tether.events import RunStopReason
from tether.limits import LimitName
from tether.messages import AssistantMessage, Message, Queued, Usage

__all__ = ("OutputResult", "RunResult")

T = TypeVar("T")


@frozen(kw_only=True)
class RunResult:
    """What came of a run that ended in order."""

    stop_reason: RunStopReason
    limit: LimitName | None = None
    """Which limit was reached, where `stop_reason` is `limit`."""
    messages: tuple[Message, ...] = field(repr=lambda messages: f"<{len(messages)} messages>")
    """What the run added to the transcript."""
    usage: Usage = field(factory=Usage)
    """All tokens it spent, those of child agents included."""
    cost: float = 0.0
    undelivered: tuple[Queued, ...] = ()
    """Steering and follow-ups that were accepted and did not make it into the conversation."""
    output: Any = None
    """The result, of the type that was asked for, where one was."""

    @property
    def reply(self) -> AssistantMessage | None:
        """The last reply, if there was one."""
        replies = (m for m in reversed(self.messages) if isinstance(m, AssistantMessage))
        return next(replies, None)

    @property
    def text(self) -> str:
        """The text of the last reply."""
        return "" if self.reply is None else self.reply.text

    def __str__(self) -> str:
        """Return the text of the last reply, for `print`."""
        return self.text


@frozen(kw_only=True)
class OutputResult(RunResult, Generic[T]):
    """What came of a run that was asked for a result of a type."""

    output: T  # pyright: ignore[reportGeneralTypeIssues]  # it has no default, as it is always given

    def __str__(self) -> str:
        """Return the result that was asked for as a string, for `print`."""
        return str(self.output)
