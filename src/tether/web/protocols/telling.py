"""Responses that stream a run of a conversation in another protocol, until the run ends or waits for a person."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Any, Final, Literal, Protocol, TypeAlias

import anyio
import msgspec
from attrs import frozen
from starlette.types import Scope

from tether import (
    AgentEnd,
    AgentStart,
    ApprovalRequested,
    Deny,
    Event,
    Message,
    MessageEnd,
    MessageStart,
    Queued,
    ToolExecutionUpdate,
    UserMessage,
    Verdict,
)
from tether.embedding.task_group import open_task_group
from tether.host import Conversation, NotFoundError, Viewer
from tether.web.protocols.content import Json
from tether.web.protocols.runs import Question
from tether.web.refusals import Refusal
from tether.web.sse import frame
from tether.web.streaming import Body, StreamedResponse

__all__ = (
    "Fold",
    "LastRun",
    "Opening",
    "Telling",
    "as_json",
    "go_on_from_answers",
    "last_run",
    "say_instead_of_answering",
)


_ASKED_WITHIN: Final = 5.0
"""Seconds that a run has for putting the questions that an earlier process has asked."""


class Fold(Protocol):
    """A fold from the events of one run to the messages of another protocol."""

    @property
    def suspended(self) -> bool:
        """Whether the run only waits for a person."""
        ...

    @property
    def questions(self) -> list[Question]:
        """The calls that wait."""
        ...

    def question_answered_by(self, event: Event) -> str | None:
        """Return the id of the question that an event answers."""
        ...

    def begin(self) -> Iterable[Json]:
        """Begin."""
        ...

    def take(self, event: Event) -> Iterable[Json]:
        """Go on."""
        ...

    def pause(self) -> Iterable[Json]:
        """End where the run waits for a person."""
        ...

    def break_off(self, reason: str) -> Iterable[Json]:
        """End the response of a run whose end will not be seen."""
        ...


@frozen
class LastRun:
    """The last run of a conversation, as far as it has come."""

    events: Sequence[tuple[int, Event]] = ()
    number: int = 0
    """Of the last event of the conversation."""
    messages: Sequence[Message] = ()
    """All of the conversation that have ended."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or there is none."""
        return not self.events or isinstance(self.events[-1][1], AgentEnd)

    @property
    def before(self) -> Sequence[Message]:
        """The messages before it, and with what it began."""
        ended = [event.message for _, event in self.events if isinstance(event, MessageEnd)]
        prompts = list(takewhile(lambda message: isinstance(message, UserMessage), ended))
        return [*self.messages[: len(self.messages) - len(ended)], *prompts]

    @property
    def prompt_id(self) -> str | None:
        """The id of what was said first in it; of what led to its calls, where it goes on with some."""
        started = [event.message for _, event in self.events if isinstance(event, MessageStart)]
        said = [*started, *reversed(self.before)] if self.events else []
        return next((message.id for message in said if isinstance(message, UserMessage)), None)


@frozen
class Opening:
    """How the response of a run begins."""

    fold: Fold
    chunks: Iterable[Json]
    """What is sent first."""
    then: Literal["follow", "follow_answers", "end"] = "follow"
    """What comes behind it: the run, where it waits or goes on; what comes of answers that were just given; nothing."""


Open: TypeAlias = Callable[[LastRun], Opening]


async def last_run(talk: Conversation) -> LastRun:
    """Read the last run of a conversation, until the questions are in it that wait.

    Cancellation:
        At its checkpoints.
    """
    until = talk.number
    events: list[tuple[int, Event]] = []
    messages: list[Message] = []
    async with talk.follow() as viewer:
        while viewer.number < until or _is_yet_to_ask(talk, events):
            numbered = None
            # What an earlier process has asked is asked again at once, unless its tool is gone meanwhile.
            with anyio.move_on_after(math.inf if viewer.number < until else _ASKED_WITHIN):
                numbered = await anext(viewer, None)
            if numbered is None:
                break
            if isinstance(numbered[1], MessageEnd):
                messages.append(numbered[1].message)
            # What was kept comes before the first run, as messages alone.
            if isinstance(numbered[1], AgentStart):
                events = [numbered]
            elif events:
                events.append(numbered)
    return LastRun(events, viewer.number, messages)


def _is_yet_to_ask(talk: Conversation, events: Sequence[tuple[int, Event]]) -> bool:
    """Whether a run goes that will put a question which waits: an earlier process has asked it."""
    if talk.state == "idle" or (events and isinstance(events[-1][1], AgentEnd)):
        return False
    asked = {_asked_in(event) for _, event in events}
    return any(question.call_id not in asked for question in talk.waiting)


def _asked_in(event: Event) -> str | None:
    while isinstance(event, ToolExecutionUpdate) and event.event is not None:
        event = event.event
    return event.call_id if isinstance(event, ApprovalRequested) else None


