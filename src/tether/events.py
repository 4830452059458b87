"""The events of a run, and their order.

    run      = AgentStart resumed? turn* AgentEnd         # at least one turn
    turn     = TurnStart message* reply tools? TurnEnd    # messages: prompts, steering, follow-ups
    resumed  = TurnStart tools message* reply tools? TurnEnd        # the first turn, where calls were left open
    message  = MessageStart MessageEnd
    reply    = ModelRetry* MessageStart MessageUpdate* MessageEnd           # the assistant's
    tools    = call+ message+                             # calls interleave; their results, in order
    call     = ToolExecutionStart (approval | ToolExecutionUpdate)* ToolExecutionEnd
    approval = ApprovalRequested ApprovalAnswered         # updates may come between the two

Every call of a reply has one ToolExecutionStart and one ToolExecutionEnd, also one that never ran: the
outcome of its result says which. A question that nobody answers, as its call or its run ends before, is
answered with `withdrawn`. A run whose scope was cancelled from outside may stop after any event, and only
there an ApprovalAnswered or a ToolExecutionEnd may be missing.

No I/O.
"""

from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
from attrs import field, frozen

from tether.deltas import BlockDelta, TextDelta, as_attrs
from tether.limits import LimitName
from tether.messages import (
    AssistantMessage,
    Failure,
    JsonObject,
    Message,
    ToolResultMessage,
    Usage,
    UserBlock,
)

__all__ = (
    "AgentEnd",
    "AgentStart",
    "ApprovalAnswered",
    "ApprovalRequested",
    "ApprovalVerdict",
    "CallEvent",
    "Event",
    "MessageEnd",
    "MessageStart",
    "MessageUpdate",
    "ModelRetry",
    "RunStopReason",
    "ToolExecutionEnd",
    "ToolExecutionStart",
    "ToolExecutionUpdate",
    "TurnEnd",
    "TurnStart",
)

RunStopReason: TypeAlias = Literal["stop", "terminated", "limit", "length", "aborted", "error"]
"""Why a run ended. `terminated`: by its tools or by `should_stop`; `limit`: see which; `length`: three replies in a row
reached their output limit inside a tool call."""

ApprovalVerdict: TypeAlias = Literal["once", "always", "denied", "withdrawn"]
"""How a question ended. `always` covers later calls of the same tool; `withdrawn`: its call ended before an answer."""


@frozen
class AgentStart:
    """A run begins."""

    type: ClassVar[Literal["agent_start"]] = "agent_start"


@frozen
class TurnStart:
    """A turn begins: one question to the model and what follows from its reply."""

    type: ClassVar[Literal["turn_start"]] = "turn_start"

    turn: int
    """Counted from 1 within the run."""


@as_attrs
class MessageStart(msgspec.Struct, frozen=True, weakref=True):
    """A message begins. A reply is still empty, and its `stop_reason` None; any other message is already whole."""

    type: ClassVar[Literal["message_start"]] = "message_start"

    message: Message


@as_attrs
class MessageUpdate(msgspec.Struct, frozen=True, gc=False):
    """More of the reply: one delta, never a copy of what came before (see `Run.partial`)."""

    type: ClassVar[str] = "message_update"

    delta: BlockDelta

    @property
    def text(self) -> str:
        """The text that it adds to the reply; empty for a delta of another kind."""
        return self.delta.text if isinstance(self.delta, TextDelta) else ""


@as_attrs
class MessageEnd(msgspec.Struct, frozen=True, weakref=True):
    """A message has ended, and stands in the transcript; a reply may be incomplete."""

    type: ClassVar[Literal["message_end"]] = "message_end"

    message: Message


@frozen
class ModelRetry:
    """The model failed before it said anything; it, or the one that stands in for it, is asked after a wait."""

    type: ClassVar[Literal["model_retry"]] = "model_retry"

    attempt: int
    """The number of the attempt that failed, from 1."""
    delay: float
    """Seconds until the next."""
    error: Failure


@as_attrs
class ToolExecutionStart(msgspec.Struct, frozen=True, weakref=True):
    """A call is taken up; hooks and approvals come before the tool itself."""

    type: ClassVar[Literal["tool_execution_start"]] = "tool_execution_start"

    call_id: str
    name: str
    arguments: JsonObject


@frozen
class ApprovalRequested:
    """A call waits for a person, or a program, to decide whether it may run."""

    type: ClassVar[Literal["approval_requested"]] = "approval_requested"

    call_id: str
    name: str
    arguments: JsonObject
    """What the tool will be given: hooks may have changed what the model wrote."""


@frozen
class ApprovalAnswered:
    """It is decided whether a call may run."""

    type: ClassVar[Literal["approval_answered"]] = "approval_answered"

    call_id: str
    name: str
    verdict: ApprovalVerdict
    reason: str = ""
    """Why the call may not run, in words for the model; empty for other verdicts."""


@frozen
class ToolExecutionUpdate:
    """A running tool reports progress, or a child agent's event comes through its call."""

    type: ClassVar[Literal["tool_execution_update"]] = "tool_execution_update"

    call_id: str
    name: str
    content: tuple[UserBlock, ...] = ()
    details: Any = None
    event: "Event | None" = None
    """An event of the agent that runs inside this call."""
    path: tuple[str, ...] = ()
    """The names of the agents from this run's child down to the one whose event it is."""


@as_attrs
class ToolExecutionEnd(msgspec.Struct, frozen=True, weakref=True):
    """A call is answered. Ends come as they happen, not in the order of the calls."""

    type: ClassVar[Literal["tool_execution_end"]] = "tool_execution_end"

    call_id: str
    name: str
    result: ToolResultMessage
    duration: float
    """Seconds since its start, without the time for which it waited for an approval."""


@frozen
class TurnEnd:
    """A turn is over."""

    type: ClassVar[Literal["turn_end"]] = "turn_end"

    turn: int
    message: AssistantMessage
    results: tuple[ToolResultMessage, ...] = ()


@frozen
class AgentEnd:
    """The run is over."""

    type: ClassVar[Literal["agent_end"]] = "agent_end"

    stop_reason: RunStopReason
    limit: LimitName | None = field(default=None, kw_only=True)
    """Which limit was reached, where `stop_reason` is `limit`."""
    error: Failure | None = field(default=None, kw_only=True)
    usage: Usage = field(factory=Usage, kw_only=True)
    """All tokens the run spent, those of child agents included."""


Event: TypeAlias = (
    AgentStart
    | TurnStart
    | MessageStart
    | MessageUpdate
    | MessageEnd
    | ModelRetry
    | ToolExecutionStart
    | ApprovalRequested
    | ApprovalAnswered
    | ToolExecutionUpdate
    | ToolExecutionEnd
    | TurnEnd
    | AgentEnd
)

# attrs leaves it a string, which nobody could resolve in an `__init__` that is of no module.
ToolExecutionUpdate.__init__.__annotations__["event"] = Event | None

CallEvent: TypeAlias = ToolExecutionUpdate | ApprovalRequested | ApprovalAnswered
"""What comes between the start and the end of a call."""
