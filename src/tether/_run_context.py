"""What belongs to one run, and to nothing else: its transcript, its sink, what it has in flight.

The driver makes one and hands it to whatever performs a request.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, suppress
from typing import Any, TypeVar

import anyio
from attrs import define, evolve, field

from tether._inbox import Inbox
from tether._output import Output
from tether.deltas import PartialReply
from tether.errors import ModelError
from tether.events import Event
from tether.hooks import Hooks, call_hook
from tether.limits import Limits, Spent
from tether.loop import End
from tether.messages import AssistantMessage, CustomMessage, Message, UserMessage
from tether.model import ConnectableModel, Model
from tether.settings import Settings
from tether.stream import EventSink
from tether.transcript import Transcript

__all__ = ("RunContext",)

M = TypeVar("M", UserMessage, CustomMessage)

_THREADS = 40
"""Sync tools of one run at a time: as many as anyio's own limit for a whole program."""


@define(kw_only=True, eq=False, repr=False)
class RunContext:
    """The shared state of one run. Made inside the event loop, dropped with the run."""

    transcript: Transcript
    inbox: Inbox
    hooks: Hooks
    settings: Callable[[], Settings]
    now: Callable[[], float]
    new_id: Callable[[], str]
    price: Callable[[AssistantMessage], float] = field(default=lambda _: 0.0)
    """What a reply cost."""
    record: Callable[[Message], object] = field(default=lambda _: None)
    """Keeps a message that is whole, before anybody is told of it."""
    session: Any = None
    """Where the conversation is kept, for tools that keep something too."""
    sink: EventSink[Event] = field(init=False)
    """Where events go; given by the stream once the run begins."""
    limits: Limits = field(factory=Limits)
    spent: Spent = field(factory=Spent)
    depth: int = 0
    """How many agents stand above this one."""
    output: Output | None = None
    """The result that the run is to have, where a type was asked for."""
    threads: anyio.CapacityLimiter = field(factory=lambda: anyio.CapacityLimiter(_THREADS))

    ending: End | None = None
    """Set by whoever ends the run from within: requests from then on are answered with it."""
    error: ModelError | None = None
    """What the last reply failed with."""
    partial: PartialReply | None = None
    """The reply that is arriving."""
    tool_scopes: dict[str, anyio.CancelScope] = field(factory=dict)
    """The calls that are running, by id."""

    connections: AsyncExitStack = field(factory=AsyncExitStack)
    """Left by the driver when the run is over."""

    _connected: dict[int, tuple[Model, Model]] = field(factory=dict)
    # By identity, since models need not be hashable; the model is kept so that its identity is.
    _deadline: float = math.inf
    _scope: anyio.CancelScope | None = None
    _held: int = 0
    _cut: bool = False
    _outbox: list[Event] = field(factory=list[Event])
    # What was held up by a cut, and goes before the next event.

    def __attrs_post_init__(self) -> None:
        if self.limits.seconds is not None:
            self._deadline = anyio.current_time() + self.limits.seconds

    # Connections, kept as long as the run.

    async def connected(self, model: Model) -> Model:
        """Return the model to ask: connected, where it can be, for as long as the run goes."""
        if not isinstance(model, ConnectableModel):
            return model
        known = self._connected.get(id(model))
        if known is None:
            known = (model, await self.connections.enter_async_context(model.connected()))
            self._connected[id(model)] = known
        return known[1]

    # Cutting off what is in flight, without ending the run.

    def in_flight(self) -> AbstractContextManager[anyio.CancelScope]:
        """Open the scope in which a request is performed; `interrupt` and the time limit end it."""
        self._cut = False
        self._scope = anyio.CancelScope(deadline=self._deadline)
        return self._scope

    def interrupt(self) -> None:
        """Interrupt the request in flight, if there is one; its performer returns what there is."""
        self._cut = True
        if self._scope is not None and not self._held:
            self._scope.cancel()

    def abort(self) -> None:
        """End the run in order, now."""
        self.ending = self.ending or End("aborted")
        self.interrupt()

    def landed(self) -> None:
        """Note that nothing is in flight; where time ran out meanwhile, the run ends."""
        self._scope = None
        self.check_time()

    def check_time(self) -> None:
        """End the run if its time is up."""
        if self.ending is None and anyio.current_time() >= self._deadline:
            self.ending = End("limit", "seconds")

    # Telling people.

    def offer(self, event: Event) -> bool:
        """Tell the consumers of the run at once, if nobody has to be waited for: the short way of `publish`.

        Returns:
            Whether they were told. If not, nothing has happened.
        """
        return not self._outbox and not self.hooks.at("on_event") and self.sink.offer(event)

    async def publish(self, event: Event) -> None:
        """Tell listeners, in order, then the consumers of the run.

        What `interrupt` keeps from being sent is sent before the next event: of a run that ends in order,
        nothing is missing.

        Cancellation:
            While a consumer is slow, or inside a listener. `interrupt` waits for listeners.
        """
        if listeners := self.hooks.at("on_event"):
            self._held += 1
            try:
                for hook in listeners:
                    await call_hook(hook, event)
            finally:
                self._held -= 1
                if self._cut and self._scope is not None:
                    self.interrupt()
        outbox = self._outbox
        if outbox:
            outbox.append(event)
            event = outbox.pop(0)
        try:
            await self.sink.send(event)
            while outbox:
                event = outbox.pop(0)
                await self.sink.send(event)
        except anyio.get_cancelled_exc_class():
            outbox.insert(0, event)
            raise

    def publish_nowait(self, event: Event) -> None:
        """Tell the consumers if they have room, for a run that is being closed and may not wait."""
        with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.sink.send_nowait(event)

    def spend(self, reply: AssistantMessage) -> None:
        """Count a reply that is no part of the conversation."""
        self.spent.usage += reply.usage
        self.spent.cost += self.price(reply)

    # Ids and times, from the sources the agent was given.

    def stamp(self, message: M) -> M:
        """Give a message its id and time, unless it has them."""
        return evolve(
            message,
            id=message.id or self.new_id(),
            timestamp=message.timestamp or self.now(),
        )
