"""A conversation that a host holds: an agent, a log of numbered events, and the approvals that wait."""

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, get_args

from attrs import evolve

from tether import (
    Agent,
    ApprovalRequested,
    AssistantMessage,
    Invocation,
    Message,
    Prompt,
    Queued,
    Session,
    Usage,
    UsageError,
    UserMessage,
    Verdict,
)
from tether.host.errors import EndedError, NotFoundError
from tether.host.prices import Prices
from tether.host.runs import Runs, SayWhen
from tether.host.snapshot import Snapshot
from tether.host.store import ConversationInfo, ConversationState
from tether.host.viewers import Ended, Feed, Viewer
from tether.messages import as_message

__all__ = ("Conversation", "Fork")

Fork = Callable[["Conversation", Sequence[Message]], Awaitable["Conversation"]]
"""Makes a conversation like one, with these messages."""

_LONGEST_TITLE: Final = 80


class Conversation:
    """A conversation that goes on in a host, whoever looks on. Made by `Host.conversation`.

    What does not wait is a plain function, to be called in the event loop of the host.

    Args:
        id: its name, among those of its owner.
        owner: whose it is.
        feed: its log, and those who follow it.
        session: where it is kept, if it is.
        prices: what replies cost.
        fork: makes a conversation like this one.
    """

    def __init__(
        self,
        id: str,
        owner: str,
        *,
        feed: Feed,
        session: Session | None,
        prices: Prices,
        fork: Fork,
    ) -> None:
        self.id: Final = id
        self.owner: Final = owner
        self.epoch: Final = uuid.uuid4().hex[:12]
        """Differs each time that the conversation is made or comes back from the store: numbers count within it."""
        self._feed = feed
        self._session = session
        self._prices = prices
        self._fork = fork
        self._runs: Runs | None = None
        self._title = _noted(session, "title", "text")
        self._made = time.time()

    def leave(self) -> None:
        """Be left by its host, which is closed: questions that wait are asked again when it comes back."""
        if self._runs is not None:
            self._runs.leave_questions()

    def begin(self, runs: Runs) -> None:
        """Have an agent: for the host alone."""
        self._runs = runs

    # What it is.

    @property
    def agent(self) -> Agent:
        """The agent of the conversation.

        Raises:
            UsageError: it is being made.
        """
        return self._at_work.agent

    @property
    def title(self) -> str:
        """The title that it was given, else the beginning of what was said first. It may be assigned, and is kept.

        Assigning raises what the store raises where it cannot be written.
        """
        if self._title:
            return self._title
        said = (m.text for m in self._feed.log.messages() if isinstance(m, UserMessage))
        return " ".join(next(said, "").split())[:_LONGEST_TITLE]

    @title.setter
    def title(self, title: str) -> None:
        if not isinstance(title, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"the title of a conversation must be a string, not {title!r}")
        self._require_held()
        self._title = " ".join(title.split())
        if self._session is not None:
            self._session.note("title", {"text": self._title})
        self._at_work.changed()

    @property
    def state(self) -> ConversationState:
        """What goes on: `idle`, `running`, or `waiting` where a call of the run waits for an approval."""
        return "idle" if self._runs is None else self._runs.state

    @property
    def number(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._feed.log.number

    @property
    def revision(self) -> int:
        """Grows with each change of title, state or usage; see `wait_changed`."""
        return self._at_work.revision

    @property
    def ended(self) -> Ended | None:
        """Why its host no longer holds it; None while it does."""
        return self._feed.ended

    @property
    def viewers(self) -> int:
        """How many follow it."""
        return self._feed.viewers

    @property
    def queued(self) -> tuple[Queued, ...]:
        """What was said and is not in the conversation yet: it enters with the run that goes, or the next."""
        return self._at_work.queued

    @property
    def usage(self) -> Usage:
        """All tokens that were spent in it, as far as they are known."""
        return self._at_work.usage

    @property
    def cost(self) -> float | None:
        """What its replies have cost, by the `price` of its agent or the known prices; None where that is not known."""
        messages = self._feed.log.messages()
        return self._prices.cost(
            self.agent, (m for m in messages if isinstance(m, AssistantMessage))
        )

    @property
    def updated(self) -> float:
        """When something was last said in it; seconds since the epoch."""
        last = self._feed.log.last_message
        return self._made if last is None else last.timestamp or self._made

    @property
    def info(self) -> ConversationInfo:
        """The conversation as an item of a list."""
        return ConversationInfo(
            id=self.id,
            title=self.title,
            owner=self.owner,
            updated=self.updated,
            state=self.state,
            model=self.agent.model.name,
            messages=self._feed.log.message_count,
        )

    def snapshot(self) -> Snapshot:
        """Describe it as it is now."""
        log = self._feed.log
        return Snapshot(
            number=log.settled,
            items=[(_id_of(m, place), m) for place, m in enumerate(log.messages())],
            waiting=self.waiting,
            queued=self.queued,
            state=self.state,
            usage=self.usage,
            cost=self.cost,
            model=self.agent.model.name,
            title=self.title,
        )

    def mentions(self, words: str) -> bool:
        """Say whether its title or a message contains some words, in upper or lower case."""
        wanted = words.casefold()
        texts = (self.title, *(message.text for message in self._feed.log.messages()))
        return any(wanted in text.casefold() for text in texts)

    # Following it.

    def follow(self, after: int = 0) -> Viewer:
        """Follow its events: `async for number, event in conversation.follow():`.

        Args:
            after: the number of the last event that is known already; 0 for all.

        Returns:
            The iterator; see `Viewer`.

        Raises:
            UsageError: no event has that number, in this `epoch`.
        """
        if type(after) is not int or not 0 <= after <= self.number:
            raise UsageError(f"after must be a number from 0 to {self.number}, not {after!r}")
        return Viewer(self._feed, after)

    async def wait_idle(self) -> None:
        """Wait until no run is going.

        Cancellation:
            At once; the run goes on.
        """
        await self._feed.until(lambda: self.state == "idle" or self.ended is not None)

    async def wait_changed(self, revision: int) -> int:
        """Wait until title, state or usage have changed.

        Args:
            revision: what `revision` was.

        Returns:
            What it is now; the same where the conversation is no longer held.

        Cancellation:
            At once.
        """
        await self._feed.until(lambda: self.revision != revision or self.ended is not None)
        return self.revision

    # Speaking in it.

    def say(self, prompt: Prompt, *, when: SayWhen = "steer") -> Queued:
        """Say something: that starts a run, or goes to the one that is going.

        What is said after `abort` starts a run as soon as the aborted one is over. What a run has not taken up when it
        ends early waits in `queued`, and goes with the next one.

        Args:
            prompt: what to say.
            when: when a run that is going takes it up: `steer` with its next request, `interrupt` now, by interrupting
                what is in flight, `follow_up` when it would stop.

        Returns:
            The message as it was accepted, with its id.

        Raises:
            UsageError: the prompt is nothing that can be said.
            LimitReachedError: as many runs as the host allows are going, or the log is full.
            EndedError: the host no longer holds this conversation.
        """
        self._require_held()
        if when not in get_args(SayWhen):
            raise UsageError(f"when is one of {', '.join(get_args(SayWhen))}, not {when!r}")
        message = _stamped(prompt)
        self._at_work.say(message, when)
        return message

    def abort(self) -> None:
        """End the run that is going, in order; without one, do nothing."""
        self._at_work.abort()

    def interrupt(self) -> None:
        """Interrupt what is in flight, the reply or the calls; the run goes on. Without one, do nothing."""
        self._at_work.interrupt()

    def cancel_tool(self, call_id: str) -> None:
        """Cancel one running call; it is answered as interrupted, and the run goes on.

        Raises:
            UsageError: no such call is running.
        """
        self._at_work.cancel_tool(call_id)

    # Approvals.

    @property
    def waiting(self) -> tuple[ApprovalRequested, ...]:
        """The calls that wait for an approval, oldest first."""
        return () if self._runs is None else self._runs.questions.waiting

    async def approve(self, invocation: Invocation) -> Verdict:
        """Wait until somebody answers: give it to the agent as its `approve`, or to `tether.advice.approval`.

        Cancellation:
            Withdraws the question.
        """
        return await self._at_work.questions.ask(invocation)

    def answer(self, call_id: str, verdict: Verdict) -> None:
        """Answer for a call that waits for an approval.

        Args:
            call_id: which.
            verdict: `once` or True, `always`, or `Deny(reason)` or False.

        Raises:
            NotFoundError: no such call waits; it may have been answered by somebody else.
            UsageError: that is no answer.
            LimitReachedError: an earlier process has asked, and as many runs as the host allows are going.
        """
        self._at_work.answer(call_id, verdict)

    # Branching off.

    async def fork(self, where: str | int, *, before: bool = False) -> "Conversation":
        """Make a conversation with a copy of the messages up to a place. This one stays as it is.

        Args:
            where: the id of a message; or the number of an event, for the last message that had ended by then.
            before: leave that message out: to say it anew.

        Returns:
            The new conversation, of the same owner.

        Raises:
            NotFoundError: there is no such message.
            LimitReachedError: the host holds as many conversations as it may.
            Exception: what `make_agent` or the store raised.

        Cancellation:
            At once; then there is no new conversation.
        """
        messages = list(self._feed.log.messages())
        return await self._fork(self, messages[: self._place_of(where, messages) + (not before)])

    def _place_of(self, where: str | int, messages: Sequence[Message]) -> int:
        if isinstance(where, int):
            place = self._feed.log.messages_by(where) - 1
            if 0 <= where <= self.number and place >= 0:
                return place
        for place, message in enumerate(messages):
            if _id_of(message, place) == where:
                return place
        raise NotFoundError(f"the conversation has no message {where!r}")

    # What it is made of.

    @property
    def _at_work(self) -> Runs:
        if self._runs is None:
            raise UsageError(
                "make_agent may use the id, owner, title and approve of a conversation"
            )
        return self._runs

    def _require_held(self) -> None:
        if self.ended is not None:
            raise EndedError(_WHY_ENDED[self.ended])


_WHY_ENDED: dict[Ended, str] = {
    "deleted": "this conversation was deleted",
    "rest": "this conversation was let go of when it was at rest: get it again with host.conversation(id)",
    "closed": "the host of this conversation was closed",
}


def _noted(session: Session | None, kind: str, key: str) -> str:
    """What the last entry of a kind says."""
    entries: Sequence[Any] = () if session is None else session.branch
    said = (entry.data.get(key) for entry in reversed(entries) if entry.kind == kind)
    return next((text for text in said if isinstance(text, str)), "")


def _id_of(message: Message, place: int) -> str:
    return message.id or f"{place}"


def _stamped(prompt: Prompt) -> Queued:
    try:
        message = as_message(prompt)
    except TypeError as error:
        raise UsageError(f"{prompt!r} is no prompt: {error}") from error
    return evolve(
        message,
        id=message.id or uuid.uuid4().hex,
        timestamp=message.timestamp or time.time(),
    )
