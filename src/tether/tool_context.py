"""What a tool may know of the call it serves, and how it reports. No I/O."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, Protocol, TypeVar

from tether.errors import UsageError
from tether.events import (
    ApprovalAnswered,
    ApprovalRequested,
    CallEvent,
    Event,
    ToolExecutionUpdate,
)
from tether.limits import Limits, Spent
from tether.messages import AssistantMessage, Message, Usage, UserBlock, as_user_blocks

__all__ = ("CallClock", "HasDeadline", "ToolContext")

Deps = TypeVar("Deps")


class HasDeadline(Protocol):
    """What is over at a time, such as a cancel scope."""

    @property
    def deadline(self) -> float:
        """When."""
        ...

    @deadline.setter
    def deadline(self, value: float) -> None: ...


class CallClock(Protocol):
    """What measures a call; see `ToolContext.paused` and `ToolContext.limiting`."""

    def paused(self) -> AbstractContextManager[None]:
        """Leave out the time of a block."""
        ...

    def limiting(self, scope: HasDeadline, seconds: float) -> AbstractContextManager[None]:
        """Set a deadline that moves on while the clock is paused."""
        ...


class ToolContext(Generic[Deps]):
    """What a tool may know of the call it serves, and how it reports.

    It may be kept for longer than the call takes. What it receives after the call's end is dropped: no event of a
    call follows its `ToolExecutionEnd`, and what is spent counts for no run.

    Attributes:
        call_id: the id of the call.
        name: the name of the tool.
        deps: what the agent was given for its tools.
        depth: how many agents stand above the one that calls.
        order: the place of the call among all of its run: of two calls, the earlier one's is less. The calls of a child
            agent come behind the call that it runs in.
        session: where the conversation is kept (a `Session`), or None.
        limits: what the run may spend.
        spent: what it has spent so far.
        price: what a reply costs, where the agent was given a `price`; else None.
        around_run: the hooks around the run, which are around the runs of agents inside the call too.
    """

    __slots__ = (
        "_clock",
        "_report",
        "_spend",
        "_start",
        "_transcript",
        "around_run",
        "call_id",
        "deps",
        "depth",
        "limits",
        "name",
        "order",
        "price",
        "session",
        "spent",
    )

    def __init__(
        self,
        *,
        call_id: str,
        name: str,
        deps: Deps,
        transcript: Sequence[Message] = (),
        depth: int = 0,
        session: Any = None,
        limits: Limits | None = None,
        spent: Spent | None = None,
        price: Callable[[AssistantMessage], float] | None = None,
        report: Callable[[CallEvent], Awaitable[None]],
        spend: Callable[[Usage, float], None],
        order: tuple[int, ...] = (),
        clock: CallClock | None = None,
        start: Callable[..., Awaitable[Any]] | None = None,
        around_run: Sequence[Any] = (),
    ) -> None:
        self.call_id: str = call_id
        self.name: str = name
        self.deps: Deps = deps
        self.depth: int = depth
        self.order: tuple[int, ...] = order
        self.session: Any = session
        self.limits: Limits = limits or Limits()
        self.spent: Spent = spent or Spent()
        self.price: Callable[[AssistantMessage], float] | None = price
        self.around_run: Sequence[Any] = around_run
        self._transcript = transcript
        self._clock = clock
        self._report = report
        self._spend = spend
        self._start = start

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, this call included."""
        return tuple(self._transcript)

    async def update(
        self, content: str | UserBlock | Iterable[UserBlock] = (), *, details: Any = None
    ) -> None:
        """Report progress to whoever follows the run.

        Waits while the consumer is slow, so that a tool that reports a lot is held up and not stored. From a
        plain function: `anyio.from_thread.run(context.update, "...")`. Dropped once the call has ended.

        Args:
            content: a string, a block, or several.
            details: for programs.

        Cancellation:
            While it waits; the update may then come later, or not at all.
        """
        await self._report(
            ToolExecutionUpdate(self.call_id, self.name, as_user_blocks(content), details)
        )

    async def forward(self, event: Event, path: tuple[str, ...]) -> None:
        """Pass on an event of an agent that runs inside this call. Dropped once the call has ended.

        Args:
            event: the event.
            path: the names of the agents from this run's child down to the one that published it.

        Cancellation:
            As in `update`.
        """
        await self._report(ToolExecutionUpdate(self.call_id, self.name, event=event, path=path))

    async def announce(self, event: ApprovalRequested | ApprovalAnswered) -> None:
        """Publish that a person is asked about this call, or has answered. Dropped once the call has ended.

        A question that is still open when the call ends is answered with `withdrawn`.

        Args:
            event: the question, which consumers that keep up have when this returns; or the answer.

        Cancellation:
            As in `update`.
        """
        await self._report(event)

    def paused(self) -> AbstractContextManager[None]:
        """Leave the time of a block out of the call's duration and timeouts, and out of those of the calls above it.

        For hooks that wait for a person. Several blocks may be open at once.
        """
        return nullcontext() if self._clock is None else self._clock.paused()

    def limiting(self, scope: HasDeadline, seconds: float) -> AbstractContextManager[None]:
        """Set the deadline of a scope, until the block is left; while the call is paused, it moves on with the time.

        Args:
            scope: an `anyio.CancelScope`, which is cancelled once the time is up.
            seconds: from now on.
        """
        return nullcontext() if self._clock is None else self._clock.limiting(scope, seconds)

    def spend(self, usage: Usage, cost: float = 0.0) -> None:
        """Count what an agent inside this call has spent for the run that calls. Dropped once the call has ended.

        Args:
            usage: the tokens.
            cost: their price, in the currency of `Limits.cost`.
        """
        self._spend(usage, cost)

    async def start(self, function: Callable[..., Awaitable[object]], *args: Any) -> Any:
        """Start a task that may outlive this call, and wait until it says that it has started.

        It belongs to the block of `Agent.opened` that the agent is in, else to the run: when that is over the task is
        cancelled and waited for. What it raises once it has started is logged, and ends nothing else.

        Args:
            function: an async function with a parameter `task_status`; it calls `task_status.started(value)`, as with
                `start` of a task group of anyio.
            *args: its arguments.

        Returns:
            The value that it gave to `started`.

        Raises:
            UsageError: the context belongs to no run, or the conversation is over.
            Exception: what the function raised before it had started.

        Cancellation:
            Ends the task, if it has not started yet.
        """
        if self._start is None:
            raise UsageError("this context belongs to no run: nothing can outlive the call")
        return await self._start(function, *args)
