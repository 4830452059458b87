"""What a run on a worker has come to, as its events say; and the events that close it where the worker is lost."""

from collections.abc import Iterator, Sequence
from itertools import takewhile

from attrs import define, evolve, field

from tether._engine.parts import LiveRun
from tether.deltas import PartialReply
from tether.events import (
    AgentEnd,
    AgentStart,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnEnd,
    TurnStart,
)
from tether.limits import Spent
from tether.messages import (
    AssistantMessage,
    Failure,
    Message,
    ToolResultMessage,
    UserMessage,
)
from tether.transcript import Transcript

__all__ = ("Replica",)


@define(eq=False)
class Replica:
    """A run at a distance.

    Args:
        transcript: the conversation, which it continues.
        live: what can be seen of the run.
    """

    transcript: Transcript
    live: LiveRun
    is_over: bool = field(default=False, init=False)
    _has_begun: bool = field(default=False, init=False)
    _turn: int = field(default=0, init=False)
    _is_in_turn: bool = field(default=False, init=False)
    _open: Message | None = field(default=None, init=False)
    """The message that has started and not ended."""
    _reply: AssistantMessage | None = field(default=None, init=False)
    """That of this turn, once it is whole."""
    _calls: dict[str, ToolExecutionStart] = field(factory=dict[str, ToolExecutionStart], init=False)
    """Those that have started and not ended."""
    _answered: dict[str, ToolResultMessage] = field(
        factory=dict[str, ToolResultMessage], init=False
    )
    """What the calls of this turn gave, and who has not been told."""
    _announced: set[str] = field(factory=set[str], init=False)

    def take(self, event: Event) -> None:
        """Take in the next event."""
        match event:
            case MessageUpdate(delta):
                if self.live.partial is not None:
                    self.live.partial.add(delta)
            case AgentStart():
                self._has_begun = True
            case TurnStart(turn):
                self._begin_turn(turn)
            case MessageStart(message):
                self._open = message
                if isinstance(message, AssistantMessage):
                    self.live.partial = PartialReply(model=message.model, api=message.api)
            case MessageEnd(message):
                self._end(message)
            case ToolExecutionStart(call_id):
                self._calls[call_id] = event
            case ToolExecutionEnd(call_id, result=result):
                self._calls.pop(call_id, None)
                self._answered[call_id] = result
                self.transcript.resolve(result)
            case TurnEnd():
                self._is_in_turn = False
            case AgentEnd():
                self.is_over = True
            case _:
                pass

    def _begin_turn(self, turn: int) -> None:
        self._turn, self._is_in_turn, self._reply = turn, True, None
        self._answered.clear()
        self._announced.clear()
        self.transcript.reopen()

    def _end(self, message: Message) -> None:
        self._open = None
        match message:
            case ToolResultMessage():
                self._announced.add(message.call_id)
            case AssistantMessage():
                self._reply = message
                self.transcript.append(message)
            case _:
                self.transcript.append(message)

    def closing(self, failure: Failure, spent: Spent) -> Iterator[Event]:
        """Close the run as far as it has come, and give the events that say so.

        Args:
            failure: what it has failed with.
            spent: what it has spent.
        """
        if self.is_over or not self._has_begun:
            return
        if self._is_in_turn or not self._turn:
            yield from self._closing_turn(failure)
        self.is_over = True
        yield AgentEnd("error", error=failure, usage=spent.usage)

    def _closing_turn(self, failure: Failure) -> Iterator[Event]:
        if not self._turn:
            self._begin_turn(1)
            yield TurnStart(1)
        if self._open is not None and not isinstance(self._open, AssistantMessage):
            yield from self._ended(self._open)
        yield from self._closing_calls()
        if self._reply is None:
            reply = self._incomplete(failure)
            if self._open is None:
                yield MessageStart(evolve(reply, stop_reason=None, error=None))
            yield from self._ended(reply)
            yield from self._closing_calls()
        assert self._reply is not None
        results = [self.transcript.result(call.id) for call in self._reply.tool_calls]
        self._is_in_turn = False
        yield TurnEnd(self._turn, self._reply, tuple(results))

    def _closing_calls(self) -> Iterator[Event]:
        """Answer the calls that have started, and those of the reply that have not."""
        for call in () if self._reply is None else self._reply.tool_calls:
            if call.id not in self._answered and call.id not in self._calls:
                start = ToolExecutionStart(call.id, call.name, call.arguments)
                self._calls[call.id] = start
                yield start
        for call_id, start in [*self._calls.items()]:
            result = self.transcript.result(call_id)
            self._calls.pop(call_id)
            self._answered[call_id] = result
            yield ToolExecutionEnd(call_id, start.name, result, 0.0)
        for result in self._results():
            if result.call_id in self._answered and result.call_id not in self._announced:
                if not isinstance(self._open, ToolResultMessage):
                    yield MessageStart(result)
                yield from self._ended(result)

    def _results(self) -> Sequence[ToolResultMessage]:
        """The results of the last reply of the conversation, in the order of its calls."""
        behind = takewhile(
            lambda message: not isinstance(message, AssistantMessage), reversed(self.transcript)
        )
        return [one for one in behind if isinstance(one, ToolResultMessage)][::-1]

    def _ended(self, message: Message) -> Iterator[Event]:
        self._end(message)
        yield MessageEnd(message)

    def _incomplete(self, failure: Failure) -> AssistantMessage:
        partial = PartialReply() if self._open is None else self.live.partial or PartialReply()
        last = self.transcript[-1] if len(self.transcript) else UserMessage("")
        reply = partial.incomplete("error", failure)
        if isinstance(self._open, AssistantMessage):
            return evolve(reply, id=self._open.id, timestamp=self._open.timestamp)
        return evolve(reply, id=f"{last.id}.reply", timestamp=last.timestamp)
