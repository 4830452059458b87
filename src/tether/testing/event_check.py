"""A check of what a run told its consumers: the grammar of `tether.events` as a state machine.

Where a run stands between two events is a `_State`; `_GRAMMAR` says which event leads from which state to
which, and an event that has no entry there cannot come. Beyond the order, an event must agree with those
before it:

- turns are counted from 1, and a `TurnEnd` carries the reply and the results that its turn has shown;
- a message ends as it began, but for a reply, which begins empty and ends as its updates made it: just so
  when it is whole, with no less than they brought when it is cut off;
- each call of a reply starts once and ends once, and its tool is heard of between the two; so are the questions whether
  it may run, one after the other, each answered before the next and before the call's end;
- results come when all calls have ended, one for each call, in their order, as the calls ended;
- a run that takes up open calls of the reply before it begins with them: each of its calls that starts has a result;
- what a child agent tells through a call is a run in itself, whole if the call went well.

A run that was cut off from outside has told the beginning of such a run.

No I/O.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from tether import (
    AgentEnd,
    ApprovalAnswered,
    ApprovalRequested,
    AssistantMessage,
    Event,
    Message,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ToolCall,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    TurnEnd,
    TurnStart,
)
from tether.events import CallEvent
from tether.testing._reply_check import Reply, require
from tether.testing.transcript_check import describe

__all__ = ("check_events",)


class _State(Enum):
    """Where a run stands between two events, as a fault report words it."""

    START = "before the run began"
    BEGUN = "as the first event after AgentStart"
    OPENED = "at the beginning of the first turn"
    FINISHING = "while calls of an earlier reply may run"
    FINISHED_RESULT = "inside the result of an earlier call"
    FINISHED = "after the result of an earlier call"
    ASKING = "between the beginning of a turn and its reply"
    MESSAGE = "inside a message"
    RETRYING = "between a ModelRetry and the reply"
    REPLY = "inside the reply"
    ACTING = "after the reply, while tools may run"
    RESULT = "inside a tool result"
    ANSWERED = "after a tool result"
    BETWEEN = "between two turns"
    OVER = "after the end of the run"


_ASKING: Mapping[str, _State] = {
    "MessageStart": _State.MESSAGE,
    "ModelRetry": _State.RETRYING,
    "MessageStart of a reply": _State.REPLY,
}
_GRAMMAR: Mapping[_State, Mapping[str, _State]] = {
    _State.START: {"AgentStart": _State.BEGUN},
    _State.BEGUN: {"TurnStart": _State.OPENED},
    _State.OPENED: {**_ASKING, "ToolExecutionStart": _State.FINISHING},
    _State.FINISHING: {
        "ToolExecutionStart": _State.FINISHING,
        "ApprovalRequested": _State.FINISHING,
        "ApprovalAnswered": _State.FINISHING,
        "ToolExecutionUpdate": _State.FINISHING,
        "ToolExecutionEnd": _State.FINISHING,
        "MessageStart of a result": _State.FINISHED_RESULT,
    },
    _State.FINISHED_RESULT: {"MessageEnd of a result": _State.FINISHED},
    _State.FINISHED: {**_ASKING, "MessageStart of a result": _State.FINISHED_RESULT},
    _State.ASKING: _ASKING,
    _State.MESSAGE: {"MessageEnd": _State.ASKING},
    _State.RETRYING: {"ModelRetry": _State.RETRYING, "MessageStart of a reply": _State.REPLY},
    _State.REPLY: {"MessageUpdate": _State.REPLY, "MessageEnd of a reply": _State.ACTING},
    _State.ACTING: {
        "ToolExecutionStart": _State.ACTING,
        "ApprovalRequested": _State.ACTING,
        "ApprovalAnswered": _State.ACTING,
        "ToolExecutionUpdate": _State.ACTING,
        "ToolExecutionEnd": _State.ACTING,
        "MessageStart of a result": _State.RESULT,
        "TurnEnd": _State.BETWEEN,
    },
    _State.RESULT: {"MessageEnd of a result": _State.ANSWERED},
    _State.ANSWERED: {"MessageStart of a result": _State.RESULT, "TurnEnd": _State.BETWEEN},
    _State.BETWEEN: {"TurnStart": _State.ASKING, "AgentEnd": _State.OVER},
    _State.OVER: {},
}


def check_events(
    events: Iterable[Event], *, complete: bool = True, replies_edited: bool = False
) -> None:
    """Check that the events of a run obey their grammar and agree with each other.

    Args:
        events: what one consumer was told, from the beginning and with nothing left out.
        complete: True for a run that came to its end, however it ended; False for one that was cut off from
            outside, which may stop after any event.
        replies_edited: True where a hook (`after_model`) edits replies once they have arrived, so that they
            end otherwise than their updates made them.

    Raises:
        AssertionError: they do not; the text shows where.
    """
    told: list[Event] = []
    run = _Run(replies_edited=replies_edited)
    for event in events:
        told.append(event)
        try:
            run.take(event)
        except AssertionError as error:
            raise AssertionError(f"event {len(told) - 1}: {error}{_shown(told)}") from None
    if complete and not run.is_over:
        raise AssertionError(f"the run has no end: the events stop {run.place}{_shown(told)}")


class _Run:
    """What is known of a run after some of its events."""

    def __init__(self, *, replies_edited: bool) -> None:
        self._replies_edited = replies_edited
        self._state = _State.START
        self._turn = 0
        self._begun: Message | None = None
        self._reply = Reply()
        self._calls = _Calls(None, replies_edited=replies_edited)

    @property
    def is_over(self) -> bool:
        return self._state is _State.OVER

    @property
    def place(self) -> str:
        return self._state.value

    @property
    def calls(self) -> "_Calls":
        return self._calls

    def take(self, event: Event) -> None:
        """Take in the next event; an AssertionError says why it cannot come here."""
        steps = _GRAMMAR[self._state]
        symbol = _symbol(event)
        require(
            symbol in steps, f"{symbol} {self.place}; next is {' or '.join(steps) or 'nothing'}"
        )
        self._agree(event)
        self._state = steps[symbol]

    def _agree(self, event: Event) -> None:
        match event:
            case TurnStart(turn):
                require(turn == self._turn + 1, f"turn {turn} follows turn {self._turn}")
                self._turn = turn
            case MessageStart(message):
                self._begin(message)
            case MessageUpdate(delta):
                self._reply.add(delta)
            case MessageEnd(message):
                self._end(message)
            case (
                ToolExecutionStart()
                | ToolExecutionEnd()
                | ApprovalRequested()
                | ApprovalAnswered()
                | ToolExecutionUpdate()
            ):
                self._calls.take(event)
            case TurnEnd():
                self._end_turn(event)
            case AgentEnd(stop_reason=reason, limit=limit, error=error):
                require(
                    (reason == "limit") == (limit is not None),
                    f"it ends with {reason}, limit {limit}",
                )
                require(
                    reason != "error" or error is not None, "it ends with an error and shows none"
                )
            case _:
                pass

    def _begin(self, message: Message) -> None:
        self._begun = message
        if self._state is _State.FINISHED and not isinstance(message, ToolResultMessage):
            self._calls.close("something else is said")
        if isinstance(message, AssistantMessage):
            require(not message.content, "a reply begins with something in it")
            self._reply = Reply()
        elif isinstance(message, ToolResultMessage):
            self._calls.answer(message)

    def _end(self, message: Message) -> None:
        if isinstance(message, AssistantMessage):
            begun = self._begun.id if self._begun is not None else ""
            require(begun in {"", message.id}, f"reply {begun!r} ends as {message.id!r}")
            self._reply.end(message, edited=self._replies_edited)
            self._calls = _Calls(message.tool_calls, replies_edited=self._replies_edited)
        else:
            require(message == self._begun, f"it began as {self._begun!r} and ends as {message!r}")

    def _end_turn(self, event: TurnEnd) -> None:
        require(event.turn == self._turn, f"turn {self._turn} ends as turn {event.turn}")
        require(event.message == self._reply.message, "TurnEnd has another reply than its turn")
        self._calls.close("the turn ends")
        require(
            event.results == tuple(self._calls.results), "TurnEnd has other results than its turn"
        )


class _Calls:
    """What has become of the calls of a reply; of one that was not shown, they are known as they start."""

    def __init__(self, calls: Sequence[ToolCall] | None, *, replies_edited: bool) -> None:
        self._replies_edited = replies_edited
        self.results: list[ToolResultMessage] = []
        self._are_known = calls is not None
        self._calls = {call.id: call for call in calls or ()}
        self._running: set[str] = set()
        self._asked: set[str] = set()
        self._ended: dict[str, ToolResultMessage] = {}
        self._children: dict[tuple[str, tuple[str, ...]], _Run] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def take(self, event: ToolExecutionStart | CallEvent | ToolExecutionEnd) -> None:
        if not self._are_known and isinstance(event, ToolExecutionStart):
            shown = ToolCall(event.call_id, event.name, event.arguments)
            self._calls.setdefault(event.call_id, shown)
        call = self._calls.get(event.call_id)
        require(
            call is not None, f"the reply makes no call {event.call_id!r}, but {list(self._calls)}"
        )
        named = call is not None and call.name == event.name
        require(
            named, f"{event.call_id!r} is a call of {call and call.name!r}, not of {event.name!r}"
        )
        running = event.call_id in self._running
        if isinstance(event, ToolExecutionStart):
            require(
                not running and event.call_id not in self._ended, f"{event.call_id!r} starts again"
            )
            self._running.add(event.call_id)
            return
        require(running, f"{event.call_id!r} is not running")
        match event:
            case ToolExecutionEnd():
                self._end(event)
            case ApprovalRequested(call_id):
                require(call_id not in self._asked, f"{call_id!r} is asked about already")
                self._asked.add(call_id)
            case ApprovalAnswered(call_id):
                require(call_id in self._asked, f"nobody has asked about {call_id!r}")
                self._asked.remove(call_id)
            case ToolExecutionUpdate(event=nested) if nested is not None:
                self._listen(event.call_id, event.path, nested)
            case _:
                pass

    def _end(self, event: ToolExecutionEnd) -> None:
        require(event.call_id not in self._asked, f"{event.call_id!r} ends with a question open")
        result = event.result
        same = (result.call_id, result.name) == (event.call_id, event.name)
        require(same, f"{event.call_id!r} ends with a {describe(result)}")
        for (call_id, path), child in self._children.items():
            if call_id == event.call_id and len(path) == 1 and not result.is_error:
                require(child.is_over, f"child {path[0]!r} of {call_id!r} stops {child.place}")
        self._running.remove(event.call_id)
        self._ended[event.call_id] = result

    def _listen(self, call_id: str, path: tuple[str, ...], event: Event) -> None:
        """Check a child's event as one of a run of its own."""
        parent = self._children.get((call_id, path[:-1]))
        if len(path) > 1 and (parent is None or len(parent.calls) > 1):
            # Below a child that makes several calls at once, a path can stand for several runs.
            return
        child = self._children.setdefault((call_id, path), self._child())
        if child.is_over:
            child = self._children[call_id, path] = self._child()
        try:
            child.take(event)
        except AssertionError as error:
            raise AssertionError(f"from {' > '.join(path)} in {call_id!r}: {error}") from None

    def _child(self) -> _Run:
        return _Run(replies_edited=self._replies_edited)

    def answer(self, result: ToolResultMessage) -> None:
        given = {one.call_id for one in self.results}
        due = [id_ for id_ in self._calls if id_ not in given]
        due = due[:1] if self._are_known else due
        require(result.call_id in due, f"the result of {result.call_id!r} comes; due is {due}")
        self._expect_ended(f"the result of {result.call_id!r} comes")
        ended = self._ended[result.call_id]
        require(result == ended, f"its call ended with {ended!r}, but the result is {result!r}")
        self.results.append(result)

    def _expect_ended(self, what: str) -> None:
        silent = [id_ for id_ in self._calls if id_ not in self._ended and id_ not in self._running]
        require(not silent, f"{what}, but {silent} have not started")
        require(not self._running, f"{what}, but {sorted(self._running)} are running")

    def close(self, what: str) -> None:
        self._expect_ended(what)
        missing = list(self._calls)[len(self.results) :]
        require(not missing, f"{what} without a result for {missing}")


