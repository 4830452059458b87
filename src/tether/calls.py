"""What is noted of tool calls while they go on, and what a process that ended in the middle has left of them.

A call is noted as `CallBegun` before its tool runs, and as `CallEnded` as soon as its result is there. So a later run
knows which calls of the last reply never began, which have ended, and of which nobody knows how far they came.

No I/O.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec
from attrs import field, frozen

from tether.deltas import as_attrs
from tether.messages import AssistantMessage, JsonObject, ToolCall, ToolResultMessage

__all__ = ("CallAsked", "CallBegun", "CallEnded", "CallFate", "CallNote", "OpenCalls")

CallFate: TypeAlias = Literal["run", "kept", "interrupted", "run again", "skipped"]
"""What becomes of an open call in a run that goes on: `run` for the first time; its result is `kept`; it stays
`interrupted`, as it began and nobody knows how far it came; it is `run again`, as its tool is idempotent; or it is
`skipped`, as it had not begun and may not run."""


@frozen
class CallAsked:
    """Somebody is asked whether a call may run."""

    call_id: str
    name: str
    arguments: JsonObject


@as_attrs
class CallBegun(msgspec.Struct, frozen=True, weakref=True):
    """The tool of a call runs from now on."""

    call_id: str


@as_attrs
class CallEnded(msgspec.Struct, frozen=True, weakref=True):
    """The result of a call is known."""

    result: ToolResultMessage
    terminate: bool = False
    """The model need not be asked again."""


CallNote: TypeAlias = CallAsked | CallBegun | CallEnded


@frozen(kw_only=True)
class OpenCalls:
    """The calls of the last reply, where a process ended before all of their results were in the conversation."""

    reply: AssistantMessage
    calls: tuple[ToolCall, ...]
    """Those whose results are not in the conversation, in order."""
    begun: frozenset[str] = frozenset()
    """The ids of those whose tools were begun."""
    ended: Mapping[str, CallEnded] = field(factory=dict[str, CallEnded])
    """By id, what those gave that ended; calls of the reply whose results are in the conversation may be among them."""
    asked: Mapping[str, CallAsked] = field(factory=dict[str, CallAsked])
    """By id, the questions that nobody has answered."""

    def fate(self, call: ToolCall, *, idempotent: bool, runs: bool = True) -> CallFate:
        """Say what becomes of a call in a run that goes on, if no hook, limit or person prevents it.

        Args:
            call: one of `calls`.
            idempotent: whether its tool is.
            runs: False where something new is said, before which nothing is run.
        """
        if call.id in self.ended:
            return "kept"
        is_cut = self.reply.stop_reason == "length" and call is self.reply.content[-1]
        may_run = runs and not self.reply.incomplete and not is_cut
        if call.id not in self.begun:
            return "run" if may_run else "skipped"
        return "run again" if may_run and idempotent else "interrupted"
