"""The agent loop: a generator that yields events to publish and requests to perform.

Two loops, one within the other. The inner one goes from model to tools to model, as long as there are
tool calls to answer or steering messages to deliver; the outer one takes follow-ups when the agent would
stop.

    prompts, steering -> [ turn: messages -> AskModel -> RunTools ]* -> follow-ups? -> the end

The generator is sent the outcome of each request, and None for each event. It keeps two promises:

- *Record, then announce.* The transcript changes before the event that tells of it is yielded.
- *Cut off anywhere, close in order.* A request can be answered by throwing an `Interruption` in. The loop
  takes over what there is, yields the events that close the run, and makes no further request.

No I/O, no clock, no chance: the same outcomes give the same events and the same transcript.
"""

from collections.abc import Callable, Generator, Sequence
from itertools import count
from typing import Any, Generic, TypeAlias, TypeVar, cast

from attrs import define, field, frozen

from tether._inbox import Queued, QueueName
from tether.events import (
    AgentEnd,
    AgentStart,
    Event,
    LimitName,
    MessageEnd,
    MessageStart,
    RunEnd,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnEnd,
    TurnStart,
)
from tether.limits import Limits, Spent
from tether.messages import (
    AssistantMessage,
    Failure,
    Message,
    ToolCall,
    ToolResultMessage,
    Usage,
)
from tether.transcript import Transcript

__all__ = (
    "Answer",
    "AskModel",
    "AskWhetherToStop",
    "End",
    "Interruption",
    "Loop",
    "Request",
    "RunTools",
    "Step",
    "TakeMessages",
    "agent_loop",
)

T = TypeVar("T")


class _Request(Generic[T]):
    """Something the loop wants done: `outcome = yield from request`."""

    __slots__ = ()

    def __iter__(self) -> Generator["Request", T, T]:
        return (yield cast("Request", self))


@frozen
class AskModel(_Request[AssistantMessage]):
    """Send the transcript to the model. Outcome: its reply, whole or cut off."""


@frozen
class Answer:
    """What became of one call."""

    result: ToolResultMessage
    terminate: bool = False
    """The tool says that the model need not be asked again."""
    usage: Usage = field(factory=Usage)
    """What child agents spent in it."""
    cost: float = 0.0


@frozen
class RunTools(_Request[Sequence[Answer]]):
    """Run these calls. Outcome: an answer for each, in their order."""

    calls: tuple[ToolCall, ...]


@frozen
class TakeMessages(_Request[Sequence[Queued]]):
    """Take what may enter the conversation now. Outcome: the messages, stamped."""

    queue: QueueName


@frozen
class AskWhetherToStop(_Request[bool]):
    """Ask those who watch turns. Outcome: True to end the run."""

    turn: TurnEnd


Request: TypeAlias = AskModel | RunTools | TakeMessages | AskWhetherToStop
Step: TypeAlias = Event | Request


@frozen
class End:
    """How a run ended."""

    stop_reason: RunEnd
    limit: LimitName | None = None


Loop: TypeAlias = Generator[Step, Any, End]


class Interruption(Exception):  # noqa: N818 - not an error: the answer to a request that was cut off
    """Thrown into the loop in place of an outcome, when the run must end now.

    Attributes:
        end: how the run ends.
        so_far: the outcome as far as it is known: the reply as it had arrived, an answer for each call.
    """

    def __init__(self, end: End, so_far: Any) -> None:
        super().__init__(end, so_far)
        self.end = end
        self.so_far = so_far


def agent_loop(
    transcript: Transcript,
    prompts: Sequence[Queued] = (),
    *,
    limits: Limits | None = None,
    spent: Spent | None = None,
    price: Callable[[AssistantMessage], float] = lambda _: 0.0,
) -> Loop:
    """Make the loop of one run.

    Args:
        transcript: the conversation so far, to be continued in place.
        prompts: what to say first, stamped.
        limits: what the run may spend.
        spent: where to count.
        price: what a reply cost.

    Returns:
        A generator of events and requests, that returns how the run ended.
    """
    state = _State(transcript, limits or Limits(), spent or Spent(), price)
    yield AgentStart()
    end = yield from _converse(state, prompts)
    yield AgentEnd(end.stop_reason, limit=end.limit, error=state.error, usage=state.spent.usage)
    return end


