"""A run on a worker: what it says goes into its outbox, and what it is told comes from the driver."""

import pickle
from typing import Any, Final

import anyio
import anyio.lowlevel
from attrs import define, evolve, field

from tether._engine.active_run import ActiveRun
from tether._scopes.exceptions import described
from tether._terms import Asked
from tether.agent import Agent
from tether.errors import TetherError, UsageError
from tether.events import TurnEnd
from tether.hooks import Invocation, ProceedTool
from tether.limits import Spent
from tether.ray.exchange import (
    Abort,
    AboutCall,
    AboutStop,
    Answer,
    Batch,
    CancelTool,
    Ended,
    Interrupt,
    Order,
    Proceed,
    Proceeded,
    Say,
    Start,
)
from tether.ray.outbox import Mirror, Outbox, Sink
from tether.ray.packing import pack, packed
from tether.tools import ToolContext, ToolResult

__all__ = ("HostedRun", "portable")

_INNERMOST: Final = 2000
_NAME: Final = "driver"


@define(eq=False)
class _Question:
    """What hooks at the driver are asked, and have answered so far."""

    answers: list[Proceed | Answer] = field(factory=list[Proceed | Answer])
    arrived: anyio.Event = field(factory=anyio.Event)

    def give(self, answer: Proceed | Answer) -> None:
        self.answers.append(answer)
        self.arrived.set()

    async def next(self) -> Proceed | Answer:
        """Wait for the next answer.

        Cancellation:
            At once.
        """
        while not self.answers:
            self.arrived = anyio.Event()
            await self.arrived.wait()
        return self.answers.pop(0)