def _symbol(event: Event) -> str:
    """The name that the grammar has for an event."""
    kind = type(event).__name__
    match event:
        case MessageStart(AssistantMessage()) | MessageEnd(AssistantMessage()):
            return f"{kind} of a reply"
        case MessageStart(ToolResultMessage()) | MessageEnd(ToolResultMessage()):
            return f"{kind} of a result"
        case _:
            return kind


def _shown(events: Sequence[Event], count: int = 8) -> str:
    """Show the last events, numbered, the very last marked."""
    first = max(0, len(events) - count)
    lines = [
        f"\n  {'>' if number == len(events) - 1 else ' '} {number}: {_described(event)}"
        for number, event in enumerate(events[first:], first)
    ]
    return "".join(lines)


def _described(event: Event) -> str:
    kind = type(event).__name__
    match event:
        case MessageStart(message) | MessageEnd(message):
            return f"{kind} {describe(message)}"
        case MessageUpdate(delta):
            return f"{kind} {delta!r}"
        case ToolExecutionUpdate(event=nested, path=path) if nested is not None:
            return f"{kind} {event.call_id!r} {' > '.join(path)}: {_described(nested)}"
        case (
            ToolExecutionStart()
            | ToolExecutionEnd()
            | ApprovalRequested()
            | ApprovalAnswered()
            | ToolExecutionUpdate()
        ):
            return f"{kind} {event.name} {event.call_id!r}"
        case TurnStart(turn) | TurnEnd(turn):
            return f"{kind} {turn}"
        case _:
            return kind