@define
class _State:
    transcript: Transcript
    limits: Limits
    spent: Spent
    price: Callable[[AssistantMessage], float]
    end: End | None = None
    """Set once the run must end: what is open is closed, and nothing new begun."""
    error: Failure | None = None

    def perform(self, request: _Request[T]) -> Generator[Step, Any, T]:
        """Make a request; where it is cut off, note the end and go on with what there is."""
        try:
            return (yield from request)
        except Interruption as cut:
            self.end = cut.end
            return cast("T", cut.so_far)


def _converse(state: _State, prompts: Sequence[Queued]) -> Loop:
    incoming = [*prompts, *(yield from state.perform(TakeMessages("steering")))]
    for number in count(1):
        turn = yield from _turn(state, number, incoming)
        if state.end is None and (yield from state.perform(AskWhetherToStop(turn))):
            return End("terminated")
        paused = turn.message.paused
        unfinished = paused or (bool(turn.results) and not turn.message.cut_off)
        limit = state.limits.reached(state.spent)
        if state.end is None and limit is not None:
            return End("limit", limit) if unfinished else _natural_end(turn)
        takes = state.end is None and not paused
        incoming = [*(yield from state.perform(TakeMessages("steering")))] if takes else []
        if not (incoming or unfinished or state.end):
            incoming = [*(yield from state.perform(TakeMessages("follow_up")))]
        if state.end is not None:
            return state.end
        if not (incoming or unfinished):
            return _natural_end(turn)
    raise AssertionError("counting never ends")


def _natural_end(turn: TurnEnd) -> End:
    return End("aborted" if turn.message.cut_off else "stop")


def _turn(state: _State, number: int, incoming: Sequence[Queued]) -> Generator[Step, Any, TurnEnd]:
    yield TurnStart(number)
    for message in incoming:
        state.transcript.append(message)
        yield from _announce(message)
    reply = yield from _ask(state)
    answers = (yield from _answer(state, reply)) if reply.tool_calls else ()
    turn = TurnEnd(number, reply, tuple(answer.result for answer in answers))
    yield turn
    return turn


def _ask(state: _State) -> Generator[Step, Any, AssistantMessage]:
    reply = yield from state.perform(AskModel())
    state.transcript.append(reply)
    state.spent.turns += 1
    state.spent.usage += reply.usage
    state.error = reply.error
    if reply.stop_reason == "error" and state.end is None:
        state.end = End("error")
    yield MessageEnd(reply)
    # Not before: a price may be asked of code of others, and what that raises must not lose the reply.
    state.spent.cost += state.price(reply)
    return reply


def _answer(state: _State, reply: AssistantMessage) -> Generator[Step, Any, Sequence[Answer]]:
    """Have the calls run, or say that they are not, and announce their results in their order."""
    allowed = state.limits.calls_left(state.spent)
    wanted = () if state.end or reply.cut_off else reply.tool_calls
    calls = wanted[:allowed]
    answers = [*(yield from state.perform(RunTools(calls)))] if calls else []
    for answer in answers:
        state.transcript.settle(answer.result)
        state.spent.usage += answer.usage
        state.spent.cost += answer.cost
    state.spent.tool_calls += len(answers)
    terminated = bool(answers) and all(answer.terminate for answer in answers)
    answers += yield from _skip(state, reply.tool_calls[len(answers) :])
    if state.end is None and len(calls) < len(wanted):
        state.end = End("limit", "tool_calls")
    elif state.end is None and terminated:
        state.end = End("terminated")
    for answer in answers:
        yield from _announce(answer.result)
    return answers


def _skip(state: _State, calls: Sequence[ToolCall]) -> Generator[Step, Any, Sequence[Answer]]:
    """Take up calls that are not to run; the transcript holds their results already."""
    answers = [Answer(state.transcript.result(call.id)) for call in calls]
    for call, answer in zip(calls, answers, strict=True):
        yield ToolExecutionStart(call.id, call.name, call.arguments)
        yield ToolExecutionEnd(call.id, call.name, answer.result, 0.0)
    return answers


def _announce(message: Message) -> Generator[Step, Any, None]:
    yield MessageStart(message)
    yield MessageEnd(message)
