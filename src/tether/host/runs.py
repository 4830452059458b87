"""The runs of a conversation, one after the other: each message starts one, or goes to the one that is going."""

import math
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, TypeAlias

import anyio
from attrs import evolve

from tether import (
    Agent,
    AgentEnd,
    AgentStart,
    ApprovalRequested,
    AssistantMessage,
    Event,
    Message,
    ModelError,
    Queued,
    Run,
    Usage,
    UsageError,
    Verdict,
)
from tether.calls import OpenCalls
from tether.host.approvals import Questions
from tether.host.errors import LimitReachedError
from tether.host.store import ConversationState
from tether.host.viewers import Feed
from tether.messages import Failure

__all__ = ("Runs", "SayWhen")

SayWhen: TypeAlias = Literal["steer", "interrupt", "follow_up"]
"""When a run takes up what is said while it goes: with its next request, now, or when it would stop."""

_TOO_LONG: Final = Failure(
    "internal", "the log of this conversation holds as many bytes as its host allows"
)


class Runs:
    """What one agent does in its conversation.

    Args:
        agent: the agent.
        feed: where the events go.
        grace: seconds that a run goes on while nobody watches.
        admit: called before a run starts; raises where none may.
    """

    def __init__(
        self, agent: Agent, feed: Feed, *, grace: float, admit: Callable[[], object]
    ) -> None:
        self.agent = agent
        self.questions: Questions = Questions(self.changed)
        self.revision: int = 0
        """Grows with each change of what a list of conversations shows."""
        self._feed = feed
        self._grace = grace
        self._admit = admit
        # What the next run begins with. A run goes, or is about to, from the first message here to its end.
        self._next: list[Queued] = []
        # Whether a process has left calls open, which the next run takes up.
        self._left_open = False
        self._phase: Literal["idle", "going", "ending"] = "idle"
        self._run: Run | None = None
        self._spent = sum((_usage(message) for message in agent.messages), Usage())

    @property
    def state(self) -> ConversationState:
        """What goes on."""
        if self._phase == "idle":
            return "idle"
        return "waiting" if self.questions.waiting else "running"

    @property
    def usage(self) -> Usage:
        """All tokens spent, those of the run that goes included."""
        return self._spent if self._run is None else self._spent + self._run.usage

    @property
    def queued(self) -> tuple[Queued, ...]:
        """What was said and is not in the conversation yet."""
        state = self.agent.state
        return (*self._next, *state.steering, *state.follow_ups)

    def say(self, message: Queued, when: SayWhen) -> None:
        """Start a run with a message, or give it to the run that goes.

        Raises:
            LimitReachedError: no run may start, or the log is full.
        """
        if self._feed.log.is_full:
            raise LimitReachedError(
                f"{_TOO_LONG.message}: fork it at an earlier message", limit="log"
            )
        match self._phase, when:
            case "idle", _:
                self._admit()
                self._next.append(message)
                self._set_phase("going")
            case "ending", _:
                self._next.append(message)
            case _, "follow_up":
                self.agent.follow_up(message)
            case _:
                self.agent.steer(message, interrupt=when == "interrupt")
        self.changed()

    def go_on(self, left: OpenCalls) -> None:
        """Take up the calls that a process has left open, once a run may start; their questions wait from now on."""
        self._left_open = True
        for asked in left.asked.values():
            self.questions.offer(ApprovalRequested(asked.call_id, asked.name, asked.arguments))
        with suppress(LimitReachedError):
            self._take_up()

    def _take_up(self) -> None:
        if self._left_open and self._phase == "idle":
            self._admit()
            self._set_phase("going")

    def answer(self, call_id: str, verdict: Verdict) -> None:
        """Answer a question.

        Raises:
            NotFoundError: no such question waits.
            UsageError: this is no answer.
            LimitReachedError: the question is of an earlier process, and no run may start.
        """
        self._take_up()
        self.questions.answer(call_id, verdict)

    def leave_questions(self) -> None:
        """If a question waits, record nothing more: the run ends, and a later process takes it up where it is now."""
        if self.questions.waiting:
            self.agent.session = None

    def abort(self) -> None:
        """End the run that goes, in order; what is said from here on starts another."""
        if self._phase == "going":
            self._set_phase("ending")
            self.agent.abort()

    def interrupt(self) -> None:
        """Interrupt what is in flight."""
        if self._run is not None:
            self._run.interrupt()

    def cancel_tool(self, call_id: str) -> None:
        """Cancel one call.

        Raises:
            UsageError: no such call is running.
        """
        if self._run is None:
            raise UsageError(f"no tool call {call_id!r} is running: no run is going")
        self._run.cancel_tool(call_id)

    async def serve(self, *, rests: Callable[[], bool], rest_after: float) -> None:
        """Carry out runs, until the conversation has been at rest for a while.

        Args:
            rests: whether nobody holds on to it, apart from runs and viewers.
            rest_after: seconds.

        Cancellation:
            Ends the run that goes, and passes on; its transcript is complete.
        """
        while True:
            if self._is_due():
                await self._go()
            elif self._is_watched():
                await self._feed.until(lambda: self._is_due() or not self._is_watched())
            else:
                with anyio.move_on_after(rest_after if rests() else math.inf):
                    await self._feed.until(lambda: self._is_due() or self._is_watched())
                if not self._is_due() and not self._is_watched() and rests():
                    return

    def _is_due(self) -> bool:
        """Whether a run is to begin."""
        return self._phase != "idle"

    async def _go(self) -> None:
        """Carry out a run, and those that follow from what was said too late for it."""
        try:
            async with anyio.create_task_group() as tasks:
                if self._grace < math.inf:
                    tasks.start_soon(self._end_unwatched)
                goes_on = True
                while goes_on:
                    goes_on = await self._one_run()
                tasks.cancel_scope.cancel()
        finally:
            if not self._next:
                self._set_phase("idle")

    async def _end_unwatched(self) -> None:
        """End runs once nobody has watched for too long."""
        while True:
            if not self._grace:
                # Nobody has left a run that nobody has come to.
                await self._feed.until(self._is_watched)
            await self._feed.until(lambda: not self._is_watched())
            with anyio.move_on_after(self._grace) as waiting:
                await self._feed.until(self._is_watched)
            if waiting.cancelled_caught:
                self.abort()
                await self._feed.until(lambda: self._phase != "ending")

    def _is_watched(self) -> bool:
        return self._feed.viewers > 0

    async def _one_run(self) -> bool:
        """Carry out one run.

        Returns:
            Whether another follows.
        """
        prompt = self._taken()
        first = self._feed.log.number + 1
        ended_well = False
        try:
            async with self.agent.run(prompt) as run:
                self._run = run
                if self._phase == "ending":
                    run.abort()
                async for event in run:
                    self._take(event)
                result = await run.result()
            ended_well = result.stop_reason in {"stop", "terminated", "length"}
            for undelivered in result.undelivered:
                self.agent.steer(undelivered)
        except Exception as error:  # noqa: BLE001 - viewers are told, and the conversation goes on
            self._close(first, prompt, error)
        finally:
            self._run = None
            self.questions.clear()
        if self._next or (ended_well and self.queued):
            self._set_phase("going")
            return True
        # Before anything is awaited: what is said from here on starts a run of its own.
        self._set_phase("idle")
        return False

    def _taken(self) -> Queued | None:
        """Take what the next run begins with; the rest of what was said steers it."""
        said = tuple(self._next)
        self._next.clear()
        self._left_open = False
        for message in said[1:]:
            self.agent.steer(message)
        return said[0] if said else None

    def _take(self, event: Event) -> None:
        self.questions.note(event)
        if isinstance(event, AgentEnd):
            self._spent += event.usage
            self._run = None
            if self._feed.log.is_full:
                event = evolve(event, stop_reason="error", limit=None, error=_TOO_LONG)
        self._feed.append(event)
        if self._feed.log.is_full:
            self.abort()

    def _close(self, first: int, prompt: Queued | None, error: Exception) -> None:
        """Have the log of a run that has failed end as it must."""
        if self._feed.log.last_end >= first:
            return
        if self._feed.log.number < first:
            self._feed.append(AgentStart())
            if prompt is not None:
                self.agent.steer(prompt)
        self._feed.append(AgentEnd("error", error=_failure(error)))

    def _set_phase(self, phase: Literal["idle", "going", "ending"]) -> None:
        self._phase = phase
        self.changed()

    def changed(self) -> None:
        """Note a change of what lists show."""
        self.revision += 1
        self._feed.change()


def _usage(message: Message) -> Usage:
    return message.usage if isinstance(message, AssistantMessage) else Usage()


def _failure(error: Exception) -> Failure:
    if isinstance(error, ModelError):
        return error.failure
    return Failure("internal", "".join(traceback.format_exception_only(error)).strip())
