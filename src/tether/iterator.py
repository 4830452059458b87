"""A run to iterate where no block can be kept open round it: its scope is given.

An async generator may be dropped in the middle, and continued by another task than the one that began it. A run that
is yielded out of from one then leaves its task group in the wrong task, or never (PEP 789). So this iterator is a class
that holds no task group: the run is a task of the group that it is given, and whoever lets go of the iterator ends it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from tether._scopes.loop_call import LoopCaller
from tether._scopes.owned import Owned
from tether.deltas import TextDelta
from tether.errors import UsageError
from tether.events import Event, MessageUpdate
from tether.result import RunResult
from tether.stream import EventSink, EventStream, create_event_stream

__all__ = (
    "CreatesTasks",
    "RunIterator",
    "RunScope",
    "StartsTasks",
    "hold_run",
    "itself",
    "require_scope",
    "text_of",
)

T = TypeVar("T")

Produce: TypeAlias = Callable[[EventSink[Event]], Awaitable[RunResult]]


class StartsTasks(Protocol):
    """What a run can be tied to: an `anyio.abc.TaskGroup`, a `trio.Nursery`, or what starts tasks as they do."""

    def start_soon(self, func: Callable[[], Awaitable[Any]], /) -> object:
        """Start a task that the scope waits for, and cancels when it ends early."""
        ...


class CreatesTasks(Protocol):
    """What a run can be tied to as well: an `asyncio.TaskGroup`."""

    def create_task(self, coro: Any, /) -> Any:
        """Start a task that the scope waits for, and cancels when it ends early."""
        ...


RunScope: TypeAlias = StartsTasks | CreatesTasks
"""The scope that the run of an iterator is tied to."""


class _HeldRun:
    """A run in the task group that holds it. The task of the run knows this, and not the iterator."""

    __slots__ = ("_loop", "_over", "_produce", "_reason", "_release", "_scope", "_sink", "stream")

    def __init__(
        self, produce: Produce, release: Callable[[], object], max_buffer_size: float
    ) -> None:
        self._produce = produce
        self._release = release
        self.stream: EventStream[Event, RunResult]
        self._sink, self.stream = create_event_stream(max_buffer_size)
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()
        self._loop = LoopCaller()
        self._reason: Exception = anyio.BrokenResourceError(
            "the task group of this run ended before the run was over"
        )

    def start(self, scope: RunScope) -> None:
        """Start the run as a task of the scope."""
        start_soon: Callable[[Callable[[], Awaitable[Any]]], object] | None
        start_soon = getattr(scope, "start_soon", None)
        if start_soon is None:
            _create_task(cast("CreatesTasks", scope), self._carry_out(), self._end)
        else:
            start_soon(self._carry_out)

    async def _carry_out(self) -> None:
        """Be the task of the run. What it fails with is for who iterates, and leaves its task group alone."""
        try:
            with self._scope:
                self._sink.end(await self._produce(self._sink))
        except Exception as error:  # noqa: BLE001 - raised to who iterates
            self._sink.fail(error)
        finally:
            self._end()

    def _end(self) -> None:
        """Have the run over; where it came to no end of its own, say why to who iterates."""
        if not self._over.is_set():
            self._release()
            with suppress(anyio.ClosedResourceError):
                self._sink.fail(self._reason)
            self._over.set()

    def cancel(self) -> None:
        """Cancel the run, if it still goes, from wherever this is called."""
        if not self._over.is_set():
            self._reason = anyio.ClosedResourceError(
                "this iterator was closed, or the loop over it left, before its run was over"
            )
            self._loop.call(self._scope.cancel)

    async def wait_over(self) -> None:
        await self._over.wait()

    async def plainly(self, outcome: Awaitable[T]) -> T:
        """Wait for an event or the result; where our own scope is cancelled too, that comes first."""
        try:
            return await outcome
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            if error is not self._reason:
                raise
        await checkpoint_if_cancelled()
        raise self._reason


class RunIterator(Owned, AsyncIterator[T], Generic[T]):
    """Iterates over a run that is a task of a given task group. Made by `Agent.stream_text` and `Agent.stream_events`.

    It goes wherever an async iterator goes, such as a streaming response of Starlette. One task at a time may iterate
    it, and not always the same.

    The run ends with its task group; when this iterator is closed, by `aclose` or by leaving `async with`; when an
    `async for` over it is left early, by `break`, an exception or cancellation; and when it is dropped. In each case
    its task group waits until the run has cleaned up. To read a piece and go on later, use `anext`.

    What the run fails with is raised here, and never in the task group.
    """

    __slots__ = ("__weakref__", "_closed", "_pick", "_run")

    def __init__(self, run: _HeldRun, pick: Callable[[Event], T | None]) -> None:
        self._run = run
        self._pick = pick
        self._closed = False

    def __aiter__(self) -> AsyncIterator[T]:
        return _Loop(self, self._run)

    async def __anext__(self) -> T:
        """Wait for the next piece.

        Raises:
            StopAsyncIteration: the run is over, or this iterator was closed.
            ModelError: the model failed; the transcript holds what had arrived.
            anyio.BrokenResourceError: the task group of the run has ended before the run was over.
            anyio.BusyResourceError: another task is waiting here.
            anyio.ClosedResourceError: a loop over this iterator was left before the run was over.
            Exception: what else `Agent.run` raises, once, behind the last piece.

        Cancellation:
            Only before a piece is taken: none is lost. The run goes on, unless this was the wait of an `async for`.
        """
        while not self._closed:
            try:
                event = await self._run.plainly(self._run.stream.__anext__())
            except anyio.ClosedResourceError:
                if self._closed:
                    break
                raise
            if (piece := self._pick(event)) is not None:
                return piece
        raise StopAsyncIteration

    async def result(self) -> RunResult:
        """Wait for the end of the run, leaving aside what nobody has read.

        Returns:
            How it ended, and what it added to the conversation.

        Raises:
            ModelError: the model failed; the transcript holds what had arrived.
            anyio.ClosedResourceError: this iterator was closed before the run was over.
            anyio.BrokenResourceError: the task group of the run has ended before the run was over.
            Exception: what else `Agent.run` raises.

        Cancellation:
            At once; the run goes on.
        """
        return await self._run.plainly(self._run.stream.result())

    async def aclose(self) -> None:
        """End the run, if it still goes, and wait until its tools have cleaned up.

        Cancellation:
            At once. The run ends all the same, and its task group waits for it.
        """
        self._closed = True
        self._run.cancel()
        await self._run.wait_over()

    async def __aenter__(self) -> "RunIterator[T]":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        self._run.cancel()


class _Loop(AsyncIterator[T], Generic[T]):
    """One `async for` over a run, which ends with it.

    The loop alone refers to it, so that it goes as the loop is left. The iterator itself may live on for long: an
    exception refers to the variables of all it has passed through, and often to itself.
    """

    __slots__ = ("_iterator", "_reads", "_run")

    def __init__(self, iterator: RunIterator[T], run: _HeldRun) -> None:
        self._iterator = iterator
        self._run = run
        self._reads = False

    async def __anext__(self) -> T:
        self._reads = True
        try:
            return await self._iterator.__anext__()
        except anyio.BusyResourceError:
            self._reads = False
            raise
        except BaseException:
            self._run.cancel()
            raise

    async def aclose(self) -> None:
        await self._iterator.aclose()

    def __del__(self) -> None:
        if self._reads:
            self._run.cancel()


def hold_run(
    scope: RunScope,
    produce: Produce,
    release: Callable[[], object],
    max_buffer_size: float,
    pick: Callable[[Event], T | None],
) -> RunIterator[T]:
    """Start a run as a task of a scope, and iterate over it.

    Args:
        scope: what the run is tied to.
        produce: carries out the run.
        release: called when the run is over, or could not be started.
        max_buffer_size: how many events the run may be ahead of who reads them.
        pick: makes an event a piece; None where there is nothing in it.

    Returns:
        The iterator.

    Raises:
        UsageError: the scope takes no tasks now, or this is not its event loop.
        ValueError: the size is negative, or no whole number.
    """
    try:
        run = _HeldRun(produce, release, max_buffer_size)
        run.start(scope)
    except RuntimeError as error:
        release()
        raise UsageError(
            f"the run cannot be started in {scope!r}: {error}. Call this inside the block of the task group, in its "
            "event loop"
        ) from error
    except BaseException:
        release()
        raise
    return RunIterator(run, pick)


def require_scope(name: str, scope: RunScope | None) -> RunScope:
    """Refuse what no run can be tied to.

    Raises:
        UsageError: it starts no tasks; the text says what to write.
    """
    if hasattr(scope, "start_soon") or hasattr(scope, "create_task"):
        return cast("RunScope", scope)
    what = "the task group is missing" if scope is None else f"{scope!r} is not a task group"
    raise UsageError(
        f"{what}: write `async with anyio.create_task_group() as tasks:` and in it `agent.{name}(prompt, tasks)`. "
        "The run is tied to that group; in a web application it is one that the lifespan opens. Where the run can have "
        "a block of its own, write `async with agent.run(prompt) as run:`"
    )


def text_of(event: Event) -> str | None:
    """The text that a reply has grown by, if it has."""
    match event:
        case MessageUpdate(TextDelta(text)):
            return text or None
        case _:
            return None


def itself(event: Event) -> Event:
    """The event."""
    return event


def _create_task(
    scope: CreatesTasks, run: Coroutine[Any, Any, None], end: Callable[[], None]
) -> None:
    try:
        task = scope.create_task(run)
    except BaseException:
        run.close()
        raise
    # What asyncio cancels before it has begun never begins.
    task.add_done_callback(lambda _: end())
