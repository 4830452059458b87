"""Tell a run that failed: its deviations in words, and where it parts from a run that passed. No I/O."""

from collections.abc import Sequence
from difflib import unified_diff
from typing import Any, Final

from tether import (
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelRetry,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    TurnEnd,
    TurnStart,
)
from tether.testing.explore.trial import Outcome
from tether.testing.transcript_check import describe

__all__ = ("differences", "in_words")

_MOST_LINES: Final = 12


def in_words(outcome: Outcome) -> str:
    """Say what deviates in a run."""
    return "; ".join(outcome.told[site] for site in outcome.deviations) or "nothing deviates"


def differences(failed: Outcome, passed: Outcome) -> Sequence[str]:
    """Show where the events of a failing run part from those of one that passed.

    Args:
        failed: the run that failed.
        passed: the other.

    Returns:
        Lines; what only the failing run has begins with a plus.
    """
    more = [site for site in failed.deviations if site not in passed.deviations]
    without = f"without {', '.join(more)}" if more else "with less of a deviation"
    before = [_line(event) for event in passed.events]
    after = [_line(event) for event in failed.events]
    changed = [*unified_diff(before, after, n=1, lineterm="")][2:]
    if not changed:
        return [f"  the last run that passed, {without}, has the same events"]
    shown = [f"    {line}" for line in changed[:_MOST_LINES]]
    if len(changed) > _MOST_LINES:
        shown.append("    ...")
    return [f"  against the last run that passed ({without}):", *shown]


def _line(event: Any) -> str:
    name = type(event).__name__
    match event:
        case MessageStart(message) | MessageEnd(message):
            return f"{name} {describe(message)}"
        case MessageUpdate(delta):
            return f"{name} {delta!r}"
        case ToolExecutionUpdate(call_id=call_id, event=nested) if nested is not None:
            return f"{name} {call_id}: {_line(nested)}"
        case ToolExecutionStart() | ToolExecutionUpdate() | ToolExecutionEnd():
            return f"{name} {event.name} {event.call_id}"
        case TurnStart(turn) | TurnEnd(turn):
            return f"{name} {turn}"
        case ModelRetry():
            return f"{name} {event.error.message}"
        case _:
            return name
