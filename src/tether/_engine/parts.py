"""What belongs to one run, put together.

`RunParts` is what the run is given when it begins. `RunServices` is that and what is made for the run: the performers
of its requests share it. `LiveRun` is what can be seen of the run from outside.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio
from attrs import Factory, define, evolve, field, frozen

from tether._engine.background import Background, open_background
from tether._engine.inbox import Inbox
from tether._engine.interruption import RunControl
from tether._engine.ledger import Ledger
from tether._engine.output import Output
from tether._engine.publisher import Publisher
from tether._engine.resources import Resources
from tether._engine.turn_settings import TurnSettings
from tether._scopes.backend import current_backend
from tether.deltas import PartialReply
from tether.errors import ModelError
from tether.hooks import Hook, Hooks
from tether.messages import CustomMessage, Message, Usage, UserMessage
from tether.taps import Tap
from tether.transcript import Transcript

if TYPE_CHECKING:
    from anyio.abc import AsyncBackend

    from tether.calls import CallNote

__all__ = ("Cancellable", "LiveRun", "RunParts", "RunServices")

M = TypeVar("M", bound=UserMessage | CustomMessage)

_THREADS = 40
"""Sync tools of one run at a time: as many as anyio's own limit for a whole program."""


def _not_recorded(_: "Message | CallNote") -> None: ...


@frozen(kw_only=True, eq=False, repr=False)
class RunParts:
    """What a run is made of."""

    transcript: Transcript
    inbox: Inbox
    hooks: Hooks
    ledger: Ledger
    settings: Callable[[], TurnSettings]
    """What a turn works with that begins now."""
    now: Callable[[], float]
    """Seconds since the epoch."""
    new_id: Callable[[], str]
    random: Callable[[], float]
    """A number from 0 to 1, for what is left to chance: how long to wait before another attempt."""
    tap: Tap | None = None
    """Sees what the run does."""
    record: Callable[[Message], object] = _not_recorded
    """Keeps a message that has ended, before it is announced."""
    note: Callable[["CallNote"], object] = _not_recorded
    """Keeps what a call has come to, likewise."""
    flush: Callable[[], Awaitable[None]] | None = None
    """Waits until what was recorded is kept, where recording does not."""
    background: Callable[[], AbstractAsyncContextManager[Background]] = open_background
    """Enters the place for tasks that outlive the calls which start them."""
    session: Any = None
    """Where the conversation is kept, for tools that keep something too."""
    agent: str = "agent"
    """The name of the agent."""
    depth: int = 0
    """How many agents stand above this one."""
    call_id: str | None = None
    """The call that this run is part of, if it is."""
    around_run: Sequence[Hook] = ()
    """The hooks around the run that this one is part of."""
    order: tuple[int, ...] = ()
    """The place of the call that this run is part of, if it is; see `ToolContext.order`."""
    pause: Callable[[], AbstractContextManager[None]] = nullcontext
    """Pauses the clocks of the calls that this run is part of."""
    output: Output | None = None
    """The result that the run is to have, where a type was asked for."""
    _flushing: "anyio.Lock | None" = field(
        default=Factory(lambda self: _line_to_flush(self), takes_self=True), init=False
    )
    """Calls that run at once flush one after the other: who comes next finds most of it written."""

    async def flushed(self) -> None:
        """Wait until what was recorded is kept.

        Raises:
            Exception: what the store raised.

        Cancellation:
            At once, where it waits.
        """
        if self.flush is not None and self._flushing is not None:
            async with self._flushing:
                await self.flush()

    async def noted(self, note: "CallNote") -> None:
        """Note what a call has come to, and wait until that is kept.

        Raises:
            Exception: what the store raised.

        Cancellation:
            At once, where it waits.
        """
        self.note(note)
        await self.flushed()

    def stamp(self, message: M) -> M:
        """Give a message its id and time, unless it has them."""
        return evolve(
            message,
            id=message.id or self.new_id(),
            timestamp=message.timestamp or self.now(),
        )


def _line_to_flush(parts: RunParts) -> "anyio.Lock | None":
    return None if parts.flush is None else anyio.Lock(fast_acquire=True)


class Cancellable(Protocol):
    """What can be cancelled, such as a cancel scope."""

    def cancel(self) -> None:
        """Cancel it."""
        ...


@define(eq=False, repr=False)
class LiveRun:
    """What can be seen of a run while it goes."""

    partial: PartialReply | None = None
    """The reply that is arriving, or the last that did."""
    usage: Callable[[], Usage] = Usage
    """What the reply that is arriving has used so far; nothing between replies."""
    tool_scopes: dict[str, Cancellable] = field(factory=dict[str, Cancellable])
    """The calls that are running, by id."""
    calls_begun: int = 0
    error: ModelError | None = None
    """What the last reply failed with."""


@frozen(kw_only=True, eq=False, repr=False)
class RunServices:
    """What the performers of a run's requests share. Made inside the event loop, dropped with the run."""

    parts: RunParts
    control: RunControl
    live: LiveRun
    publisher: Publisher
    around_run: Sequence[Hook] = ()
    """The hooks around the run."""
    backend: "type[AsyncBackend]" = field(factory=current_backend)
    """Of the event loop; each call asks it several times."""
    resources: Resources = field(
        default=Factory(lambda self: Resources(self.parts.background), takes_self=True), init=False
    )

    @cached_property
    def threads(self) -> "anyio.CapacityLimiter":
        """Holds how many plain functions run at a time."""
        return anyio.CapacityLimiter(_THREADS)
