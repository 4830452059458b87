"""The handles on a run, for plain functions: each waits for that of the asynchronous run."""

from collections.abc import Iterator

from tether._scopes.owned import Owned
from tether.blocking._thread_bridge import Portal
from tether.events import Event, MessageUpdate
from tether.messages import AssistantMessage, Prompt, Queued, Usage
from tether.result import RunResult
from tether.run import Run
from tether.stream import EventStream, StreamStatistics, WhenFull

__all__ = ("BlockingRun", "BlockingStream")


class BlockingRun(Owned):
    """The handle on a run, for plain functions. Made by `run`.

    The handles may be used from any thread, also while another thread iterates.
    """

    __slots__ = ("_portal", "_run")

    def __init__(self, portal: Portal, run: Run) -> None:
        self._portal = portal
        self._run = run

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        """Wait for the next event.

        Raises:
            StopIteration: the run is over.
            ModelError: the model failed.
        """
        try:
            return self._portal.call(self._run.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    def result(self) -> RunResult:
        """Wait for the end of the run, leaving aside the events nobody has read.

        Raises:
            ModelError: the model failed; the transcript holds what had arrived.
        """
        return self._portal.call(self._run.result)

    def text(self) -> Iterator[str]:
        """Iterate over the text of the replies as it arrives, in place of the events; see `Run.text`."""
        return (event.text for event in self if isinstance(event, MessageUpdate) and event.text)

    def branch(
        self, max_buffer_size: float = 64, *, when_full: WhenFull = "wait"
    ) -> "BlockingStream":
        """Make a stream for a further consumer, such as another thread, from the next event on; see `Run.branch`."""
        stream = self._portal.call(lambda: self._run.branch(max_buffer_size, when_full=when_full))
        return BlockingStream(self._portal, stream)

    def statistics(self) -> StreamStatistics:
        """Say how full the buffer is and who waits."""
        return self._portal.call(self._run.statistics)

    def steer(self, message: Prompt, *, interrupt: bool = False) -> Queued:
        """Say something that this run hears before its next request to the model; see `Run.steer`."""
        return self._portal.call(lambda: self._run.steer(message, interrupt=interrupt))

    def abort(self) -> None:
        """End the run in order."""
        self._portal.call(self._run.abort)

    def interrupt(self) -> None:
        """Interrupt what is in flight; see `Run.interrupt`."""
        self._portal.call(self._run.interrupt)

    def cancel_tool(self, call_id: str) -> None:
        """Cancel one running call; see `Run.cancel_tool`."""
        self._portal.call(lambda: self._run.cancel_tool(call_id))

    @property
    def partial(self) -> AssistantMessage | None:
        """The reply so far; see `Run.partial`."""
        return self._portal.call(lambda: self._run.partial)

    @property
    def running_tools(self) -> tuple[str, ...]:
        """The ids of the calls that are running."""
        return self._portal.call(lambda: self._run.running_tools)

    @property
    def usage(self) -> Usage:
        """The tokens spent so far."""
        return self._run.usage

    @property
    def cost(self) -> float:
        """The cost so far; see `Run.cost`."""
        return self._run.cost


class BlockingStream(Owned):
    """The events of a run for a further consumer. Made by `BlockingRun.branch`; close it when you stop reading."""

    __slots__ = ("_portal", "_stream")

    def __init__(self, portal: Portal, stream: EventStream[Event, RunResult]) -> None:
        self._portal = portal
        self._stream = stream

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        """Wait for the next event.

        Raises:
            StopIteration: the run is over, or this stream was closed by another thread.
            ConsumerTooSlowError: this stream fails when full, and was full.
            ModelError: the model failed.
        """
        try:
            return self._portal.call(self._stream.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None

    def statistics(self) -> StreamStatistics:
        """Say how full the buffer is, who waits, and what was dropped."""
        return self._portal.call(self._stream.statistics)

    def close(self) -> None:
        """Stop following: the run no longer waits for this consumer."""
        self._portal.call(self._stream.close)
