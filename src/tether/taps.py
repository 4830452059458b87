"""What sees everything that a run does, and changes nothing.

A tap is no listener. It is called where the thing happens, synchronously; it consumes no id and no time of the agent's
clock, and nobody waits for it. So a run does the same with it and without it. What a tap sees is what the run depends
on: an agent loop that is given the same answers makes the same events and the same transcript.

No I/O.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ForwardRef, Literal, TypeAlias

from attrs import frozen

from tether.deltas import ReplyEnd, ReplyInfo
from tether.events import Event
from tether.limits import Limits, Spent
from tether.loop import End, Step
from tether.messages import AssistantMessage, CustomMessage, Message, Queued, QueueName
from tether.model import Model, ModelRequest
from tether.result import RunResult

if TYPE_CHECKING:
    from tether.calls import OpenCalls
else:  # `typing.get_type_hints` imports it
    OpenCalls = ForwardRef("import_module('tether.calls').OpenCalls", module="importlib")

__all__ = ("Input", "RunBegun", "Tap", "several_taps")


@frozen(kw_only=True, eq=False, repr=False)
class RunBegun:
    """What a run begins with."""

    prompts: Sequence[Queued]
    messages: Sequence[Message]
    """The conversation so far."""
    for_model: Callable[[], Sequence[Message]]
    """The conversation at any moment, as a model is sent it where no hook has a say."""
    left_open: OpenCalls | None
    """The calls of the last reply that the run takes up, if there are any."""
    spent: Spent
    """Where it counts what it spends, while it goes."""
    limits: Callable[[], Limits]
    """What it may spend, at any moment."""


Input: TypeAlias = Literal["interrupt", "abort", "cancel_tool"]
"""What may be done to a run from outside, beside speaking to it. Approvals are events."""


class Tap:
    """Sees what an agent's runs do. Override what is of interest; nothing that is overridden here may raise.

    The order of the calls is the order of things. Give it to an agent with `Agent.tap`.
    """

    __slots__ = ()

    def begun(self, run: RunBegun) -> None:
        """See a run begin."""

    def stepped(self, step: Step) -> None:
        """See what the loop has decided: an event to publish, or a request to perform."""

    def answered(self, step: Step, outcome: object, ending: End | None) -> None:
        """See what became of a step, right before the loop is given it.

        Args:
            step: the step.
            outcome: None for an event, else the outcome of the request; partial, where the run ends.
            ending: how the run ends, where the loop is told so in place of being given the outcome alone.
        """

    def published(self, event: Event) -> None:
        """See an event take its place in the order in which consumers get the events of the run."""

    def requested(self, model: Model, request: ModelRequest) -> None:
        """See a request to a model, each attempt of it, as the hooks have made it."""

    def arrived(self, fact: ReplyInfo | ReplyEnd) -> None:
        """See a delta that belongs to no block. All others are published, each in a `MessageUpdate`."""

    def recorded(self, message: CustomMessage) -> None:
        """See a hook put a message into the transcript, in the middle of a request."""

    def priced(self, reply: AssistantMessage, price: float | Exception) -> None:
        """See what a reply costs, or what the price of it raised."""

    def waiting(self, answer: bool) -> None:  # noqa: FBT001 - it is the answer
        """See what the loop was told when it asked whether a message waits."""

    def queued(self, queue: QueueName, message: Queued) -> None:
        """See a message wait to enter the conversation, also between two runs."""

    def taken(self, messages: Sequence[Queued]) -> None:
        """See messages leave the queues, into the conversation or back to who said them."""

    def input(self, what: Input, call_id: str | None = None) -> None:
        """See something done to the run from outside."""

    def ended(self, result: RunResult | BaseException) -> None:
        """See how a run has ended: its result, or what was raised."""


class _Several(Tap):
    __slots__ = ("_taps",)

    def __init__(self, taps: Sequence[Tap]) -> None:
        self._taps = taps

    def begun(self, run: RunBegun) -> None:
        for tap in self._taps:
            tap.begun(run)

    def stepped(self, step: Step) -> None:
        for tap in self._taps:
            tap.stepped(step)

    def answered(self, step: Step, outcome: object, ending: End | None) -> None:
        for tap in self._taps:
            tap.answered(step, outcome, ending)

    def published(self, event: Event) -> None:
        for tap in self._taps:
            tap.published(event)

    def requested(self, model: Model, request: ModelRequest) -> None:
        for tap in self._taps:
            tap.requested(model, request)

    def arrived(self, fact: ReplyInfo | ReplyEnd) -> None:
        for tap in self._taps:
            tap.arrived(fact)

    def recorded(self, message: CustomMessage) -> None:
        for tap in self._taps:
            tap.recorded(message)

    def priced(self, reply: AssistantMessage, price: float | Exception) -> None:
        for tap in self._taps:
            tap.priced(reply, price)

    def waiting(self, answer: bool) -> None:  # noqa: FBT001 - as above
        for tap in self._taps:
            tap.waiting(answer)

    def queued(self, queue: QueueName, message: Queued) -> None:
        for tap in self._taps:
            tap.queued(queue, message)

    def taken(self, messages: Sequence[Queued]) -> None:
        for tap in self._taps:
            tap.taken(messages)

    def input(self, what: Input, call_id: str | None = None) -> None:
        for tap in self._taps:
            tap.input(what, call_id)

    def ended(self, result: RunResult | BaseException) -> None:
        for tap in self._taps:
            tap.ended(result)


def several_taps(taps: Sequence[Tap]) -> Tap | None:
    """Make one tap of any number; None of none."""
    match taps:
        case []:
            return None
        case [only]:
            return only
        case _:
            return _Several(tuple(taps))
