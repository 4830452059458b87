"""A run that is going: its events, its result, and the handles to steer it by."""

from collections.abc import AsyncIterator, Callable
from typing import ClassVar, TypeAlias

from anyio.abc import ObjectReceiveStream

from tether._engine.interruption import RunControl
from tether._engine.parts import LiveRun
from tether._scopes.owned import Owned
from tether.errors import UsageError
from tether.events import Event, MessageUpdate, ToolExecutionUpdate
from tether.limits import Spent
from tether.messages import AssistantMessage, Prompt, Queued, Usage
from tether.result import RunResult
from tether.stream import EventStream, StreamStatistics, WhenFull

__all__ = ("Run",)

RunStream: TypeAlias = EventStream[Event, RunResult]


class Run(Owned, ObjectReceiveStream[Event]):
    """The handle on a run. Iterate it for its events; made by `Agent.run`.

    It is an `anyio.abc.ObjectReceiveStream`, and goes wherever anyio's streams go. One task at a time may iterate;
    `branch` serves further consumers. None of the handles needs anyone to read events.

    Args:
        stream: its events and its result.
        live: what can be seen of it.
        control: what interrupts it.
        spent: what it has spent.
        accept: takes a message that steers it; raises UsageError once the run is over.
    """

    _INSTEAD: ClassVar[str] = "; branch makes a stream for a further consumer"

    def __init__(
        self,
        stream: RunStream,
        live: LiveRun,
        control: RunControl,
        spent: Spent,
        accept: Callable[[Prompt], Queued],
    ) -> None:
        self._stream = stream
        self._live = live
        self._control = control
        self._spent = spent
        self._accept = accept

    def __aiter__(self) -> AsyncIterator[Event]:  # type: ignore[override]  # see `EventStream`
        return self._stream.__aiter__()

    async def __anext__(self) -> Event:
        """Wait for the next event; see `EventStream.__anext__`."""
        return await self._stream.__anext__()

    async def receive(self) -> Event:
        """Wait for the next event; see `EventStream.receive`."""
        return await self._stream.receive()

    async def aclose(self) -> None:
        """Stop following: a run that nobody follows ends at its next event; it never waits."""
        self._stream.close()

    def text(self) -> AsyncIterator[str]:
        """Iterate over the text of the replies as it arrives, in place of the events.

        Returns:
            An iterator of pieces of text, none of them empty: those of all replies of the run, with nothing between
            them. It may be left and taken up again, as the run itself.
        """
        return _TextStream(self._stream.__aiter__())

    async def result(self) -> RunResult:
        """Wait for the end of the run, discarding the events that nobody has read.

        Returns:
            How it ended, and what it added to the conversation.

        Raises:
            ModelError: the model failed; the transcript holds what had arrived.
            Exception: what a hook raised.

        Cancellation:
            At once; the run goes on.
        """
        return await self._stream.result()

    def branch(
        self, max_buffer_size: float = 64, *, when_full: WhenFull = "wait"
    ) -> EventStream[Event, RunResult]:
        """Make a stream for a further consumer, from the next event on.

        `drop_oldest` drops updates only: starts and ends always arrive. See `EventStream.branch`.
        """
        return self._stream.branch(max_buffer_size, when_full=when_full, droppable=_is_update)

    def statistics(self) -> StreamStatistics:
        """Say how full the buffer is and who waits."""
        return self._stream.statistics()

    @property
    def partial(self) -> AssistantMessage | None:
        """The reply so far, made when asked for; None before the first.

        A tool call that is still arriving has the arguments that can be read so far.
        """
        partial = self._live.partial
        return None if partial is None else partial.preview()

    @property
    def usage(self) -> Usage:
        """The tokens spent so far, those of the reply that is arriving included, as far as they are known."""
        return self._spent.usage + self._live.usage()

    @property
    def cost(self) -> float:
        """The cost so far, in the currency of the prices; 0 without a price (see `Agent`)."""
        return self._spent.cost

    def steer(self, message: Prompt, *, interrupt: bool = False) -> Queued:
        """Queue a message for the next request of this run; see `Agent.steer`.

        Args:
            message: what to say.
            interrupt: do not wait: interrupt the reply that is arriving, or the calls that are running.

        Returns:
            The message as it was accepted. It will be in the transcript, or in `RunResult.undelivered`.

        Raises:
            UsageError: the run is over. `Agent.steer` says it to the next one.
        """
        accepted = self._accept(message)
        if interrupt:
            self._control.interrupt()
        return accepted

    def abort(self) -> None:
        """End the run in order: what is in flight is interrupted, and the closing events are delivered."""
        self._control.abort()

    def interrupt(self) -> None:
        """Interrupt what is in flight: the reply that is arriving, or the calls that are running.

        The run goes on with what there is: calls are answered as interrupted, and the model is asked again. After
        an incomplete reply it ends, unless a message waits to be delivered.
        """
        self._control.interrupt()

    def cancel_tool(self, call_id: str) -> None:
        """Cancel one running call; it is answered as interrupted, and the run goes on.

        Raises:
            UsageError: no such call is running; the text names those that are.
        """
        scopes = self._live.tool_scopes
        if call_id not in scopes:
            running = ", ".join(scopes) or "none"
            raise UsageError(f"no tool call {call_id!r} is running; running: {running}")
        self._control.cancel_call(call_id, scopes[call_id].cancel)

    @property
    def running_tools(self) -> tuple[str, ...]:
        """The ids of the calls that are running."""
        return tuple(self._live.tool_scopes)


class _TextStream:
    """The text of a run's events."""

    __slots__ = ("_events",)

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events

    def __aiter__(self) -> "_TextStream":
        return self

    async def __anext__(self) -> str:
        # The stream passes its checkpoints.
        while True:
            event = await self._events.__anext__()
            if isinstance(event, MessageUpdate) and event.text:
                return event.text


def _is_update(event: Event) -> bool:
    return isinstance(event, MessageUpdate | ToolExecutionUpdate)
