"""Record the runs of an agent in a file while they go.

The file only grows: what is in it is valid, even if the process ends in the middle of a run. Each line is a JSON array:
what kind of note it is, seconds since the recording began, and what it says.
"""

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import groupby
from typing import Any, Final, cast

from attrs import asdict

from tether.agent import Agent
from tether.deltas import BlockDelta, ReplyEnd, ReplyInfo, TextDelta
from tether.events import Event, MessageUpdate
from tether.loop import End, Request, RunTools, Step
from tether.messages import AssistantMessage, CustomMessage, Message, Queued, QueueName
from tether.model import Model, ModelRequest
from tether.replay.held import Held, Noted
from tether.replay.masking import Masking
from tether.replay.new_file import new_file
from tether.replay.raised import written_error
from tether.replay.values import (
    encoded,
    free,
    written,
    written_end,
    written_limits,
    written_messages,
    written_open,
    written_outcome,
    written_spent,
)
from tether.result import RunResult
from tether.serialize import to_builtins
from tether.taps import Input, RunBegun, Tap

__all__ = (
    "VERSION",
    "Recorder",
    "asked_of",
    "digest_of",
    "record",
    "written_result",
)

VERSION: Final = 1
_DELTAS: Final = 64
"""Pieces of text that may wait before they are written."""


