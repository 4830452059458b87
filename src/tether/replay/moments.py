"""A recorded run at any of its moments. Nothing runs: a moment is folded from the notes up to it.

No I/O.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from attrs import evolve, field, frozen

from tether.deltas import BlockDelta, PartialReply
from tether.events import (
    ApprovalAnswered,
    ApprovalRequested,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelRetry,
    ToolExecutionEnd,
    ToolExecutionStart,
)
from tether.messages import AssistantMessage, Message, Queued, ToolResultMessage
from tether.replay.recording import Note, RecordedRun, event_of, taking
from tether.serialize import from_builtins
from tether.transcript import Transcript

__all__ = ("Moment", "moments")


@frozen(kw_only=True)
class Moment:
    """The state of a recorded run right after one event."""

    number: int
    """Of the event, counted from 1; 0 before the first."""
    seconds: float
    """Since the recording began."""
    event: Event | None
    messages: tuple[Message, ...]
    """The conversation, valid as at every moment."""
    request: Any = None
    """What the model was asked last: `model`, `system`, `tools`, `options`, and how many `messages`."""
    running: tuple[str, ...] = ()
    """The ids of the calls that run."""
    asked: tuple[str, ...] = ()
    """The ids of the calls that a person is asked about."""
    queued: tuple[tuple[str, Queued], ...] = ()
    """What waits to be said, each with its queue."""
    retry: ModelRetry | None = None
    """Set while another attempt is waited for."""
    inputs: tuple[str, ...] = ()
    """What was done from outside since the event before."""
    # The reply that arrives: as it began, its pieces, which its moments share, and how many of these have arrived.
    _begun: AssistantMessage | None = field(default=None, repr=False, alias="begun")
    _pieces: Sequence[BlockDelta] = field(default=(), repr=False, eq=False, alias="pieces")
    _arrived: int = field(default=0, repr=False, alias="arrived")

    @property
    def partial(self) -> AssistantMessage | None:
        """The reply that arrives, put together when it is asked for."""
        if self._begun is None or not self._arrived:
            return self._begun
        reply = PartialReply(model=self._begun.model, api=self._begun.api)
        for piece in islice(self._pieces, self._arrived):
            reply.add(piece)
        return reply.preview()


def moments(run: RecordedRun) -> Sequence[Moment]:
    """Give all moments of a run, the one before its first event included.

    Raises:
        DecodeError: the recording is damaged.
    """
    fold = _Fold(run)
    for note in run.notes:
        with taking(note):
            fold.take(note)
    return [*fold.before, fold.now]


class _Fold:
    def __init__(self, run: RecordedRun) -> None:
        self.before: list[Moment] = []
        self.now = Moment(number=0, seconds=0.0, event=None, messages=run.messages)
        self._transcript = Transcript(run.messages, run.left_open)
        self._transcript.reopen()
        self._reply: PartialReply | None = None
        self._pieces: list[BlockDelta] = []
        self._asked = 0

    def take(self, note: Note) -> None:
        said = note.said
        if (event := event_of(note)) is not None:
            self.before.append(self.now)
            following = self._after(event)
            number = self.now.number + 1
            self.now = evolve(
                following,
                number=number,
                seconds=note.seconds,
                event=event,
                inputs=(),
                retry=event if isinstance(event, ModelRetry) else None,
            )
            return
        match note.kind:
            case "request":
                self._asked = said["known"] + len(said["messages"])
                known = self.now.request or {}
                frame = said["frame"] or {name: known.get(name) for name in _FRAME}
                asked = {"model": said["model"], **frame, "messages": self._asked}
                self.now = evolve(self.now, request=asked)
            case "queued":
                message: Any = from_builtins(said["message"], Message)
                waiting = (*self.now.queued, (said["queue"], message))
                self.now = evolve(self.now, queued=waiting)
            case "taken":
                left = tuple(one for one in self.now.queued if one[1].id not in said)
                self.now = evolve(self.now, queued=left)
            case "input":
                words = " ".join(filter(None, (said["what"], said["call_id"])))
                self.now = evolve(self.now, inputs=(*self.now.inputs, words))
            case _:
                pass

    def _after(self, event: Event) -> Moment:
        now = self.now
        match event:
            case MessageStart(AssistantMessage(stop_reason=None) as reply):
                self._reply = PartialReply(model=reply.model, api=reply.api)
                self._pieces = []
                return evolve(now, begun=reply, pieces=self._pieces, arrived=0)
            case MessageUpdate(delta) if self._reply is not None:
                self._reply.add(delta)
                self._pieces.append(delta)
                return evolve(now, arrived=len(self._pieces))
            case MessageEnd(message):
                return self._ended(message)
            case ToolExecutionStart():
                return evolve(now, running=(*now.running, event.call_id))
            case ToolExecutionEnd(result=result):
                self._resolve(result)
                left = tuple(one for one in now.running if one != event.call_id)
                return evolve(now, running=left, messages=self._transcript.messages)
            case ApprovalRequested():
                return evolve(now, asked=(*now.asked, event.call_id))
            case ApprovalAnswered():
                return evolve(now, asked=tuple(one for one in now.asked if one != event.call_id))
            case _:
                return now

    def _ended(self, message: Message) -> Moment:
        if isinstance(message, ToolResultMessage):
            self._resolve(message)
        else:
            self._transcript.append(message)
        self._reply = None
        return evolve(self.now, messages=self._transcript.messages, begun=None)

    def _resolve(self, result: ToolResultMessage) -> None:
        with suppress(KeyError):  # a call that the recording does not know
            self._transcript.resolve(result)


_FRAME = ("system", "tools", "options")
