"""The agent loop: a generator that yields events to publish and requests to perform.

Two loops, one within the other. The inner one goes from model to tools to model, as long as there are
tool calls to answer or steering messages to deliver; the outer one takes follow-ups when the agent would
stop.

    prompts, steering -> [ turn: messages -> AskModel -> RunTools ]* -> follow-ups? -> the end

Where a process ended in the middle of calls, the first turn of the next run begins with `RunTools`: it answers what is
open. If there is a prompt then, or steering, nothing is run: who says something new wants that to be heard first.

The generator is sent the outcome of each request, and None for each event. It keeps two promises:

- *Record, then announce.* The transcript changes before the loop yields the event that announces the change.
- *Interrupt anywhere, close in order.* A request can be answered by throwing an `Interruption` in. The loop takes
  over the partial result, yields the events that close the run, and makes no further request. Every run has a
  reply: one that ends before it could ask has an empty one, which is `aborted`.

The run is over once `_State.end` is set. One place looks at it before a request, `_State.perform`, and one after a
turn, `_converse`.

No I/O, no clock, no chance: the same outcomes give the same events and the same transcript.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, cast

from attrs import define, evolve, frozen

from tether.events import (
    AgentEnd,
    AgentStart,
    Event,
    MessageEnd,
    MessageStart,
    RunStopReason,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnEnd,
    TurnStart,
)
from tether.limits import LimitName, Limits, Spent
from tether.messages import (
    NO_USAGE,
    AssistantMessage,
    Failure,
    Message,
    Queued,
    QueueName,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
)
from tether.transcript import Transcript

if TYPE_CHECKING:
    from tether.calls import CallEnded

__all__ = (
    "AskModel",
    "AskWhetherToStop",
    "End",
    "Interruption",
    "Loop",
    "Request",
    "RunTools",
    "Step",
    "TakeMessages",
    "ToolOutcome",
    "agent_loop",
)

T = TypeVar("T")

_MOST_CUT_IN_A_ROW: Final = 3
"""Replies in a row that reach their output limit inside a call, before the run ends."""
_NONE_ENDED: Final[Mapping[str, "CallEnded"]] = MappingProxyType({})


class _Request(Generic[T]):
    """Something the loop wants done: `outcome = yield from request`."""

    __slots__ = ()

    def __iter__(self) -> Generator["Request", T, T]:
        return (yield cast("Request", self))


@frozen
class AskModel(_Request[AssistantMessage]):
    """Send the transcript to the model. Outcome: its reply, complete or incomplete."""


@frozen
class ToolOutcome:
    """What became of one call."""

    result: ToolResultMessage
    terminate: bool = False
    """The model need not be asked again."""
    usage: Usage = NO_USAGE
    """What child agents spent in it; `cost` too."""
    cost: float = 0.0


@frozen
class RunTools(_Request[Sequence[ToolOutcome]]):
    """Run these calls. Outcome: what became of each, in their order."""

    calls: tuple[ToolCall, ...]


@frozen
class TakeMessages(_Request[Sequence[Queued]]):
    """Take what may enter the conversation now. Outcome: the messages, stamped."""

    queue: QueueName


@frozen
class AskWhetherToStop(_Request[bool]):
    """Ask the `should_stop` hooks. Outcome: True to end the run."""

    turn: TurnEnd


Request: TypeAlias = AskModel | RunTools | TakeMessages | AskWhetherToStop
Step: TypeAlias = Event | Request


@frozen
class End:
    """How a run ended."""

    stop_reason: RunStopReason
    limit: LimitName | None = None
    error: Failure | None = None
    """What went wrong outside of the loop; of a reply that failed, the reply says it."""


Loop: TypeAlias = Generator[Step, Any, End]


class Interruption(Exception):  # noqa: N818 - not an error: the answer to a request that was interrupted
    """Thrown into the loop in place of an outcome, when the run must end now.

    Attributes:
        end: how the run ends.
        partial_result: the outcome as far as it is known: the reply as it had arrived, what became of each call.
    """

    def __init__(self, end: End, partial_result: Any) -> None:
        super().__init__(end, partial_result)
        self.end = end
        self.partial_result = partial_result


def agent_loop(
    transcript: Transcript,
    prompts: Sequence[Queued] = (),
    *,
    limits: Limits | Callable[[], Limits] | None = None,
    spent: Spent | None = None,
    price: Callable[[AssistantMessage], float] = lambda _: 0.0,
    waiting: Callable[[], bool] = lambda: False,
) -> Loop:
    """Make the loop of one run.

    Args:
        transcript: the conversation so far, to be continued in place.
        prompts: what to say first, stamped.
        limits: what the run may spend; a function is called whenever that matters, so that it may change.
        spent: where to count.
        price: what a reply cost.
        waiting: says whether a message waits to enter the conversation.

    Returns:
        A generator of events and requests, that returns how the run ended.

    Raises:
        Exception: what `price` raised, behind the run's last event.
    """
    live = limits if callable(limits) else _unchanging(limits or Limits())
    state = _State(transcript, live, spent or Spent(), price, waiting)
    yield AgentStart()
    end = yield from _converse(state, prompts)
    error = end.error or state.error
    yield AgentEnd(end.stop_reason, limit=end.limit, error=error, usage=state.spent.usage)
    if state.failed is not None:
        raise state.failed
    return end


def _unchanging(limits: Limits) -> Callable[[], Limits]:
    return lambda: limits


@define(eq=False, repr=False)
class _State:
    transcript: Transcript
    limits: Callable[[], Limits]
    spent: Spent
    price: Callable[[AssistantMessage], float]
    waiting: Callable[[], bool]
    end: End | None = None
    """Set once the run must end: what is open is closed, and nothing new begun."""
    error: Failure | None = None
    failed: Exception | None = None
    """What the price of a reply raised: code of others, which must not tear the loop down."""
    cut_in_a_row: int = 0
    """How many replies have now reached their output limit inside a call."""

    def finish(self, end: End) -> None:
        """Have the run end, unless it must end already."""
        self.end = self.end or end

    def perform(self, request: _Request[T], otherwise: T) -> Generator[Step, Any, T]:
        """Make a request, unless the run must end; take over what there is where it is interrupted."""
        if self.end is not None:
            return otherwise
        try:
            return (yield from request)
        except Interruption as interruption:
            self.end = interruption.end
            return cast("T", interruption.partial_result)


def _converse(state: _State, prompts: Sequence[Queued]) -> Loop:
    incoming = [*prompts, *(yield from state.perform(TakeMessages("steering"), ()))]
    for number in count(1):
        turn = yield from _turn(state, number, incoming)
        incoming = [*(yield from _what_follows(state, turn))]
        if state.end is not None:
            return state.end
    raise AssertionError("counting never ends")


def _what_follows(state: _State, turn: TurnEnd) -> Generator[Step, Any, Sequence[Queued]]:
    """Take the messages that the next turn begins with; where there is to be none, have the run end."""
    if (yield from state.perform(AskWhetherToStop(turn), False)):  # noqa: FBT003 - its outcome
        state.finish(End("terminated"))
    paused = turn.message.paused
    unfinished = paused or (bool(turn.results) and not turn.message.incomplete)
    if (limit := state.limits().reached(state.spent)) is not None:
        more = unfinished or state.waiting()
        state.finish(End("limit", limit) if more else _natural_end(turn))
    incoming = () if paused else (yield from state.perform(TakeMessages("steering"), ()))
    if not (incoming or unfinished):
        incoming = yield from state.perform(TakeMessages("follow_up"), ())
    if not (incoming or unfinished):
        state.finish(_natural_end(turn))
    return incoming


def _natural_end(turn: TurnEnd) -> End:
    return End("aborted" if turn.message.incomplete else "stop")


def _turn(state: _State, number: int, incoming: Sequence[Queued]) -> Generator[Step, Any, TurnEnd]:
    yield TurnStart(number)
    if (left := state.transcript.reopen()) is not None:
        runs = not incoming
        yield from _answer(state, left.reply, left.calls, ended=left.ended, runs=runs)
    for message in incoming:
        state.transcript.append(message)
        yield from _announce(message)
    reply = yield from _reply(state)
    calls = reply.tool_calls
    results = (yield from _answer(state, reply, calls)) if calls else ()
    turn = TurnEnd(number, reply, tuple(results))
    yield turn
    return turn


def _reply(state: _State) -> Generator[Step, Any, AssistantMessage]:
    reply = yield from state.perform(AskModel(), unasked := _unasked(state.transcript))
    if reply is unasked:
        yield MessageStart(evolve(reply, stop_reason=None))
    state.transcript.append(reply)
    state.spent.turns += 1
    state.spent.usage += reply.usage
    state.error = reply.error
    if reply.stop_reason == "error":
        state.finish(End("error"))
    yield MessageEnd(reply)
    try:
        state.spent.cost += state.price(reply)
    except Exception as error:  # noqa: BLE001 - raised behind the run's last event
        state.failed, state.error = error, _unpriced(error)
        state.finish(End("error"))
    return reply


def _unpriced(error: Exception) -> Failure:
    return Failure("internal", f"the price of the reply is not known: {type(error).__name__}")


def _unasked(transcript: Transcript) -> AssistantMessage:
    """The reply of a run that ends before it could ask; its id and time derive from what it would answer."""
    last = transcript[-1] if len(transcript) else UserMessage("")
    return AssistantMessage(
        (), stop_reason="aborted", id=f"{last.id}.reply", timestamp=last.timestamp
    )


def _answer(
    state: _State,
    reply: AssistantMessage,
    due: Sequence[ToolCall],
    *,
    ended: Mapping[str, "CallEnded"] = _NONE_ENDED,
    runs: bool = True,
) -> Generator[Step, Any, Sequence[ToolResultMessage]]:
    """Have the calls of a reply run, or say that they are not, and announce their results in their order.

    Args:
        state: that of the run.
        reply: the reply.
        due: those of its calls whose results are to be announced.
        ended: what some of its calls gave in an earlier run.
        runs: whether calls that have no result are run.
    """
    whole = _whole_calls(state, reply)
    wanted = [call for call in whole if runs and state.transcript.is_open(call.id)]
    calls = tuple(wanted[: state.limits().calls_left(state.spent)])
    outcomes = [*(yield from state.perform(RunTools(calls), ()))] if calls else []
    for outcome in outcomes:
        state.transcript.resolve(outcome.result)
        state.spent.usage += outcome.usage
        state.spent.cost += outcome.cost
    state.spent.tool_calls += len(outcomes)
    ran = {outcome.result.call_id: outcome.terminate for outcome in outcomes}
    terminating = {id_: one.terminate for id_, one in ended.items()} | ran
    if len(calls) < len(wanted):
        state.finish(End("limit", "tool_calls"))
    elif runs and all(terminating.get(call.id) for call in reply.tool_calls):
        state.finish(End("terminated"))
    if state.cut_in_a_row == _MOST_CUT_IN_A_ROW:
        state.finish(End("length"))
    yield from _skip(state, [call for call in due if call.id not in ran])
    results = [state.transcript.result(call.id) for call in due]
    for result in results:
        yield from _announce(result)
    return results


def _whole_calls(state: _State, reply: AssistantMessage) -> tuple[ToolCall, ...]:
    """Choose the calls that may run; the one that an output limit has cut is answered with what happened."""
    if reply.incomplete:
        return ()
    last = reply.content[-1] if reply.content else None
    # Whole as its arguments may look, nobody knows whether the model was done with them.
    cut = last if reply.stop_reason == "length" and isinstance(last, ToolCall) else None
    state.cut_in_a_row = 0 if cut is None else state.cut_in_a_row + 1
    if cut is None:
        return reply.tool_calls
    placeholder = state.transcript.result(cut.id)
    state.transcript.resolve(
        evolve(placeholder, content=_cut_off(cut, reply.usage), outcome="error")
    )
    return reply.tool_calls[:-1]


def _cut_off(call: ToolCall, usage: Usage) -> str:
    """Say what became of a call that an output limit has cut."""
    import json  # noqa: PLC0415 - few calls are cut

    tokens = f" of {usage.output_tokens} tokens" if usage.output_tokens else ""
    written = len(call.malformed or (json.dumps(call.arguments) if call.arguments else ""))
    return (
        f"This call was not run: the reply reached its output limit{tokens} inside it, and was cut after {written} "
        "characters of its arguments. Write less at once, or in several parts."
    )


def _skip(state: _State, calls: Sequence[ToolCall]) -> Generator[Step, Any, None]:
    """Announce calls that do not run; the transcript holds their results already."""
    for call in calls:
        result = state.transcript.result(call.id)
        yield ToolExecutionStart(call.id, call.name, call.arguments)
        yield ToolExecutionEnd(call.id, call.name, result, 0.0)


def _announce(message: Message) -> Generator[Step, Any, None]:
    yield MessageStart(message)
    yield MessageEnd(message)
