"""Follow a run on its worker: pull what it says, keep the conversation, and publish the events."""

from contextlib import suppress
from typing import Final, Protocol

import anyio
from attrs import define, evolve

from tether._engine.parts import LiveRun, RunParts
from tether._engine.publisher import Publisher
from tether._scopes.exceptions import as_failure
from tether.errors import WorkerLostError
from tether.events import (
    Event,
    MessageEnd,
    MessageUpdate,
    ToolExecutionEnd,
    ToolExecutionStart,
)
from tether.limits import Spent
from tether.messages import AssistantMessage, CustomMessage, Failure, UserMessage
from tether.ray.exchange import (
    UNKNOWN,
    AboutCall,
    AboutStop,
    Batch,
    CancelTool,
    Ended,
    Item,
    Order,
    Proceeded,
    Start,
)
from tether.ray.inbox import ForwardingInbox
from tether.ray.packing import unpack
from tether.ray.placement import Place, Placement
from tether.ray.questions import Questions
from tether.ray.replica import Replica
from tether.result import RunResult
from tether.session import Session
from tether.session.entries import Entry

__all__ = ("Follower",)

_FLUSHING: Final = 5.0
"""Seconds that a store has to take what a run has said, where the run was cancelled or has failed."""


class _Followed(Protocol):
    """The run."""

    id: str
    parts: RunParts
    live: LiveRun

    def start(self, place: Place) -> Start: ...
    def order(self, order: Order) -> None: ...
    def is_left(self) -> bool: ...


@define
class _Call:
    """A call on the worker, as `Run.cancel_tool` sees it."""

    _run: _Followed
    _call_id: str

    def cancel(self) -> None:
        self._run.order(CancelTool(self._call_id))


