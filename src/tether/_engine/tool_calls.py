"""Perform one batch of tool calls: a scope each, deadlines, threads, answers in the order of the calls."""

import inspect
import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import anyio
from attrs import define, evolve

from tether._engine.around_tool import called_within_hooks
from tether._engine.holdups import Holdup
from tether._engine.in_threads import close_unawaited, in_thread
from tether._engine.parts import RunServices
from tether._engine.refusals import refusal, unkeepable
from tether._engine.reports import Reports
from tether._engine.stopwatch import Stopwatch
from tether._scopes.cancellations import Noticing
from tether._scopes.exceptions import described
from tether._scopes.task_groups import (
    Tasks,
    failure_in,
    is_cancellation,
    open_task_group,
    within,
)
from tether._scopes.threads import run_in_thread
from tether.calls import CallAsked, CallBegun, CallEnded
from tether.errors import ArgumentsError
from tether.events import ApprovalRequested, CallEvent, ToolExecutionEnd, ToolExecutionStart
from tether.hooks import Invocation
from tether.loop import ToolOutcome
from tether.messages import NO_USAGE, Outcome, ToolCall, ToolResultMessage, Usage
from tether.tools import Tool, ToolContext, ToolResult, as_tool_result

__all__ = ("ToolBatch",)

_log = logging.getLogger("tether")

_SETTLED: Final = frozenset({str, int, float, bool, list, dict, type(None), ToolResult})
"""The classes of what most tools return, of which none can be awaited."""

_SKIPPED: Final = "This call was not run: {why}."


@define(eq=False, repr=False)
class _Call:
    """One call of the batch, from its start to its answer."""

    call: ToolCall
    reports: Reports
    clock: Stopwatch
    scope: anyio.CancelScope
    tasks: Tasks | None = None
    """The tasks that it runs among."""
    begun_before: bool = False
    """Whether an earlier run has begun it, and ended before it did."""
    order: tuple[int, ...] = ()
    usage: Usage = NO_USAGE
    cost: float = 0.0
    answer: ToolOutcome | None = None
    ended: bool = False


