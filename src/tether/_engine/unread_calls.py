"""A call that the model's server could not read, and refused the whole reply for: the model is told what it wrote.

No I/O.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from tether.deltas import BlockDelta, BlockEnd, ToolCallDelta, ToolCallStart
from tether.errors import ModelError
from tether.messages import AssistantMessage, Message, ToolCall

__all__ = ("MARK", "deltas_of", "unread_call")

MARK: Final = "unread_call"
"""In the details of a reply that is made of such a call."""

_MOST_IN_A_ROW: Final = 2
"""Replies of a model that is told; from the next one on the error ends the run."""


def unread_call(
    error: ModelError, so_far: Sequence[Message], names: Iterable[str]
) -> ToolCall | None:
    """Make a call of what the model wrote, to be answered as one whose arguments do not fit.

    Args:
        error: what the request failed with.
        so_far: the conversation.
        names: of the tools there are.

    Returns:
        The call; None where the error is another one, or the model has been told often enough.
    """
    written = error.failed_generation
    if written is None or _told(so_far) >= _MOST_IN_A_ROW:
        return None
    words = re.findall(r"[a-zA-Z0-9_-]+", written)
    known = set(names)
    return ToolCall("", next((word for word in words if word in known), ""), malformed=written)


def deltas_of(call: ToolCall) -> Sequence[BlockDelta]:
    """Make the deltas of a reply that is nothing but this call."""
    return (
        ToolCallStart(call.id, call.name),
        ToolCallDelta(call.malformed or ""),
        BlockEnd(call),
    )


def _told(so_far: Sequence[Message]) -> int:
    """Count the replies at the end of the conversation that are such calls."""
    count = 0
    for message in reversed(so_far):
        if isinstance(message, AssistantMessage):
            if MARK not in (message.details or {}):
                break
            count += 1
    return count