class HostedRun:
    """One run.

    Args:
        start: what it is to be.
        agent: whose run.
        outbox: where it says what happens.
    """

    def __init__(self, start: Start, agent: Agent, outbox: Outbox) -> None:
        self.id: str = start.run
        self.outbox = outbox
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.over: anyio.Event = anyio.Event()
        self._start = start
        self._agent = agent
        self._active: ActiveRun | None = None
        self._waiting: dict[int, Order] = {}
        self._taken = 0
        self._questions: dict[int, _Question] = {}
        self._asked_so_far = 0
        self._spent = Spent() if start.spent is None else start.spent
        # What of it others have spent is known where the limits are shared: what it had come to then, and its own part.
        self._since = evolve(self._spent)
        self._own = Spent()

    async def carry_out(self) -> None:
        """Be the task of the run. What it fails with is for the driver.

        Cancellation:
            Ends the run; what there is to say is in the outbox.
        """
        ended = Ended()
        try:
            with self.scope:
                ended = Ended(result=await self._run())
        except Exception as error:  # noqa: BLE001 - raised at the driver
            ended = Ended(error=portable(error))
        finally:
            self._hand_over_rest()
            self._end(ended)
            self.over.set()

    async def _run(self) -> Any:
        agent, start = self._agent, self._start
        agent._conversation.inbox.clear()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it is one of us
        for queue, message in start.waiting:
            agent._conversation.inbox.put(queue, message)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if start.price is not None:
            agent.price = start.price
        self._add_hooks()
        begun = agent._start(self._asked())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        try:
            self._active = await begun.begun()
            self._take_all()
            return await self._active.produce(Sink(self.outbox))
        finally:
            begun.over()
            self._remove_hooks()

    def _end(self, ended: Ended) -> None:
        try:
            self.outbox.put(ended)
        except UsageError as error:
            self.outbox.put(Ended(error=error))

    def _hand_over_rest(self) -> None:
        session = self._agent.session
        if isinstance(session, Mirror):
            session.hand_over()

    def _asked(self) -> Asked:
        start = self._start
        return Asked(
            start.prompt,
            start.output,
            start.output_attempts,
            start.deps,
            start.limits,
            inside=_inside(start),
            spent=self._spent,
            counts_cost=start.counts_cost,
        )

    @property
    def spent(self) -> Spent:
        """What it has spent itself so far."""
        return self._own + (self._spent - self._since)

    def batch(self) -> Batch:
        """Make a batch of what the driver has not confirmed."""
        outbox = self.outbox
        return Batch(self.id, outbox.confirmed_up_to, pack(outbox.unconfirmed()), self.spent)

    # What the driver says.

    def take(self, number: int, order: Order) -> None:
        """Take an order; one that has overtaken others waits for them."""
        self._waiting[number] = order
        self._take_all()

    def _take_all(self) -> None:
        while self._active is not None and self._taken + 1 in self._waiting:
            self._taken += 1
            self._obey(self._active, self._waiting.pop(self._taken))

    def _obey(self, active: ActiveRun, order: Order) -> None:
        match order:
            case Say(queue, message):
                self._agent._conversation.inbox.put(queue, message)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            case Abort():
                active.control.abort()
            case Interrupt():
                active.control.interrupt()
            case CancelTool(call_id):
                if (scope := active.live.tool_scopes.get(call_id)) is not None:
                    scope.cancel()
            case Proceed(number) | Answer(number):
                if (question := self._questions.get(number)) is not None:
                    question.give(order)

    # What the driver is asked.

    def _add_hooks(self) -> None:
        if self._start.asks_about_calls:
            self._agent.hooks.add("around_tool", self._around, name=_NAME, depth=_INNERMOST)
        if self._start.asks_about_stop:
            self._agent.hooks.add("should_stop", self._should_stop, name=_NAME, depth=_INNERMOST)

    def _remove_hooks(self) -> None:
        if self._start.asks_about_calls:
            self._agent.hooks.remove("around_tool", _NAME)
        if self._start.asks_about_stop:
            self._agent.hooks.remove("should_stop", _NAME)

    async def _around(self, invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        """Have the hooks at the driver around a call. What they take is not the call's time."""
        number, question = self._ask()
        context = invocation.context
        tool = evolve(invocation.tool, function=_elsewhere, bind=dict)
        self.outbox.put(AboutCall(number, invocation.call, tool, context.order))
        try:
            while True:
                with context.paused():
                    answer = await question.next()
                if isinstance(answer, Answer):
                    return self._checked(answer).result or ToolResult()
                self.outbox.put(await self._proceed(invocation, answer, proceed))
        finally:
            del self._questions[number]

    async def _proceed(
        self, invocation: Invocation, order: Proceed, proceed: ProceedTool
    ) -> Proceeded:
        try:
            result = await proceed(evolve(invocation, call=order.call))
        except Exception as error:  # noqa: BLE001 - hooks at the driver see it
            return Proceeded(order.number, None, portable(error))
        return Proceeded(order.number, result)

    async def _should_stop(self, turn: TurnEnd) -> bool:
        number, question = self._ask()
        self.outbox.put(AboutStop(number, turn))
        try:
            answer = await question.next()
        finally:
            del self._questions[number]
        assert isinstance(answer, Answer)
        if (total := self._checked(answer).spent) is not None:
            self._own = self.spent
            for name in ("turns", "tool_calls", "usage", "cost"):
                setattr(self._spent, name, getattr(total, name))
            self._since = total
        return answer.stop

    def _ask(self) -> tuple[int, _Question]:
        self._asked_so_far += 1
        question = self._questions[self._asked_so_far] = _Question()
        return self._asked_so_far, question

    def _checked(self, answer: Answer) -> Answer:
        if answer.failed:
            raise TetherError("a hook at the driver has failed")
        return answer


def _inside(start: Start) -> ToolContext[Any] | None:
    """The call at the driver that a run is part of, as far as the run is to know."""
    if not start.depth:
        return None

    async def report(_: object) -> None:
        await anyio.lowlevel.checkpoint()

    return ToolContext(
        call_id=start.call_id or "",
        name="",
        deps=None,
        depth=start.depth - 1,
        order=start.order,
        report=report,
        spend=lambda _usage, _cost: None,
    )


def _elsewhere() -> None:
    raise TetherError("this tool is on a worker")


def portable(error: Exception) -> Exception:
    """The error, if it can be sent as it is; else one that says the same."""
    try:
        pickle.loads(packed(error))
    except Exception:  # noqa: BLE001 - what pickling raises is made by code of others
        return TetherError(described(error))
    return error