class ToolBatch:
    """The calls of one reply.

    They run at once, unless the agent or one of their tools is sequential. Messages that steer the run let the
    calls go on that are running, and keep the others from starting.

    Args:
        services: what belongs to the run whose calls they are.
        calls: the calls, in order.
    """

    __slots__ = ("_background", "_calls", "_parts", "_services", "_settings", "_slots")

    def __init__(self, services: RunServices, calls: Sequence[ToolCall]) -> None:
        self._services = services
        self._parts = services.parts
        self._calls = {call.id: self._call(call) for call in calls}

    def _call(self, call: ToolCall) -> _Call:
        services, backend = self._services, self._services.backend
        clock = Stopwatch(services.parts.pause, backend.current_time)
        return _Call(call, Reports(services.publisher), clock, backend.create_cancel_scope())

    async def perform(self) -> Sequence[ToolOutcome]:
        """Run the calls, and publish what becomes of them.

        Returns:
            What became of each call, in order, also where the run interrupted them.

        Raises:
            Exception: what a hook raised. The other calls have then been cancelled, and have ended.

        Cancellation:
            Cancels the calls and waits for them; `close_nowait` then returns what is known.
        """
        # Not sooner, as it may raise: to make a performer does not.
        self._settings = self._parts.settings()
        self._background = await self._services.resources.background()
        # How many of one tool may run at once, by its name.
        self._slots = {
            tool.name: anyio.CapacityLimiter(tool.max_concurrency)
            for tool in self._settings.tools.values()
            if tool.max_concurrency is not None
        }
        for call in self._calls.values():
            call.begun_before = self._placeholder(call).outcome == "interrupted"
        with self._services.control.interruptible():
            for together in self._groups():
                async with open_task_group() as tasks:
                    for call in together:
                        if not self._must_stop():
                            await self._start(call)
                            tasks.start_soon(self._run, call, tasks)
        for call in self._calls.values():
            if not call.clock.is_started:
                await self._start(call)
            if call.answer is None:
                self._resolve(call, self._unanswered(call))
            await self._end(call)
        return self._outcomes()

    def close_nowait(self) -> Sequence[ToolOutcome]:
        """Announce the ends of the calls, and return what is known of each, without waiting."""
        publish = self._services.publisher.publish_nowait
        outcomes = self._outcomes()
        for call, outcome in zip(self._calls.values(), outcomes, strict=True):
            if not call.clock.is_started:
                publish(self._start_of(call))
            if not call.ended:
                if (withdrawn := call.reports.withdraw()) is not None:
                    publish(withdrawn)
                self._note_nowait(outcome)
                publish(self._end_of(call, outcome.result))
        return outcomes

    def _note_nowait(self, outcome: ToolOutcome) -> None:
        try:
            self._parts.note(CallEnded(outcome.result, outcome.terminate))
        except Exception:  # noqa: BLE001 - the run ends already, and the session is behind by this result
            self._services.publisher.cut()

    def _outcomes(self) -> Sequence[ToolOutcome]:
        transcript = self._parts.transcript
        return [
            call.answer or ToolOutcome(transcript.result(id_), usage=call.usage, cost=call.cost)
            for id_, call in self._calls.items()
        ]

    def _groups(self) -> Sequence[Sequence[_Call]]:
        calls = list(self._calls.values())
        tools = [self._settings.tools.get(call.call.name) for call in calls]
        if self._settings.sequential or any(tool is not None and tool.sequential for tool in tools):
            return [[call] for call in calls]
        return [calls]

    def _must_stop(self) -> bool:
        return (
            bool(self._parts.inbox.waiting("steering")) or self._services.control.ending is not None
        )

    async def _start(self, call: _Call) -> None:
        """Take a call up: from here on it is known by its id, and may be cancelled."""
        call.clock.start()
        live = self._services.live
        live.calls_begun += 1
        call.order = (*self._parts.order, live.calls_begun)
        live.tool_scopes[call.call.id] = call.scope
        await self._services.publisher.publish(self._start_of(call))

    async def _run(self, call: _Call, tasks: Tasks) -> None:
        call.tasks = tasks
        try:
            with within(call.scope):
                if not self._must_stop() and self._may_begin(call):
                    result = await self._result(call)
                    message = self._message(call, result)
                    if (fault := unkeepable(message)) is None:
                        self._resolve(call, message, terminate=result.terminate)
                    else:
                        self._resolve(call, self._message(call, _failed(fault)))
        finally:
            call.reports.close()
        if call.answer is None:
            self._resolve(call, self._unanswered(call))
        await self._end(call)

    def _resolve(self, call: _Call, result: ToolResultMessage, *, terminate: bool = False) -> None:
        """Record an answer; from here on nothing can take it back."""
        self._parts.transcript.resolve(result)
        call.answer = ToolOutcome(result, terminate, call.usage, call.cost)
        self._parts.note(CallEnded(result, terminate))

    async def _end(self, call: _Call) -> None:
        if call.ended or call.answer is None or not call.clock.is_started:
            return
        self._services.live.tool_scopes.pop(call.call.id, None)
        call.reports.close()
        await self._parts.flushed()
        await call.reports.delivered()
        if (withdrawn := call.reports.withdraw()) is not None:
            await self._services.publisher.publish(withdrawn)
        # From here on nothing can keep the event from being published: what is cut off is sent later.
        call.ended = True
        await self._services.publisher.publish(self._end_of(call, call.answer.result))

    def _start_of(self, call: _Call) -> ToolExecutionStart:
        return ToolExecutionStart(call.call.id, call.call.name, call.call.arguments)

    def _end_of(self, call: _Call, result: ToolResultMessage) -> ToolExecutionEnd:
        return ToolExecutionEnd(call.call.id, call.call.name, result, call.clock.seconds)

    def _unanswered(self, call: _Call) -> ToolResultMessage:
        """The result of a call that was kept from starting, or interrupted."""
        placeholder = self._placeholder(call)
        if placeholder.outcome == "interrupted":
            return evolve(placeholder, timestamp=self._parts.now())
        return self._message(call, self._skipped())

    def _skipped(self) -> ToolResult:
        """What becomes of a call that was not begun."""
        if self._parts.inbox.waiting("steering"):
            why = "the user has said something new"
        else:
            why = "it was cancelled before it could begin"
        return ToolResult(_SKIPPED.format(why=why), outcome="skipped")

    def _message(self, call: _Call, result: ToolResult) -> ToolResultMessage:
        """Make the result into the message that takes the call's place in the transcript."""
        placeholder = self._placeholder(call)
        return ToolResultMessage(
            placeholder.call_id,
            placeholder.name,
            result.content,
            result.details,
            result.outcome,
            id=placeholder.id,
            timestamp=self._parts.now(),
        )

    def _placeholder(self, call: _Call) -> ToolResultMessage:
        return self._parts.transcript.result(call.call.id)

    def _may_begin(self, call: _Call) -> bool:
        """Whether a call may run: one that an earlier run has begun only where a second time changes nothing."""
        tool = self._settings.tools.get(call.call.name)
        return not call.begun_before or (tool is not None and tool.idempotent)

    # One call, from the hooks inwards.

    async def _result(self, call: _Call) -> ToolResult:
        tool = self._settings.tools.get(call.call.name)
        if tool is None or call.call.malformed is not None:
            return _failed(refusal(call.call, self._settings.tools))
        invocation = Invocation(call.call, tool, self._tool_context(call))
        return await called_within_hooks(self._parts.hooks, invocation, self._call_tool)

    async def _call_tool(self, invocation: Invocation) -> ToolResult:
        """Run the tool itself. Whatever it raises becomes a result that the model can read."""
        tool = invocation.tool
        timeout = self._settings.timeout_of(tool)
        try:
            arguments = tool.bind(invocation.call.arguments)
        except ArgumentsError as error:
            return _failed(f"The arguments do not fit: {error}")
        if tool.context_parameter is not None:
            arguments[tool.context_parameter] = invocation.context
        # Not before the hooks: a call that waits for a person holds nobody up.
        slot = self._slots.get(tool.name)
        if slot is None:
            return await self._timed(tool, arguments, timeout, invocation)
        async with slot:
            return await self._timed(tool, arguments, timeout, invocation)

    async def _timed(
        self, tool: Tool, arguments: dict[str, Any], seconds: float, invocation: Invocation
    ) -> ToolResult:
        """Run the tool within its deadline, if it is not too late; from here on it counts as begun."""
        if self._must_stop():
            return self._skipped()
        await self._parts.noted(CallBegun(invocation.call.id))
        self._parts.transcript.begin(invocation.call.id)
        deadline = self._services.backend.create_cancel_scope()
        holdup = self._holdup(invocation.call, deadline)
        try:
            with invocation.context.limiting(deadline, seconds), deadline:
                result = await self._function(tool, arguments, holdup)
                holdup.returned()
                return as_tool_result(result)
        except Exception as error:  # noqa: BLE001 - a tool that fails never ends the run
            return _failed(described(error))
        except BaseException as error:  # noqa: ASYNC103 - a cancellation is raised again where it is ours
            if (failure := failure_in(error)) is not None:
                return _failed(described(failure))  # noqa: ASYNC104 - who cancelled us does it again
            if not is_cancellation(error) or anyio.current_effective_deadline() == -math.inf:
                raise
            # Nobody cancelled us: the tool raised this by itself, say from a future it awaited.
            return _failed(f"{tool.name} was cancelled from within")  # noqa: ASYNC104 - as above
        finally:
            holdup.over()
            if deadline.cancelled_caught:
                _log.debug("tool %s timed out after %s s", tool.name, seconds)
        return ToolResult(
            f"{tool.name} took longer than {seconds:g} s and was stopped.", outcome="timeout"
        )

    def _holdup(self, call: ToolCall, deadline: anyio.CancelScope) -> Holdup:
        known = self._calls[call.id]
        return Holdup(call, known.reports, known.tasks, (known.scope, deadline))

    async def _function(self, tool: Tool, arguments: dict[str, Any], holdup: Holdup) -> object:
        result = await self._called(tool, arguments, holdup)
        # A plain function may pass on what an async one gave it.
        while type(result) not in _SETTLED and inspect.isawaitable(result):
            # A checkpoint, if what it awaits is one: no loop without an end.
            result = await Noticing(result, holdup.reached)
        return result

    async def _called(self, tool: Tool, arguments: dict[str, Any], holdup: Holdup) -> object:
        if tool.is_async:
            return await Noticing(tool.function(**arguments), holdup.reached)
        given_up: list[bool] = []
        # Not returned by the thread itself: trio takes nothing from a thread that is to be awaited.
        returned: list[object] = []
        work = partial(
            in_thread, partial(tool.function, **arguments), tool.name, returned, given_up
        )
        try:
            await run_in_thread(work, limiter=self._services.threads)
        except anyio.get_cancelled_exc_class():
            given_up.append(True)
            close_unawaited(returned)
            raise
        return returned[0]

    async def _report(self, call: _Call, event: CallEvent) -> None:
        if isinstance(event, ApprovalRequested) and call.answer is None:
            await self._parts.noted(CallAsked(event.call_id, event.name, event.arguments))
        await call.reports.report(event)

    def _tool_context(self, call: _Call) -> ToolContext[Any]:
        def spend(usage: Usage, cost: float) -> None:
            if call.answer is None:
                call.usage += usage
                call.cost += cost

        return ToolContext(
            call_id=call.call.id,
            name=call.call.name,
            deps=self._settings.deps,
            transcript=self._parts.transcript,
            depth=self._parts.depth,
            session=self._parts.session,
            limits=self._parts.ledger.limits(),
            spent=self._parts.ledger.spent,
            price=self._settings.price,
            report=partial(self._report, call),
            spend=spend,
            order=call.order,
            clock=call.clock,
            start=self._background.start,
            around_run=self._services.around_run,
        )


def _failed(text: str, outcome: Outcome = "error") -> ToolResult:
    return ToolResult(text, outcome=outcome)
