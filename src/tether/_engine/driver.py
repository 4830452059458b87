"""Resume the loop, publish its events, perform its requests.

The driver is the one task of a run. It resumes the loop with what became of its last step: an outcome, or,
when the run is ending, an `Interruption` that carries the outcome as far as it is known. When the
driver itself is cancelled it closes the run without waiting for anything: the transcript is complete
before the cancellation passes on.
"""

from collections.abc import Sequence
from contextlib import suppress
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Any, Final, Protocol, cast

import anyio
from attrs import define

from tether._engine.model_call import ModelCall
from tether._engine.parts import RunServices
from tether._scopes.exceptions import as_failure
from tether.events import Event, MessageEnd, ToolExecutionEnd, TurnEnd
from tether.hooks import call_hook
from tether.loop import (
    AskModel,
    AskWhetherToStop,
    End,
    Interruption,
    Loop,
    Request,
    RunTools,
    Step,
    TakeMessages,
)
from tether.messages import Queued, QueueName, UserMessage

__all__ = ("Driver",)

_CLOSING_TIME: Final = 5.0
"""Seconds that a store has to take what a run has said, where the run was cancelled or has failed."""


class Performer(Protocol):
    """What carries out one step of the loop."""

    async def perform(self) -> Any:
        """Carry it out, and return its outcome."""
        ...

    def close_nowait(self) -> Any:
        """Close it where it is, and return its outcome as far as it is known; it may not have been begun."""
        ...


class Driver:
    """What carries out one run.

    Args:
        loop: the generator that decides.
        services: what belongs to the run.
    """

    __slots__ = ("_loop", "_services")

    def __init__(self, loop: Loop, services: RunServices) -> None:
        self._loop = loop
        self._services = services

    async def drive(self, failure: BaseException | None = None) -> End:
        """Carry the run out.

        Args:
            failure: what keeps the run from beginning, if something does: it is closed, and this is raised.

        Returns:
            How it ended.

        Raises:
            Exception: what a hook or listener raised; the run has been closed, and its consumers have been given the
                events that close it.

        Cancellation:
            At every await. The run is closed without waiting, but for a store that takes a while: its transcript is
            complete, and consumers that have room get the events that close it.
        """
        step = next(self._loop)
        if self._services.parts.tap is not None:
            self._services.parts.tap.stepped(step)
        performer = self._performer(step)
        try:
            if failure is not None:
                raise failure
            while True:
                step = self._resume(step, await performer.perform())
                performer = self._performer(step)
        except StopIteration as stop:
            return cast("End", stop.value)
        except Exception as error:
            self._services.control.end(End("error", error=as_failure(error)))
            await self._close(step, performer)  # noqa: ASYNC120 - its one await is shielded, with a deadline
            await self._deliver_rest()  # noqa: ASYNC120 - the exception goes first there
            raise
        except BaseException:
            self._services.control.end(End("aborted"))
            await self._close(step, performer)  # noqa: ASYNC102, ASYNC120 - shielded there, with a deadline
            raise

    def _performer(self, step: Step) -> Performer:
        match step:
            case AskModel():
                return ModelCall(self._services)
            case RunTools(calls):
                from tether._engine.tool_calls import ToolBatch  # noqa: PLC0415 - a run pays for it with its first call

                return ToolBatch(self._services, calls)
            case AskWhetherToStop(turn):
                return _StopCheck(self._services, turn)
            case TakeMessages(queue):
                return _Delivery(self._services, queue)
            case event:
                return _Announcement(self._services, event)

    def _resume(self, step: Step, outcome: Any) -> Step:
        """Give the loop the outcome of its last step, and return the next one."""
        ending = self._services.control.ending
        interrupted = ending is not None and isinstance(step, Request)
        tap = self._services.parts.tap
        if tap is not None:
            tap.answered(step, outcome, ending if interrupted else None)
        if ending is not None and interrupted:
            following = self._loop.throw(Interruption(ending, outcome))
        else:
            following = self._loop.send(outcome)
        if tap is not None:
            tap.stepped(following)
        return following

    async def _close(self, step: Step, performer: Performer) -> None:
        """Bring the loop to its end with what is known; wait for nothing but a store that takes a while."""
        parts, publisher = self._services.parts, self._services.publisher
        if parts.flush is None:
            self._close_nowait(step, performer)
            return
        publisher.hold()
        self._close_nowait(step, performer)
        try:
            with anyio.fail_after(_CLOSING_TIME, shield=True):
                await parts.flush()
        except Exception:  # noqa: BLE001 - the run ends already, and the session is behind by what it did not take
            publisher.cut()
        else:
            publisher.release()

    def _close_nowait(self, step: Step, performer: Performer) -> None:
        """Bring the loop to its end with what is known, without awaiting anything."""
        if getgeneratorstate(self._loop) == GEN_CLOSED:
            return  # it has failed by itself, at its end: nothing of it is open
        # It ends by StopIteration, or by what a price has raised, which is not why the run is closed.
        with suppress(Exception):
            while True:
                step = self._resume(step, performer.close_nowait())
                performer = self._performer(step)

    async def _deliver_rest(self) -> None:
        """Wait for consumers that had no room for the closing events."""
        gone = (anyio.BrokenResourceError, anyio.ClosedResourceError)
        try:
            await self._services.publisher.send_waiting()
        except (*gone, anyio.get_cancelled_exc_class()):  # noqa: ASYNC103 - what the run failed with goes first
            pass


@define(eq=False, repr=False)
class _Announcement:
    """An event on its way to everyone who follows the run; what it announces is recorded before."""

    _services: RunServices
    _event: Event
    _recorded: bool = False
    _published: bool = False

    async def perform(self) -> None:
        self._record()
        await self._services.parts.flushed()
        await self._services.publisher.publish(self._event)
        self._published = True

    def close_nowait(self) -> None:
        try:
            self._record()
        except Exception:  # noqa: BLE001 - the run ends already, and the session is behind by this message
            self._services.publisher.cut()
        if not self._published:
            self._services.publisher.publish_nowait(self._event)

    def _record(self) -> None:
        if self._recorded:
            return
        match self._event:
            case MessageEnd(message):
                self._services.parts.record(message)
            case ToolExecutionEnd(result=result):
                from tether.calls import CallEnded  # noqa: PLC0415 - likewise

                self._services.parts.note(CallEnded(result))
            case _:
                pass
        self._recorded = True


@define(eq=False, repr=False)
class _Delivery:
    """Messages on their way from the inbox into the conversation."""

    _services: RunServices
    _queue: QueueName

    async def perform(self) -> Sequence[Queued]:
        # No checkpoint: what was taken must not be lost to a cancellation.
        over = self._services.control.ending is not None
        return () if over else self._services.parts.inbox.take(self._queue)

    def close_nowait(self) -> Sequence[Queued]:
        return ()


@define(eq=False, repr=False)
class _StopCheck:
    """Whether the run stops after a turn: its output is there, or a `should_stop` hook says so."""

    _services: RunServices
    _turn: TurnEnd

    async def perform(self) -> bool:
        parts = self._services.parts
        if parts.output is not None:
            # What a person has said meanwhile comes first, and the run goes on with it anyway.
            waiting = parts.inbox.waiting("steering") or parts.inbox.waiting("follow_up")
            if not waiting and (reminder := parts.output.reminder(self._turn)):
                parts.inbox.put("steering", parts.stamp(UserMessage(reminder)))
            if parts.output.over:
                return True
        for hook in parts.hooks.at("should_stop"):
            if await call_hook(hook, self._turn):
                return True
        return False

    def close_nowait(self) -> bool:
        return False
