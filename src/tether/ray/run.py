"""A run on a worker, as the driver sees it.

What the worker says of the conversation is kept here before an event that announces it is published, and confirmed
with the next pull. The worker begins no tool before. So the conversation is valid, and says what has begun, whatever
becomes of the worker.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Final

from attrs import evolve

from tether._engine.active_run import ActiveRun
from tether._engine.around import hooks_around, within_hooks
from tether._engine.interruption import RunControl
from tether._engine.lease import keeping_claim
from tether._engine.parts import RunParts
from tether._engine.publisher import Publisher
from tether._scopes.task_groups import open_task_group
from tether._terms import Asked
from tether.events import Event
from tether.limits import Limits
from tether.loop import End
from tether.messages import Queued, QueueName
from tether.ray.exchange import Abort, Interrupt, Order, Say, Start
from tether.ray.follow import Follower
from tether.ray.host import Host
from tether.ray.inbox import ForwardingInbox
from tether.ray.placement import Place, Placement
from tether.ray.questions import Questions
from tether.result import RunResult
from tether.session import Session
from tether.stream import EventSink

__all__ = ("RemoteRun",)

_QUEUES: Final[tuple[QueueName, ...]] = ("steering", "follow_up")
_AROUND_CALLS: Final = ("before_tool", "around_tool", "after_tool")


class RemoteRun(ActiveRun):
    """A run on a worker.

    Args:
        parts: what it is made of here.
        prompts: what it begins with.
        on_over: called once, when it is over.
        placement: chooses the worker.
        asked: what the run is asked for.
        session: where the conversation is kept.
        is_left: whether that is to be left as it is from now on.
        inbox: what waits to enter it.
    """

    def __init__(
        self,
        parts: RunParts,
        prompts: Sequence[Queued],
        on_over: Callable[[ActiveRun], object],
        *,
        placement: Placement,
        asked: Asked,
        session: Session,
        is_left: Callable[[], bool],
        inbox: ForwardingInbox,
    ) -> None:
        super().__init__(parts, prompts, on_over)
        self.id: str = uuid.uuid4().hex
        self.parts = parts
        self.control: RunControl = _Control(self.order)
        self.shares_limits: bool = asked.spent is not None
        self._placement = placement
        self._asked = asked
        self._session = session
        self.is_left: Callable[[], bool] = is_left
        self._inbox = inbox
        self._host: Host | None = None
        self._sent = 0
        self._unsent: list[Order] = []
        if asked.prompt is None:
            inbox.put_back("follow_up", prompts)  # until they are in the conversation

    def order(self, order: Order) -> None:
        """Tell the worker something; until there is one it waits.

        Raises:
            UsageError: it cannot be sent.
        """
        self._unsent.append(order)
        self._send_orders()

    def _send_orders(self) -> None:
        while self._host is not None and self._unsent:
            self._host.tell("order", self.id, self._sent + 1, self._unsent.pop(0))
            self._sent += 1  # orders are obeyed without a gap

    async def produce(self, sink: EventSink[Event]) -> RunResult:
        """Be the producer of the run's stream: follow the run on its worker.

        Returns:
            What came of it.

        Raises:
            WorkerLostError: the worker is lost.
            Exception: what the run or a hook raised.

        Cancellation:
            Cancels the run, waits until it has cleaned up, for as long as the grace of the workers, and passes on. The
            transcript is valid.
        """
        parts = self.parts
        around = hooks_around(parts.around_run, parts.hooks.at("around_run"))
        publisher = Publisher(sink, parts.hooks, self.control)

        async def carry_out() -> RunResult:
            await parts.flushed()
            place = self._placement.place(self._session)
            async with keeping_claim(parts.session, self.control), open_task_group() as tasks:
                questions = Questions(self, publisher, tasks, around)
                follower = Follower(self, self._session, self._inbox, publisher, questions)
                self._begin_on(place.host)
                try:
                    return await follower.follow(place, self._placement)
                finally:
                    place.host.runs -= 1
                    tasks.cancel_scope.cancel()

        try:
            return await within_hooks(around, self._context(sink), carry_out)
        finally:
            self.over()

    def over(self) -> None:
        """Note that it is over; a second time it does nothing."""
        self._inbox.forward, self._host = None, None
        super().over()

    def _begin_on(self, host: Host) -> None:
        self._host = host
        host.runs += 1
        self._inbox.forward = lambda queue, message: self.order(Say(queue, message))
        self._send_orders()

    def start(self, place: Place) -> Start:
        """Say what is to begin."""
        parts, asked = self.parts, self._asked
        limits = parts.ledger.limits()
        return Start(
            run=self.id,
            make=self._placement.make,
            conversation=place.conversation,
            known=place.known,
            entries=place.entries,
            prompt=None if asked.prompt is None else self._prompts[0],
            waiting=[(queue, one) for queue in _QUEUES for one in self._inbox.waiting(queue)],
            output=asked.output,
            output_attempts=asked.output_attempts,
            deps=parts.settings().deps,
            limits=None if limits == Limits() else limits,
            spent=evolve(parts.ledger.spent) if self.shares_limits else None,
            price=parts.settings().price,
            counts_cost=asked.counts_cost,
            asks_about_calls=any(parts.hooks.functions(point) for point in _AROUND_CALLS),
            asks_about_stop=self.shares_limits or bool(parts.hooks.at("should_stop")),
            depth=parts.depth,
            order=parts.order,
            call_id=parts.call_id,
        )


class _Control(RunControl):
    """What ends a run on a worker, or interrupts it."""

    __slots__ = ("_order",)

    def __init__(self, order: Callable[[Order], None]) -> None:
        super().__init__(Limits)
        self._order = order

    def end(self, end: End) -> None:
        """Have the run end."""
        super().end(end)
        self._order(Abort())

    def interrupt(self) -> None:
        """Interrupt what is in flight."""
        self._order(Interrupt())
