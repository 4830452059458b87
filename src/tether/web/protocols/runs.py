"""Which run an event belongs to, and when the calls of a run wait for a person.

A run of tether goes on while a person thinks about a call. The protocols of others end theirs there, and begin another
with the answer. The end of such a segment is where no reply streams and the calls that run are exactly those that wait.
An agent that works inside a call has a run of its own, which has to wait as well.

No I/O.
"""

from collections.abc import Iterator, Sequence

from attrs import define, field, frozen

from tether.events import (
    AgentEnd,
    ApprovalAnswered,
    ApprovalRequested,
    Event,
    MessageEnd,
    MessageStart,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    TurnStart,
)
from tether.messages import AssistantMessage, Message
from tether.web.protocols.blocks import ReplyBlocks

__all__ = ("OpenRun", "Question", "Runs")


@define(eq=False)
class OpenRun:
    """A run that is going: the one that is streamed, or that of an agent inside one of its calls."""

    id: str
    """Empty for the run that is streamed; any other is unique in its conversation."""
    name: str = ""
    """What the agent is called."""
    parent: "OpenRun | None" = None
    call: str = ""
    """The block id of the call that it works in; empty where that is not known."""
    blocks: ReplyBlocks = field(factory=ReplyBlocks)
    calls: dict[str, ApprovalRequested | None] = field(factory=dict[str, ApprovalRequested | None])
    """The calls that run, each with the question that is open about it."""
    turn: int = 0
    replying: bool = False
    """Whether a reply is awaited or streams."""

    @property
    def asked(self) -> list[ApprovalRequested]:
        """The questions that are open."""
        return [question for question in self.calls.values() if question is not None]


@frozen
class Question:
    """A call that waits for a person."""

    id: str
    """The block id of the call."""
    request: ApprovalRequested
    run: OpenRun


class Runs:
    """One run and those inside its calls, as far as its events have come.

    Args:
        before: the conversation before the run, which may go on with the calls of its last reply.
    """

    __slots__ = ("_begun", "_inner", "root")

    def __init__(self, before: Sequence[Message] = ()) -> None:
        self.root: OpenRun = OpenRun("")
        for reply in [one for one in before if isinstance(one, AssistantMessage)][-1:]:
            self.root.blocks.begin(reply)
            for _ in self.root.blocks.end(reply):
                pass
        self._inner: dict[tuple[str, tuple[str, ...]], OpenRun] = {}
        self._begun: dict[str, int] = {}

    def locate(self, event: Event) -> tuple[OpenRun, Event]:
        """Find the run that an event belongs to.

        Returns:
            The run, and the event as that run published it.
        """
        if not isinstance(event, ToolExecutionUpdate) or event.event is None:
            return self.root, event
        key = (event.call_id, event.path)
        if key not in self._inner:
            self._inner[key] = self._begin(*key)
        return self._inner[key], event.event

    def _begin(self, call_id: str, path: tuple[str, ...]) -> OpenRun:
        outer = self.root.blocks.id_of_call(call_id)
        number = self._begun[outer] = self._begun.get(outer, 0) + 1
        parent = self._inner.get((call_id, path[:-1]), self.root)
        return OpenRun(
            f"{outer}.{number}",
            path[-1] if path else "",
            parent,
            outer if parent is self.root else _only_call_at_work(parent),
        )

    def note(self, run: OpenRun, event: Event) -> None:
        """Take in an event of a run."""
        match event:
            case TurnStart(turn):
                run.turn, run.replying = turn, True
            case MessageStart(AssistantMessage() as reply):
                run.replying = True
                run.blocks.begin(reply)
            case MessageEnd(AssistantMessage()):
                run.replying = False
            case ToolExecutionStart(call_id) | ApprovalAnswered(call_id):
                run.replying = False
                run.calls[call_id] = None
            case ApprovalRequested(call_id):
                run.calls[call_id] = event
            case ToolExecutionEnd(call_id):
                run.calls.pop(call_id, None)
            case AgentEnd():
                self.close(run)
            case _:
                pass

    def close(self, run: OpenRun) -> None:
        """Forget a run inside a call, and what is below it."""
        below = {run, *self.below(run)}
        self._inner = {key: one for key, one in self._inner.items() if one not in below}

    def in_call(self, run: OpenRun, call_id: str) -> list[OpenRun]:
        """List the runs that still go inside a call of a run, the innermost first."""
        block = run.blocks.id_of_call(call_id)
        direct = [one for one in self.inner if one.parent is run and one.call == block]
        return [below for one in direct for below in (*self.below(one), one)]

    def below(self, run: OpenRun) -> list[OpenRun]:
        """List the runs inside the calls of a run, the innermost first."""
        return [one for one in reversed(self.inner) if run in _above(one)]

    @property
    def inner(self) -> list[OpenRun]:
        """The runs inside calls, the outermost first."""
        return list(self._inner.values())

    @property
    def suspended(self) -> bool:
        """Whether no reply streams, and the calls that run are exactly those that wait for a person."""
        runs = [self.root, *self.inner]
        if not any(run.asked for run in runs):
            return False
        return all(not run.replying and self._only_waits(run) for run in runs)

    def _only_waits(self, run: OpenRun) -> bool:
        at_work = len(run.calls) - len(run.asked)
        inside = [one.call for one in self.inner if one.parent is run]
        return bool(run.calls) and at_work <= len(inside if "" in inside else set(inside))

    @property
    def questions(self) -> list[Question]:
        """The calls that wait for a person, those of the run itself first."""
        return [
            Question(run.blocks.id_of_call(request.call_id), request, run)
            for run in (self.root, *self.inner)
            for request in run.asked
        ]

    def question_answered_by(self, event: Event) -> str | None:
        """Return the id of the question that an event answers; None for other events."""
        run, inner = self.locate(event)
        if isinstance(inner, ApprovalAnswered):
            return run.blocks.id_of_call(inner.call_id)
        return None


def _only_call_at_work(run: OpenRun) -> str:
    """The call of a run that an agent must be working in, if there is no doubt."""
    at_work = [call_id for call_id, question in run.calls.items() if question is None]
    return run.blocks.id_of_call(at_work[0]) if len(at_work) == 1 else ""


def _above(run: OpenRun) -> Iterator[OpenRun]:
    parent = run.parent
    while parent is not None:
        yield parent
        parent = parent.parent