class Follower:
    """What follows one run.

    Args:
        run: the run.
        session: where the conversation is kept.
        inbox: what waits to enter it.
        publisher: where events go.
        questions: what hooks are asked.
    """

    def __init__(
        self,
        run: _Followed,
        session: Session,
        inbox: ForwardingInbox,
        publisher: Publisher,
        questions: Questions,
    ) -> None:
        self._run = run
        self._parts = run.parts
        self._session = session
        self._inbox = inbox
        self._publisher = publisher
        self._questions = questions
        self._replica = Replica(run.parts.transcript, run.live)
        # The number of the last item that was taken in, and whether anything of it has to be kept.
        self._last = 0
        self._keeps = False
        # Whether a tool waits to be confirmed.
        self._begins = False
        self._ended: Ended | None = None
        # What the run has spent, as far as it was counted.
        self._counted = Spent()
        # The last entry of the conversation that the worker has.
        self._known: str | None = None

    async def follow(self, place: Place, placement: Placement) -> RunResult:
        """Have the worker carry the run out, and follow it to its end.

        Returns:
            What came of it.

        Raises:
            WorkerLostError: the worker is lost.
            Exception: what the run, a hook or a store raised.

        Cancellation:
            Cancels the run, waits for it as long as the grace, and passes on.
        """
        host, run = place.host, self._run
        placement.forget()
        try:
            batch = await host.call("start", run.start(place))
            if batch == UNKNOWN:
                place = evolve(place, known=None, entries=self._session.branch)
                batch = await host.call("start", run.start(place))
            self._known = place.entries[-1].id if place.entries else place.known
            while True:
                await self._take_all(batch)
                if self._ended is not None:
                    break
                hurry, self._begins = self._begins, False
                batch = await host.pulls.next(run.id, self._last, hurry=hurry)
            host.tell("close", run.id, self._last)
        except BaseException as error:
            await self._close(place, placement.grace, error)  # noqa: ASYNC102, ASYNC120 - shielded there, with a deadline
            raise
        placement.keep(place, self._known)
        return self._outcome(self._ended)

    def _outcome(self, ended: Ended) -> RunResult:
        if self._questions.failure is not None:
            raise self._questions.failure
        if ended.error is not None:
            raise ended.error
        if ended.result is None:
            raise WorkerLostError("the worker has ended the run: its driver was thought to be gone")
        return evolve(ended.result, undelivered=self._inbox.clear())

    async def _take_all(self, batch: Batch) -> None:
        """Take in a batch: keep it, and publish its events."""
        self._count(batch)
        publisher, partial = self._publisher, self._run.live
        for item in unpack(batch.items):
            self._last += 1
            if type(item) is MessageUpdate and partial.partial is not None:
                # As most are.
                partial.partial.add(item.delta)
                if not publisher.offer(item):
                    await publisher.publish(item)
            elif (event := self._take(item)) is not None:
                await self._flush()
                if (withdrawn := self._questions.closed_by(event)) is not None:
                    await publisher.publish(withdrawn)
                await publisher.publish(event)
        await self._flush()

    async def _flush(self) -> None:
        if self._keeps:
            self._keeps = False
            await self._parts.flushed()

    def _count(self, batch: Batch) -> None:
        spent, new = self._parts.ledger.spent, batch.spent - self._counted
        self._counted = batch.spent
        spent.turns += new.turns
        spent.tool_calls += new.tool_calls
        spent.usage += new.usage
        spent.cost += new.cost

    def _take(self, item: Item) -> Event | None:
        """Take in an item without waiting; return the event, if it is one."""
        match item:
            case Entry():
                self._keep(item)
            case AboutCall():
                self._questions.about_call(item)
            case AboutStop():
                self._questions.about_stop(item)
            case Proceeded():
                self._questions.proceeded(item)
            case Ended():
                self._ended = item
            case event:
                self._note(event)
                return event
        return None

    def _keep(self, entry: Entry) -> None:
        if self._run.is_left():
            return
        self._keeps = True
        self._begins = self._begins or entry.kind == "begun"
        self._session.adopt(entry)
        if entry.id != self._session.head:
            return  # agents within the agent have branches of their own
        self._known = entry.id
        call_id = str(entry.data.get("call_id"))
        if entry.kind == "begun" and self._parts.transcript.is_open(call_id):
            self._parts.transcript.begin(call_id)

    def _note(self, event: Event) -> None:
        self._replica.take(event)
        scopes = self._run.live.tool_scopes
        match event:
            case ToolExecutionStart(call_id):
                scopes[call_id] = _Call(self._run, call_id)
            case ToolExecutionEnd(call_id):
                scopes.pop(call_id, None)
            case MessageEnd(UserMessage() | CustomMessage() as message):
                self._inbox.delivered(message.id)
            case _:
                pass

    async def _close(self, place: Place, grace: float, error: BaseException) -> None:
        """Have the worker end the run, and take in what is left; close it here where that cannot be had."""
        events: list[Event] = []
        with anyio.move_on_after(grace, shield=True) as scope, suppress(WorkerLostError):
            batch = await place.host.call("close", self._run.id, self._last)
            self._count(batch)
            events += self._rest(batch)
        if scope.cancelled_caught:
            place.host.runs += 1  # it hangs there: others are better off elsewhere
        if self._ended is None:
            for event in self._close_here(as_failure(error)):
                events += self._closing(event)
        await self._announce(events)
        if isinstance(error, Exception):
            await self._deliver()

    def _close_here(self, failure: Failure) -> list[Event]:
        """Close the run without its worker. A reply that is incomplete is kept; calls are left to who goes on."""
        events = [*self._replica.closing(failure, self._parts.ledger.spent)]
        messages = [event.message for event in events if isinstance(event, MessageEnd)]
        last = next((m for m in messages if isinstance(m, AssistantMessage)), None)
        for message in messages[messages.index(last) :] if last is not None else ():
            self._parts.record(message)
        return events

    def _rest(self, batch: Batch) -> list[Event]:
        events: list[Event] = []
        for item in unpack(batch.items):
            self._last += 1
            if (event := self._take(item)) is not None:
                events += self._closing(event)
        return events

    def _closing(self, event: Event) -> list[Event]:
        """The event, behind what ends a question that it leaves without an answer."""
        withdrawn = self._questions.closed_by(event)
        return [event] if withdrawn is None else [withdrawn, event]

    async def _announce(self, events: list[Event]) -> None:
        """Publish the last events, without waiting for anyone, once what they say is kept."""
        try:
            with anyio.fail_after(_FLUSHING, shield=True):
                await self._parts.flushed()
        except Exception:  # noqa: BLE001 - the run ends already, and the session is behind by what it did not take
            self._publisher.cut()
        for event in events:
            self._publisher.publish_nowait(event)

    async def _deliver(self) -> None:
        """Wait for consumers that had no room for the last events."""
        gone = (anyio.BrokenResourceError, anyio.ClosedResourceError)
        try:
            await self._publisher.send_waiting()
        except (*gone, anyio.get_cancelled_exc_class()):  # noqa: ASYNC103 - what the run failed with goes first
            pass
