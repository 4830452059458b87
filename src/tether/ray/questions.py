"""What hooks at the driver are asked about a run on a worker, and answer: calls, and whether a turn is the last."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import anyio
from attrs import define, evolve, field

from tether._engine.around_tool import called_within_hooks
from tether._engine.parts import RunParts
from tether._engine.publisher import Publisher
from tether._engine.reports import Reports
from tether._engine.stopwatch import Stopwatch
from tether._scopes.task_groups import Tasks
from tether.calls import CallAsked
from tether.events import ApprovalAnswered, ApprovalRequested, CallEvent, Event, ToolExecutionEnd
from tether.hooks import Hook, Invocation, call_hook
from tether.ray.exchange import AboutCall, AboutStop, Answer, Order, Proceed, Proceeded
from tether.tools import ToolContext, ToolResult

__all__ = ("Questions",)


class _Asking(Protocol):
    """The run."""

    parts: RunParts
    shares_limits: bool

    def order(self, order: Order) -> None: ...


@define(eq=False)
class _Call:
    """A call that hooks are asked about."""

    number: int
    reports: Reports
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    given: list[Proceeded] = field(factory=list[Proceeded])
    arrived: anyio.Event = field(factory=anyio.Event)


class Questions:
    """The questions of one run.

    Args:
        run: the run.
        publisher: where what hooks announce goes.
        tasks: where hooks run: several calls may be asked about at once.
        around: the hooks around the run.
    """

    def __init__(
        self, run: _Asking, publisher: Publisher, tasks: Tasks, around: Sequence[Hook]
    ) -> None:
        self._run = run
        self._parts = run.parts
        self._publisher = publisher
        self._tasks = tasks
        self._around = around
        self._calls: dict[str, _Call] = {}
        self.failure: Exception | None = None
        """What a hook has raised: the run ends with it."""

    def about_call(self, item: AboutCall) -> None:
        """Have the hooks around a call."""
        call = _Call(item.number, Reports(self._publisher))
        self._calls[item.call.id] = call
        self._tasks.start_soon(self._answer_call, item, call)

    def proceeded(self, item: Proceeded) -> None:
        """Give a hook what its call gave."""
        for call in self._calls.values():
            if call.number == item.number:
                call.given.append(item)
                call.arrived.set()

    def about_stop(self, item: AboutStop) -> None:
        """Ask whether a turn is the last."""
        self._tasks.start_soon(self._answer_stop, item)

    def closed_by(self, event: Event) -> ApprovalAnswered | None:
        """Have done with a call that has ended; return what ends an open question about it."""
        if not isinstance(event, ToolExecutionEnd):
            return None
        call = self._calls.pop(event.call_id, None)
        if call is None:
            return None
        call.scope.cancel()
        call.reports.close()
        return call.reports.withdraw()

    async def _answer_call(self, item: AboutCall, call: _Call) -> None:
        with call.scope:
            try:
                self._run.order(Answer(item.number, await self._result(item, call)))
            except Exception as error:  # noqa: BLE001 - raised where the run is followed
                self._fail(item.number, error)

    async def _answer_stop(self, item: AboutStop) -> None:
        try:
            stop = False
            for hook in self._parts.hooks.at("should_stop"):
                stop = stop or bool(await call_hook(hook, item.turn))
        except Exception as error:  # noqa: BLE001 - raised where the run is followed
            self._fail(item.number, error)
            return
        spent = evolve(self._parts.ledger.spent) if self._run.shares_limits else None
        self._run.order(Answer(item.number, stop=stop, spent=spent))

    def _fail(self, number: int, error: Exception) -> None:
        self.failure = self.failure or error
        self._run.order(Answer(number, failed=True))

    async def _result(self, item: AboutCall, call: _Call) -> ToolResult:
        invocation = Invocation(item.call, item.tool, self._context(item, call))

        async def go_on(invocation: Invocation) -> ToolResult:
            self._run.order(Proceed(call.number, invocation.call))
            while not call.given:
                call.arrived = anyio.Event()
                await call.arrived.wait()
            given = call.given.pop(0)
            if given.error is not None:
                raise given.error
            return given.result or ToolResult()

        return await called_within_hooks(self._parts.hooks, invocation, go_on)

    async def _report(self, call: _Call, event: CallEvent) -> None:
        if isinstance(event, ApprovalRequested) and not call.scope.cancel_called:
            await self._parts.noted(CallAsked(event.call_id, event.name, event.arguments))
        await call.reports.report(event)

    def _context(self, item: AboutCall, call: _Call) -> ToolContext[Any]:
        parts, made = self._parts, item.call
        return ToolContext(
            call_id=made.id,
            name=made.name,
            deps=parts.settings().deps,
            transcript=parts.transcript,
            depth=parts.depth,
            session=parts.session,
            limits=parts.ledger.limits(),
            spent=parts.ledger.spent,
            price=parts.settings().price,
            report=partial(self._report, call),
            spend=lambda _usage, _cost: None,
            order=item.order,
            clock=Stopwatch(parts.pause),
            around_run=self._around,
        )
