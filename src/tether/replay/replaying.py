"""Replay a run: the agent loop decides again, and everything else answers as it did in the recorded run.

The model, the tools, the hooks, the consumers, people and the clock are on the recording, as what became of each step
of the loop. So a replay needs no network, no key and none of the program's code. What the loop decides is compared with
the recording at every step.
"""

import difflib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import msgspec

from tether.errors import DecodeError, TetherError
from tether.events import AgentEnd, AgentStart, Event, TurnEnd, TurnStart
from tether.limits import Limits, Spent
from tether.loop import End, Interruption, Loop, Request, RunTools, Step, agent_loop
from tether.messages import AssistantMessage, CustomMessage, Queued
from tether.replay.raised import read_error
from tether.replay.recorder import asked_of, digest_of, written_result
from tether.replay.recording import Note, RecordedRun, event_of, taking
from tether.replay.values import (
    read_end,
    read_limits,
    read_messages,
    read_outcome,
    read_spent,
    written,
    written_messages,
)
from tether.result import RunResult
from tether.serialize import from_builtins
from tether.stream import EventSink, EventStream, open_event_stream
from tether.transcript import Transcript

__all__ = ("Replay", "ReplayError", "diff", "replay")


_LONGEST: Final = 60
"""Lines of a diff that are shown."""


_OF_THE_LOOP: Final = (AgentStart, TurnStart, TurnEnd, AgentEnd)
"""Events that come from the loop alone."""


class ReplayError(TetherError):
    """A replay did something other than the recorded run. The text shows the difference as a diff."""


