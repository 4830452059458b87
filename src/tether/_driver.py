"""Resume the loop, publish its events, perform its requests.

The driver is the one task of a run. It resumes the loop with what became of its last step: an outcome, or,
when the run is ending, an `Interruption` that carries the outcome as far as it is known. When the
driver itself is cancelled it closes the run without waiting for anything: the transcript is complete
before the cancellation passes on.
"""

from contextlib import suppress
from typing import Any, cast

from tether._model_call import ModelCall
from tether._run_context import RunContext
from tether._tool_calls import ToolBatch
from tether.events import Event, MessageEnd, TurnEnd
from tether.hooks import answer_of
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
from tether.messages import UserMessage

__all__ = ("Driver",)


class Driver:
    """What carries out one run.

    Args:
        loop: the generator that decides.
        context: what belongs to the run.
    """

    __slots__ = ("_call", "_context", "_loop", "_recorded", "_step")

    def __init__(self, loop: Loop, context: RunContext) -> None:
        self._loop = loop
        self._context = context
        self._step: Step | None = None
        self._call: ModelCall | ToolBatch | None = None
        self._recorded: MessageEnd | None = None

    async def drive(self) -> End:
        """Carry the run out.

        Returns:
            How it ended.

        Raises:
            Exception: what a hook or listener raised; the run has been closed.

        Cancellation:
            At every await. The run is closed without waiting: its transcript is complete, and
            consumers that have room get the events that close it.
        """
        try:
            async with self._context.connections:
                step = next(self._loop)
                while True:
                    self._step = step
                    step = self._resume(await self._done(step))
        except StopIteration as stop:
            return cast("End", stop.value)
        except BaseException as error:
            self._close(End("error" if isinstance(error, Exception) else "aborted"))
            raise

    async def _done(self, step: Step) -> Any:
        """Do what a step asks for, and return its outcome."""
        match step:
            case AskModel():
                self._call = ModelCall(self._context)
                outcome: Any = await self._call.perform()
            case RunTools(calls):
                self._call = ToolBatch(self._context, calls)
                outcome = await self._call.perform()
            case AskWhetherToStop(turn):
                outcome = await self._asked_to_stop(turn)
            case TakeMessages(queue):
                ending = self._context.ending is not None
                outcome = () if ending else self._context.inbox.take(queue)
            case event:
                self._record(event)
                await self._context.publish(event)
                outcome = None
        self._call = None
        return outcome

    async def _asked_to_stop(self, turn: TurnEnd) -> bool:
        context = self._context
        if context.output is not None:
            # What a person has said meanwhile comes first, and the run goes on with it anyway.
            waiting = context.inbox.waiting("steering") or context.inbox.waiting("follow_up")
            if not waiting and (reminder := context.output.reminder(turn)):
                context.inbox.put("steering", context.stamp(UserMessage(reminder)))
            if context.output.over:
                return True
        for function in context.hooks.functions("should_stop"):
            if await answer_of(function, turn):
                return True
        return False

    def _resume(self, outcome: Any) -> Step:
        ending = self._context.ending
        # Of a loop that has ended, or failed, nothing is open.
        step, self._step = self._step, None
        if ending is not None and isinstance(step, Request):
            return self._loop.throw(Interruption(ending, outcome))
        return self._loop.send(outcome)

    def _close(self, end: End) -> None:
        """Bring the loop to its end with what is known, without awaiting anything."""
        self._context.ending = self._context.ending or end
        with suppress(StopIteration):
            while self._step is not None:
                self._step = self._resume(self._so_far(self._step))

    def _so_far(self, step: Step) -> Any:
        """Return the outcome of a step as far as it is known; it may not have been begun."""
        call, self._call = self._call, None
        match step:
            case AskModel():
                asked = call if isinstance(call, ModelCall) else ModelCall(self._context)
                if asked.unannounced is not None:
                    self._context.publish_nowait(asked.unannounced)
                return asked.so_far()
            case RunTools(calls):
                batch = call if isinstance(call, ToolBatch) else ToolBatch(self._context, calls)
                return batch.so_far()
            case TakeMessages():
                return ()
            case AskWhetherToStop():
                return False
            case event:
                self._record(event)
                self._context.publish_nowait(event)
                return None

    def _record(self, event: Event) -> None:
        """Have a message kept before it is announced, once."""
        if isinstance(event, MessageEnd) and event is not self._recorded:
            self._recorded = event
            self._context.record(event.message)