@contextmanager
def record(
    agent: Agent,
    path: str | os.PathLike[str],
    *,
    secrets: Iterable[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Generator["Recorder"]:
    """Record the runs that begin in the block.

    A run is the same with it: the recorder is a `Tap`. Each note is written when it is made, but for pieces of text, of
    which some may wait for the next; where a secret may have begun in one, what follows waits with it.

    Args:
        agent: whose runs.
        path: the file. It is made for its owner alone, and must not be there.
        secrets: what is taken out before it is written, such as keys, also where it comes in pieces.
        clock: seconds, for the times of the notes; not that of the agent.

    Returns:
        A context manager that gives the recorder.

    Raises:
        FileExistsError: there is a file already.
        OSError: it cannot be made. Where it cannot be written to later, runs go on and the recording ends; see
            `Recorder.failure`.
        UsageError: a secret is no string, has fewer than 4 characters, or is such that no recording could be read
            without it.
    """
    masking = Masking(secrets)
    with new_file(path) as file:
        recorder = Recorder(file.write, masking, clock)
        untap = agent.tap(recorder)
        try:
            yield recorder
        finally:
            untap()
            recorder.flush()


class Recorder(Tap):
    """What writes a recording; see `record`.

    Args:
        write: writes as much as is taken at once, and returns how many bytes that was.
        masking: takes secrets out.
        clock: seconds.

    Attributes:
        failure: why the recording has ended early, if it has.
    """

    __slots__ = (
        "_ahead",
        "_asked",
        "_clock",
        "_held",
        "_masking",
        "_run",
        "_said",
        "_start",
        "_state",
        "_tools",
        "_write_some",
        "failure",
    )

    def __init__(
        self, write: Callable[[memoryview], int], masking: Masking, clock: Callable[[], float]
    ) -> None:
        self.failure: Exception | None = None
        self._write_some = write
        self._masking = masking
        self._held = Held(masking) if masking.is_needed else None
        self._clock = clock
        self._start = clock()
        self._ahead: list[tuple[float, BlockDelta]] = []
        self._run: RunBegun | None = None
        # The conversation as it was written last, and what the last request was made of.
        self._said: Sequence[Message] = ()
        self._asked: Sequence[Message] = ()
        self._tools: Any = None
        self._state: tuple[Any, Any] = (None, None)
        self._write("recording", {"version": VERSION})

    # What a tap sees.

    def begun(self, run: RunBegun) -> None:
        """See `Tap.begun`."""
        self._run = run
        self._state = (None, None)
        known = _in_common(self._said, run.messages)
        self._said = run.messages
        self._asked, self._tools = (), None
        self._write(
            "run",
            {
                "known": known,
                "messages": lambda: written_messages(run.messages[known:]),
                "prompts": lambda: written_messages(run.prompts),
                "left_open": lambda: written_open(run.left_open),
                "spent": written_spent(run.spent),
                "limits": written_limits(run.limits()),
            },
        )

    def stepped(self, step: Step) -> None:
        """See `Tap.stepped`."""
        self._write("step", _name_of(step))
        self._note_state(write=False)

    def answered(self, step: Step, outcome: object, ending: End | None) -> None:
        """See `Tap.answered`."""
        self._note_state()
        if isinstance(step, Request):
            self._write(
                "answer",
                {
                    "outcome": lambda: written_outcome(step, outcome),
                    "ending": lambda: written_end(ending),
                },
            )

    def published(self, event: Event) -> None:
        """See `Tap.published`."""
        if type(event) is not MessageUpdate:
            self._write("event", lambda: written(event), event)
        elif self._held is None:
            self._ahead.append((self._clock(), event.delta))
            if len(self._ahead) >= _DELTAS:
                self._write_ahead()
        elif type(event.delta) is TextDelta:
            self._held.add_text(self._since(self._clock()), event.delta)
            self._write_held()
        else:
            self._write("event", lambda: written(event), event)

    def requested(self, model: Model, request: ModelRequest) -> None:
        """See `Tap.requested`."""
        self._write("request", lambda: self._asked_now(model, request))

    def _asked_now(self, model: Model, request: ModelRequest) -> dict[str, Any]:
        known = _in_common(self._asked, request.messages)
        self._asked = request.messages
        frame = _frame(request)
        same = frame == self._tools
        self._tools = frame
        return {
            "model": model.name,
            "known": known,
            "messages": written_messages(request.messages[known:]),
            "frame": None if same else frame,
            "plain": self._is_plain(request),
            "digest": digest_of(self._masking.value(_written_request(request))),
        }

    def arrived(self, fact: ReplyInfo | ReplyEnd) -> None:
        """See `Tap.arrived`."""
        self._write("fact", lambda: written(fact))

    def recorded(self, message: CustomMessage) -> None:
        """See `Tap.recorded`."""
        self._write("recorded", lambda: written(message))

    def priced(self, reply: AssistantMessage, price: float | Exception) -> None:
        """See `Tap.priced`."""
        self._write(
            "price", lambda: written_error(price) if isinstance(price, Exception) else price
        )

    def waiting(self, answer: bool) -> None:  # noqa: FBT001 - as in `Tap`
        """See `Tap.waiting`."""
        self._write("waiting", answer)

    def queued(self, queue: QueueName, message: Queued) -> None:
        """See `Tap.queued`."""
        self._write("queued", {"queue": queue, "message": lambda: written(message)})

    def taken(self, messages: Sequence[Queued]) -> None:
        """See `Tap.taken`."""
        self._write("taken", [message.id for message in messages])

    def input(self, what: Input, call_id: str | None = None) -> None:
        """See `Tap.input`."""
        self._write("input", {"what": what, "call_id": call_id})

    def ended(self, result: RunResult | BaseException) -> None:
        """See `Tap.ended`."""
        self._note_state()
        if isinstance(result, BaseException):
            self._write("raised", lambda: written_error(result))
        else:
            self._write("result", lambda: written_result(result))
        self.flush()
        self._run = None

    def _is_plain(self, request: ModelRequest) -> bool:
        """Whether no hook has changed what is said in a request."""
        return self._run is not None and list(request.messages) == asked_of(self._run.for_model())

    # How it is written.

    def _note_state(self, *, write: bool = True) -> None:
        """Note what is spent and what may be, where somebody else than the loop has changed it."""
        if self._run is None:
            return
        spent = written_spent(self._run.spent)
        limits = written_limits(self._run.limits())
        if write and (spent, limits) != self._state:
            self._write("state", {"spent": spent, "limits": limits})
        self._state = (spent, limits)

    def _write(self, kind: str, said: Any, event: Event | None = None) -> None:
        if self.failure is not None:
            return
        self._write_ahead()
        try:
            seconds, made = self._since(self._clock()), _made(said)
            if self._held is None:
                self._put(encoded((kind, seconds, made)) + b"\n")
            else:
                self._held.add(kind, seconds, made, event)
        except Exception as failure:  # noqa: BLE001 - the run goes on, and who asks is told
            self.failure = failure
        self._write_held()

    def _since(self, moment: float) -> float:
        return round(moment - self._start, 6)

    def flush(self) -> None:
        """Write all that waits."""
        self._write_ahead()
        if self._held is not None:
            self._held.end()
            self._write_held()

    def _write_ahead(self) -> None:
        """Write the pieces of text that wait."""
        ahead, self._ahead = self._ahead, []
        if ahead:
            start = self._start
            self._put_notes(lambda: [_of_delta(moment - start, delta) for moment, delta in ahead])

    def _write_held(self) -> None:
        """Write what was held back, where no secret may have begun in it."""
        if self._held is not None:
            self._put_notes(self._held.ready)

    def _put_notes(self, made: Callable[[], Sequence[Noted]]) -> None:
        if self.failure is not None:
            return
        try:
            if notes := made():
                self._put(b"".join(self._lines(notes)))
        except Exception as failure:  # noqa: BLE001 - as above
            self.failure = failure

    def _lines(self, notes: Sequence[Noted]) -> Iterable[bytes]:
        """Write notes; pieces of text that follow each other, as most do, on one line."""
        for is_text, group in groupby(map(_in_short, notes), lambda note: note[0] == "text"):
            if is_text:
                texts = [(int(seconds * 1e6), *said) for _, seconds, said in group]
                yield encoded(("texts", 0.0, texts)) + b"\n"
            else:
                for note in group:
                    yield encoded(note) + b"\n"

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._write_some(rest) :]


def _made(said: Any) -> Any:
    """Make what is to be written of what is given: functions are called here, where what they raise is caught."""
    if callable(said):
        return said()
    if isinstance(said, dict):
        return {key: _made(one) for key, one in cast("dict[str, Any]", said).items()}
    return said


def _of_delta(seconds: float, delta: BlockDelta) -> Noted:
    if type(delta) is TextDelta:
        return "text", seconds, (delta.index, delta.text)
    return "delta", round(seconds, 6), to_builtins(delta)


def _in_short(note: Noted) -> Noted:
    """Leave out of a piece of a reply what all of them have."""
    kind, seconds, said = note
    if kind != "event" or said["type"] != MessageUpdate.type:
        return note
    return "delta", seconds, said["delta"]


def asked_of(messages: Sequence[Message]) -> list[Message]:
    """Leave out an incomplete reply at the end, which is asked for again."""
    last = messages[-1] if messages else None
    cut_off = isinstance(last, AssistantMessage) and last.incomplete
    return list(messages[:-1] if cut_off else messages)


def _in_common(before: Sequence[Message], now: Sequence[Message]) -> int:
    """How many messages at the beginning are the same."""
    for place, (old, new) in enumerate(zip(before, now, strict=False)):
        if old is not new and old != new:
            return place
    return min(len(before), len(now))


def _name_of(step: Step) -> Any:
    if isinstance(step, RunTools):
        return ["RunTools", [call.id for call in step.calls]]
    return type(step).__name__


def _frame(request: ModelRequest) -> dict[str, Any]:
    tools = [[tool.name, tool.description, free(tool.parameters)] for tool in request.tools]
    options = {name: free(value) for name, value in asdict(request.options).items()}
    return {"system": request.system, "tools": tools, "options": options}


def _written_request(request: ModelRequest) -> dict[str, Any]:
    """Write a request whole."""
    return {**_frame(request), "messages": written_messages(request.messages)}


def digest_of(request: dict[str, Any]) -> str:
    """Say what a whole request was, in a few characters, secrets being taken out."""
    return sha256(encoded(request, order="deterministic")).hexdigest()[:32]


def written_result(result: RunResult) -> dict[str, Any]:
    """Write how a run ended; of the messages it added, how many there are."""
    return {
        "stop_reason": result.stop_reason,
        "limit": result.limit,
        "messages": len(result.messages),
        "usage": to_builtins(result.usage),
        "cost": result.cost,
        "undelivered": written_messages(result.undelivered),
        "output": free(result.output),
    }