def go_on_from_answers(
    talk: Conversation, run: LastRun, fold: Fold, verdicts: Mapping[str, Verdict]
) -> int:
    """Answer questions of a run, and bring a fold to where the client has read on to: the first of those answers.

    Somebody else may have given it already: then the response still has to show what came of it.

    Args:
        talk: the conversation.
        run: its last run.
        fold: a new one.
        verdicts: by the ids of the questions, as the fold has them.

    Returns:
        The number of the last event that the client knows.

    Raises:
        Refusal: the run has asked none of these questions.
    """
    asked: set[str] = set()
    known = run.number
    for number, event in run.events:
        if fold.question_answered_by(event) in verdicts:
            break
        for _ in fold.take(event):
            pass
        asked.update(question.id for question in fold.questions)
        known = number
    if not asked & verdicts.keys():
        raise Refusal(409, "not_asked", f"no call waits for {', '.join(sorted(verdicts))}")
    for question in fold.questions:
        if question.id in verdicts:
            _answer(talk, question, verdicts[question.id])
    return known


def say_instead_of_answering(talk: Conversation, message: UserMessage) -> Queued:
    """Say something. Calls that wait for an answer are denied: else the message would wait until they are answered.

    Returns:
        The message as it was accepted.

    Raises:
        UsageError: what `Conversation.say` raises.
    """
    said = talk.say(message)
    for question in talk.waiting:
        with suppress(NotFoundError):
            talk.answer(question.call_id, _SAID_INSTEAD)
    return said


_SAID_INSTEAD: Final = Deny("the user said something else instead of an answer")


def _answer(talk: Conversation, question: Question, verdict: Verdict) -> None:
    with suppress(NotFoundError):  # somebody else may have been faster
        talk.answer(question.request.call_id, verdict)


class Telling(StreamedResponse):
    """Streams a run until it ends, or waits for a person.

    The reader may leave: the host decides what becomes of the run.

    Args:
        talk: the conversation.
        open: begins to tell the run, as far as it has come.
        run: the last run, as far as it has come.
        after: the number of the last event of it, or where another is told from.
        said: the id of a message. The response begins where a run takes it up: the one that goes, or the next.
        end: what is sent last.
        headers: of the response.
    """

    def __init__(
        self,
        talk: Conversation,
        open: Open,
        *,
        run: LastRun,
        after: int,
        said: str = "",
        end: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(headers=headers)
        self._talk = talk
        self._open = open
        self._run = run
        self._after = after
        self._said = said
        self._end = end

    async def write(self, scope: Scope, body: Body) -> None:
        """Write the body; see `StreamedResponse`."""
        await body.send()
        async with self._talk.follow(self._after) as viewer:
            run = await self._taken_up(viewer) if self._said else self._run
            opening = self._open(run)
            await body.send(_frames(opening.chunks))
            if self._said and run.is_over:
                await body.send(_frames(opening.fold.break_off(_NOT_TAKEN_UP)))
            elif opening.then == "follow" and opening.fold.suspended:
                await body.send(_frames(opening.fold.pause()))
            elif opening.then != "end":
                await self._follow(viewer, opening.fold, body)
        await body.send(self._end)

    async def _taken_up(self, viewer: Viewer) -> LastRun:
        """Wait until what was said is in a run, and return that; or the last one, if none takes it up."""
        events, messages = list(self._run.events), list(self._run.messages)
        while (numbered := await self._next(viewer)) is not None:
            event = numbered[1]
            if isinstance(event, AgentStart):
                events.clear()
            events.append(numbered)
            if isinstance(event, MessageEnd):
                messages.append(event.message)
            if isinstance(event, MessageStart) and event.message.id == self._said:
                break
        return LastRun(events, viewer.number, messages)

    async def _next(self, viewer: Viewer) -> tuple[int, Event] | None:
        """Wait for the next event; None where none comes, as no run goes or follows."""
        found = None
        async with open_task_group() as tasks:

            async def watch() -> None:
                await self._talk.wait_idle()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            found = await anext(viewer, None)
            tasks.cancel_scope.cancel()
        return found

    async def _follow(self, viewer: Viewer, fold: Fold, body: Body) -> None:
        async for _, event in viewer:
            chunks = list(fold.take(event))
            if fold.suspended:
                chunks += fold.pause()
            if chunks:
                await body.send(_frames(chunks))
            if fold.suspended or isinstance(event, AgentEnd):
                return
        await body.send(_frames(fold.break_off(f"this conversation has ended: {self._talk.ended}")))


_NOT_TAKEN_UP = "the run was stopped before it took this up: it is said with the next message"


def _frames(chunks: Iterable[Json]) -> bytes:
    return b"".join(frame(as_json(chunk)) for chunk in chunks)


def as_json(value: Any) -> bytes:
    """Write a value as JSON, on one line. What JSON cannot hold, as details of tools may, becomes a string."""
    try:
        return msgspec.json.encode(value, enc_hook=repr)
    except UnicodeEncodeError:
        # Half a surrogate pair, which a model may well write: escapes can say it.
        return json.dumps(msgspec.to_builtins(value, enc_hook=repr)).encode()