class Replay:
    """One replay of a run.

    Args:
        run: the run.

    Attributes:
        transcript: the conversation, as the replay makes it.
    """

    def __init__(self, run: RecordedRun) -> None:
        self.transcript: Transcript = Transcript(run.messages, run.left_open)
        self._run = run
        self._first = self.transcript.settled
        self._spent = Spent()
        self._limits = Limits()
        self._prices = deque(note.said for note in run.notes if note.kind == "price")
        self._waiting = deque(note.said for note in run.notes if note.kind == "waiting")
        self._loop: Loop = agent_loop(
            self.transcript,
            cast("Sequence[Queued]", run.prompts),
            limits=lambda: self._limits,
            spent=self._spent,
            price=self._price,
            waiting=self._asked_whether_one_waits,
        )
        self._resume: Callable[[], Step] | None = lambda: next(self._loop)
        self._step: Step | None = None
        # Events of the loop that have not been published yet.
        self._announced = deque[Event]()
        self._request: dict[str, Any] = {"messages": []}

    async def produce(self, sink: EventSink[Event]) -> RunResult:
        """Be the producer of a stream: publish the events, and return how the run ended.

        Raises:
            ReplayError: something else happens than in the recorded run.
            RunCancelledError: it was cancelled.
            Exception: what the run raised.

        Cancellation:
            At once.
        """
        for note in self._run.notes:
            if (event := self._taken(note)) is not None:
                await sink.send(event)  # passes a checkpoint now and then
        end = self._ended(self._run.notes[-1])
        if isinstance(end, RunResult):
            return end
        raise end

    # Notes.

    def _taken(self, note: Note) -> Event | None:
        """Do what a note says, and return the event that it is of, if it is of one."""
        try:
            with taking(note):
                event = event_of(note)
                if event is None:
                    self._take(note)
                else:
                    self._check(event)
                return event
        except DecodeError as error:
            raise ReplayError(str(error)) from error

    def _ended(self, note: Note) -> RunResult | Exception:
        """Return what became of the run."""
        try:
            with taking(note):
                match note.kind:
                    case "raised":
                        return read_error(note.said)
                    case "result":
                        return self._result(note.said)
                    case _:
                        return ReplayError("the recording was cut off before the end of the run")
        except DecodeError as error:
            raise ReplayError(str(error)) from error

    def _take(self, note: Note) -> None:
        said = note.said
        match note.kind:
            case "step":
                self._follow(said)
            case "run" | "state":
                read_spent(said["spent"], self._spent)
                self._limits = read_limits(said["limits"])
            case "answer":
                self._resume = self._answering(said)
            case "request":
                self._check_request(said)
            case "recorded":
                self.transcript.append(from_builtins(said, CustomMessage))
            case _:
                pass

    def _answering(self, said: Any) -> Callable[[], Step]:
        step = self._step
        if not isinstance(step, Request):
            raise ReplayError(f"the loop has asked nothing, and was answered; it is at {step}")
        outcome, ending = read_outcome(step, said["outcome"]), read_end(said["ending"])
        if ending is None:
            return lambda: self._loop.send(outcome)
        return lambda: self._loop.throw(Interruption(ending, outcome))

    def _follow(self, expected: Any) -> None:
        """Have the loop make its next step, and compare that with the one that it made."""
        resume, self._resume = self._resume or (lambda: self._loop.send(None)), None
        try:
            self._step = resume()
        except StopIteration as stop:
            raise ReplayError(f"the loop ends: {stop.value}; it went on to {expected}") from None
        made: Any = type(self._step).__name__
        if isinstance(self._step, RunTools):
            made = ["RunTools", [call.id for call in self._step.calls]]
        if not isinstance(self._step, Request):
            self._announced.append(self._step)
        if made != expected:
            raise ReplayError(f"the loop does something else:\n- {expected}\n+ {made}")

    def _check(self, event: Event) -> None:
        """Compare an event of the loop with the one that it was."""
        if not self._announced:
            return
        own = self._announced[0]
        if own == event:
            self._announced.popleft()
            return
        # Where a store took a while as the run was closed, what others said came out when the loop was at its end.
        is_at_its_end = isinstance(self._step, AgentEnd)
        if isinstance(event, _OF_THE_LOOP) or not (
            is_at_its_end or isinstance(self._step, Request)
        ):
            raise ReplayError(f"another event:\n{diff(written(event), written(own))}")

    def _check_request(self, said: Any) -> None:
        """Compare what a model was asked with what it would be asked now, where no hook had a say."""
        known, frame = said["known"], said["frame"] or self._request
        messages = [*self._request["messages"][:known], *said["messages"]]
        kept = {name: frame[name] for name in ("system", "tools", "options")}
        self._request = {**kept, "messages": messages}
        now = {**kept, "messages": written_messages(asked_of(self.transcript.for_model()))}
        if said["plain"] and digest_of(now) != said["digest"]:
            raise ReplayError(f"another request:\n{diff(self._request, now)}")

    # What the loop asks.

    def _price(self, reply: AssistantMessage) -> float:
        del reply
        price = self._prices.popleft()
        if isinstance(price, dict):
            raise read_error(cast("dict[str, Any]", price))
        return float(price)

    def _asked_whether_one_waits(self) -> bool:
        return bool(self._waiting.popleft())

    def _result(self, said: Any) -> RunResult:
        try:
            step = (self._resume or (lambda: self._loop.send(None)))()
        except StopIteration as stop:
            end: End = stop.value
        else:
            raise ReplayError(f"the run has ended, and the loop goes on to {step}")
        result = RunResult(
            stop_reason=end.stop_reason,
            limit=end.limit,
            messages=self.transcript.messages[self._first :],
            usage=self._spent.usage,
            cost=self._spent.cost,
            undelivered=cast("tuple[Queued, ...]", read_messages(said["undelivered"])),
            output=said["output"],
        )
        made = written_result(result)
        if made != said:
            raise ReplayError(f"another result:\n{diff(said, made)}")
        return result


def diff(before: Any, now: Any) -> str:
    """Show where two values differ, with little around it."""

    def lines(value: Any) -> list[str]:
        encoded = msgspec.json.encode(value, order="deterministic")
        return msgspec.json.format(encoded, indent=1).decode().splitlines()

    found = difflib.unified_diff(lines(before), lines(now), "recorded", "now", lineterm="", n=2)
    return "\n".join(list(found)[:_LONGEST])


@asynccontextmanager
async def replay(run: RecordedRun) -> AsyncIterator[EventStream[Event, RunResult]]:
    """Replay a recorded run.

    Args:
        run: the run.

    Returns:
        A context manager that gives the events, and with `result()` how the run ended; see `EventStream`.

    Raises:
        ReplayError: something else happens than in the recorded run; or the recording is damaged, or was cut off before
            its end.
        RunCancelledError: the recorded run was cancelled.
        Exception: what the recorded run raised.

    Cancellation:
        Ends the replay.
    """
    async with open_event_stream(Replay(run).produce) as events:
        yield events
