"""The messages between a driver and a worker. All of them are data, and can be pickled."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from attrs import frozen

from tether.events import Event, TurnEnd
from tether.limits import Limits, Spent
from tether.messages import AssistantMessage, Queued, QueueName, ToolCall
from tether.result import RunResult
from tether.session.entries import Entry
from tether.tools import Tool, ToolResult

__all__ = (
    "UNKNOWN",
    "Abort",
    "AboutCall",
    "AboutStop",
    "Answer",
    "Batch",
    "CancelTool",
    "Ended",
    "Interrupt",
    "Item",
    "Order",
    "Proceed",
    "Proceeded",
    "Say",
    "Start",
)

UNKNOWN: Final = "unknown"
"""The answer to a start that counts on a conversation which the worker does not have."""


@frozen(kw_only=True)
class Start:
    """A run that is to begin."""

    run: str
    make: bytes
    """The function that makes the agent, pickled."""
    conversation: str
    """What the worker keeps the conversation by."""
    known: str | None
    """The last entry that the worker has; None where it gets all of them."""
    entries: Sequence[Entry]
    """Those of the conversation behind that."""
    prompt: Queued | None
    waiting: Sequence[tuple[QueueName, Queued]]
    """Messages that steer the run, or follow."""
    output: Any
    output_attempts: int
    deps: Any
    limits: Limits | None
    spent: Spent | None
    """What is spent already, where the limits are shared; what others spend comes with answers."""
    price: Callable[[AssistantMessage], float] | None
    """What a reply costs; that of the agent on the worker, if None."""
    counts_cost: bool
    asks_about_calls: bool
    """Whether hooks at the driver want to know of calls; else `should_stop` and shared limits alone."""
    asks_about_stop: bool
    depth: int
    order: tuple[int, ...]
    call_id: str | None


# What a worker has to say, in order.


@frozen
class AboutCall:
    """A call that is about to run: hooks at the driver are around it."""

    number: int
    call: ToolCall
    tool: Tool
    """What is said of the tool, without its function."""
    order: tuple[int, ...]


@frozen
class Proceeded:
    """What a call gave that a hook has let proceed."""

    number: int
    result: ToolResult | None
    error: Exception | None = None


@frozen
class AboutStop:
    """A turn has ended: hooks at the driver say whether the run stops, and others may have spent something."""

    number: int
    turn: TurnEnd


@frozen
class Ended:
    """The run is over; with neither, it was cancelled."""

    result: RunResult | None = None
    error: Exception | None = None


Item: TypeAlias = Event | Entry | AboutCall | Proceeded | AboutStop | Ended


@frozen
class Batch:
    """Some of what a run on a worker has to say."""

    run: str
    after: int
    """The number of the item before these."""
    items: bytes
    """Items, as `packing` has them."""
    spent: Spent
    """What the run has spent so far."""


# What a driver has to say, by number, as calls may overtake each other.


@frozen
class Say:
    """A message for a queue."""

    queue: QueueName
    message: Queued


@frozen
class Abort:
    """End in order."""


@frozen
class Interrupt:
    """Interrupt what is in flight."""


@frozen
class CancelTool:
    """Cancel one call."""

    call_id: str


@frozen
class Proceed:
    """Let a call proceed, and say what it gives."""

    number: int
    call: ToolCall


@frozen
class Answer:
    """What hooks at the driver have made of a question."""

    number: int
    result: ToolResult | None = None
    """That of the call."""
    stop: bool = False
    spent: Spent | None = None
    """All that is spent, where the limits are shared."""
    failed: bool = False
    """A hook has raised: the run is to end."""


Order: TypeAlias = Say | Abort | Interrupt | CancelTool | Proceed | Answer
