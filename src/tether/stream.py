"""One bounded channel from a producer of events to whoever follows them, and one result.

A sink and its streams share a `_Joint`. Each stream has a buffer of its own; an event goes into all of them
in one step, once all have room, so that every consumer sees the same events in the same order. Senders
that must wait stand in line. Nothing is handed over across an `await`: a `send` that was
cancelled has not delivered, and a receive that was cancelled has taken nothing.

The end of the stream is state, not an event, so a full buffer cannot keep it out.

While there is room, sending and receiving take no trip through the scheduler; but each side passes a
checkpoint at least once in `CHECKPOINT_EVERY` events.
"""
# The joint and its streams are halves of one thing, and reach into each other.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

import math
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, Literal, NoReturn, TypeAlias, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled
from attrs import frozen

from tether._exceptions import raise_as_it_is
from tether._scopes import open_task_group, plain
from tether.errors import ConsumerTooSlowError

__all__ = (
    "CHECKPOINT_EVERY",
    "EventSink",
    "EventStream",
    "StreamStatistics",
    "WhenFull",
    "create_event_stream",
    "open_event_stream",
)

E = TypeVar("E")
R = TypeVar("R")

CHECKPOINT_EVERY: Final = 32
"""Neither a sender nor a receiver goes further than this many events without a checkpoint."""

WhenFull: TypeAlias = Literal["wait", "drop_oldest", "fail"]
"""What a full buffer does: holds the sender up; makes room, counting what it drops; gives up."""


@frozen
class StreamStatistics:
    """A moment in the life of a stream."""

    current_buffer_used: int
    """Events sent and not yet received."""
    max_buffer_size: float
    dropped: int
    """Events that `drop_oldest` has thrown away."""
    tasks_waiting_send: int
    """Senders in line; they wait for all consumers of the sink together."""
    tasks_waiting_receive: int


class _Joint(Generic[E, R]):
    """What a sink and its streams share."""

    __slots__ = (
        "consumers",
        "ended",
        "exception",
        "finished",
        "left",
        "line",
        "open",
        "result",
        "seen",
        "solo",
    )

    def __init__(self) -> None:
        # Who takes events now: not those that were closed, discard what comes, or have failed.
        self.consumers: tuple[EventStream[E, R], ...] = ()
        # The one consumer, where there is just one: the short way for the common case.
        self.solo: EventStream[E, R] | None = None
        self.open = 0
        # Senders waiting for room, first come, first served. Only the first is ever woken.
        self.line: list[anyio.Event] = []
        self.finished = anyio.Event()
        self.ended = False
        self.result: R | None = None
        self.exception: BaseException | None = None
        self.seen = False
        # Whether the producer did not end by itself: it was cancelled, as a rule with us, and ours comes first.
        self.left = False

    def serve(self, consumers: tuple["EventStream[E, R]", ...]) -> None:
        """Change who takes events."""
        self.consumers = consumers
        self.solo = consumers[0] if len(consumers) == 1 and not self.ended else None

    def check_open(self) -> None:
        if self.ended:
            raise anyio.ClosedResourceError("this sink has ended: nothing can follow its end")
        if not self.open:
            raise anyio.BrokenResourceError("every consumer of this sink has closed its stream")

    def offer(self, event: E) -> bool:
        """Give the event to all consumers, if all have room and nobody is in line; else to none."""
        return not self.line and self._offer(event)

    def _offer(self, event: E) -> bool:
        for consumer in self.consumers:
            if len(consumer._buffer) >= consumer._max_buffer_size and not consumer._takes_when_full(
                event
            ):
                return False
        for consumer in self.consumers:
            consumer._take(event)
        return True

    async def send(self, event: E) -> None:
        """Pass a checkpoint, then give the event to all consumers once all have room."""
        await checkpoint()
        self.check_open()
        if self.offer(event):
            return
        turn = anyio.Event()
        self.line.append(turn)
        try:
            while True:
                await turn.wait()
                self.check_open()
                if self._offer(event):
                    return
                self.line[0] = turn = anyio.Event()
        finally:
            self.line.remove(turn)
            self.next_in_line()

    def next_in_line(self) -> None:
        if self.line:
            self.line[0].set()

    def end(self, result: R | None, exception: BaseException | None) -> None:
        self.ended = True
        self.solo = None
        self.result = result
        self.exception = exception
        self.finished.set()
        for turn in self.line:
            turn.set()
        for consumer in self.consumers:
            consumer._wake()


class EventSink(Generic[E]):
    """Where a producer puts its events. Made by `create_event_stream`."""

    __slots__ = ("_joint", "_since_checkpoint")

    def __init__(self, joint: _Joint[E, Any]) -> None:
        self._joint = joint
        self._since_checkpoint = 0

    async def send(self, event: E) -> None:
        """Deliver an event to every consumer, waiting while one of them is full.

        Takes no trip through the scheduler while there is room, but at least one in `CHECKPOINT_EVERY`
        events.

        Raises:
            anyio.ClosedResourceError: after `end` or `fail`.
            anyio.BrokenResourceError: every consumer has closed its stream.

        Cancellation:
            Only before the event is delivered: a cancelled send has delivered nothing.
        """
        joint = self._joint
        solo = joint.solo
        if (
            solo is not None
            and self._since_checkpoint < CHECKPOINT_EVERY - 1
            and len(solo._buffer) < solo._max_buffer_size
            and not joint.line
        ):
            # As most are sent. It stands here once more, since a call would cost a tenth of the whole.
            self._since_checkpoint += 1
            solo._buffer.append(event)
            if solo._arrival is not None:
                solo._wake()
        elif not self.offer(event):
            self._since_checkpoint = 0
            joint.check_open()
            await joint.send(event)

    def offer(self, event: E) -> bool:
        """Deliver an event, unless that takes waiting or a checkpoint is due: `send` without its coroutine.

        Returns:
            Whether it was delivered. Where it was not, `send` it.

        Raises:
            anyio.ClosedResourceError: after `end` or `fail`.
            anyio.BrokenResourceError: every consumer has closed its stream.
        """
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            return False
        joint = self._joint
        solo = joint.solo
        if solo is not None and not joint.line and len(solo._buffer) < solo._max_buffer_size:
            solo._buffer.append(event)
            if solo._arrival is not None:
                solo._wake()
            return True
        joint.check_open()
        return joint.offer(event)

    def send_nowait(self, event: E) -> None:
        """Deliver an event to every consumer at once.

        Raises:
            anyio.WouldBlock: a consumer is full, or other senders wait already. Nothing was delivered.
            anyio.ClosedResourceError: after `end` or `fail`.
            anyio.BrokenResourceError: every consumer has closed its stream.
        """
        self._joint.check_open()
        if not self._joint.offer(event):
            raise anyio.WouldBlock

    def end(self, result: Any = None) -> None:
        """Close the stream behind the events sent so far, and give its result.

        Senders still waiting for room get `anyio.ClosedResourceError`.

        Raises:
            anyio.ClosedResourceError: it has ended already.
        """
        self._finish(result, None)

    def fail(self, exception: BaseException) -> None:
        """Close the stream behind the events sent so far, with an exception in place of a result.

        Raises:
            anyio.ClosedResourceError: it has ended already.
        """
        self._finish(None, exception)

    def _finish(self, result: Any, exception: BaseException | None) -> None:
        if self._joint.ended:
            raise anyio.ClosedResourceError("this sink has ended already")
        self._joint.end(result, exception)


class EventStream(Generic[E, R]):
    """Where a consumer follows the events, and finds the result. Made by `create_event_stream`.

    One task at a time may iterate it; `branch` makes a stream for a further consumer.
    """

    __slots__ = (
        "_arrival",
        "_buffer",
        "_closed",
        "_droppable",
        "_dropped",
        "_failed",
        "_iteration",
        "_joint",
        "_max_buffer_size",
        "_raised",
        "_receiving",
        "_since_checkpoint",
        "_when_full",
    )

    def __init__(
        self,
        joint: _Joint[E, R],
        max_buffer_size: float,
        when_full: WhenFull = "wait",
        droppable: Callable[[E], bool] | None = None,
    ) -> None:
        self._joint = joint
        self._max_buffer_size = max_buffer_size
        self._when_full = when_full
        self._droppable = droppable
        self._buffer: deque[E] = deque()
        self._arrival: anyio.Event | None = None
        self._receiving = False
        self._iteration: weakref.ref[_Iteration[E]] | None = None
        self._since_checkpoint = 0
        self._dropped = 0
        self._failed = False  # full under "fail": what was buffered stays, then an error
        self._closed = False
        self._raised = False
        joint.serve((*joint.consumers, self))
        joint.open += 1

    def __aiter__(self) -> AsyncIterator[E]:
        task = anyio.get_current_task().id
        iteration = self._current_iteration()
        if iteration is not None and iteration.task != task:
            raise anyio.BusyResourceError("iterating (use branch() for a second consumer)")
        iteration = _Iteration(self, task)
        self._iteration = weakref.ref(iteration)
        return iteration

    async def __anext__(self) -> E:
        """Take the next event.

        Takes no trip through the scheduler while events are there, but at least one in
        `CHECKPOINT_EVERY` events.

        Raises:
            StopAsyncIteration: the stream has ended.
            anyio.BusyResourceError: another task is waiting here.
            anyio.ClosedResourceError: this stream was closed on our side.
            ConsumerTooSlowError: this branch fails when full, and was full.
            Exception: what the producer failed with, once, behind the last event.

        Cancellation:
            Only before an event is taken: none is lost.
        """
        self._since_checkpoint += 1
        if not self._buffer or self._since_checkpoint >= CHECKPOINT_EVERY or self._receiving:
            await self._wait_for_event()
        if not self._buffer:
            self._stop()
        event = self._buffer.popleft()
        if self._joint.line:
            self._joint.next_in_line()
        return event

    async def result(self) -> R:
        """Wait for the end of the stream, and return its result.

        What nobody has read is discarded, so that waiting for the result alone cannot
        block the producer; but where another task is in the middle of an `async for` over this stream,
        its events are left to it. Any number of tasks may wait, any number of times.

        Raises:
            Exception: what the producer failed with.

        Cancellation:
            At once; the stream goes on, and may be asked again.
        """
        joint = self._joint
        if not joint.ended and not self._read_elsewhere():
            self._discard()
        if joint.ended:
            await checkpoint()
        else:
            await joint.finished.wait()
        if joint.left:
            await checkpoint_if_cancelled()
        if joint.exception is not None:
            joint.seen = self._raised = True
            raise joint.exception
        return cast("R", joint.result)

    def branch(
        self,
        max_buffer_size: float = 64,
        *,
        when_full: WhenFull = "wait",
        droppable: Callable[[E], bool] | None = None,
    ) -> "EventStream[E, R]":
        """Make a stream for a further consumer, from the next event on.

        Args:
            max_buffer_size: how many events it holds; `math.inf` for any number.
            when_full: `wait` holds the sender up, and so every consumer; `drop_oldest` makes room
                and counts what it dropped in `statistics()`; `fail` lets the others go on and raises
                `ConsumerTooSlowError` in this consumer, behind the events it has buffered.
            droppable: which events `drop_oldest` may drop; without it, any. Where none may be dropped
                the sender waits.

        Returns:
            The new stream. Close it when you stop reading.
        """
        _check_size(max_buffer_size)
        return EventStream(self._joint, max_buffer_size, when_full, droppable)

    def statistics(self) -> StreamStatistics:
        """Say how full the buffer is and who waits."""
        return StreamStatistics(
            current_buffer_used=len(self._buffer),
            max_buffer_size=self._max_buffer_size,
            dropped=self._dropped,
            tasks_waiting_send=len(self._joint.line),
            tasks_waiting_receive=int(self._receiving),
        )

    def close(self) -> None:
        """Stop following: what is buffered is dropped, and senders no longer wait for us."""
        if not self._closed:
            self._closed = True
            self._joint.open -= 1
            self._discard()
            self._wake()

    async def aclose(self) -> None:
        """Do the same as `close`, for `contextlib.aclosing`; it never waits."""
        self.close()

    # What the sink calls. None of it waits.

    def _takes_when_full(self, event: E) -> bool:
        match self._when_full:
            case "wait":
                # A consumer that waits has room for one, whatever the size of its buffer.
                return self._arrival is not None and not self._buffer
            case "drop_oldest":
                return self._victim(event) is not None
            case "fail":
                return True
        raise AssertionError(f"no such rule: {self._when_full!r}")

    def _take(self, event: E) -> None:
        if len(self._buffer) >= self._max_buffer_size and self._arrival is None:
            self._make_room(event)
        else:
            self._buffer.append(event)
            self._wake()

    def _make_room(self, event: E) -> None:
        if self._when_full == "fail":
            self._failed = True
            self._step_aside()
            return
        self._dropped += 1
        self._buffer.append(event)
        del self._buffer[self._victim(event) or 0]

    def _victim(self, event: E) -> int | None:
        """The place of the oldest event that may be dropped, the new one standing behind the last."""
        if self._droppable is None:
            return 0
        for place, candidate in enumerate((*self._buffer, event)):
            if self._droppable(candidate):
                return place
        return None

    def _wake(self) -> None:
        if self._arrival is not None:
            self._arrival.set()
            self._arrival = None

    # What the consumer's side is made of.

    async def _wait_for_event(self) -> None:
        if self._receiving:
            raise anyio.BusyResourceError("iterating (use branch() for a second consumer)")
        self._since_checkpoint = 0
        self._receiving = True
        try:
            if self._buffer:
                await checkpoint()
            while not (self._buffer or self._joint.ended or self._closed or self._failed):
                self._arrival = arrival = anyio.Event()
                self._joint.next_in_line()
                await arrival.wait()
            if self._joint.left:
                await checkpoint_if_cancelled()
        finally:
            self._receiving = False
            self._arrival = None

    def _stop(self) -> NoReturn:
        if self._closed:
            raise anyio.ClosedResourceError("this stream was closed")
        if self._failed:
            self.close()
            raise ConsumerTooSlowError(
                f"this branch fails when full, and its consumer was more than "
                f"{self._max_buffer_size} events behind"
            )
        if self._joint.exception is not None and not self._raised:
            self._joint.seen = self._raised = True
            raise self._joint.exception
        raise StopAsyncIteration

    def _current_iteration(self) -> "_Iteration[E] | None":
        return None if self._iteration is None else self._iteration()

    def _read_elsewhere(self) -> bool:
        iteration = self._current_iteration()
        if iteration is not None:
            return iteration.task != anyio.get_current_task().id
        return self._receiving

    def _discard(self) -> None:
        self._buffer.clear()
        self._step_aside()

    def _step_aside(self) -> None:
        joint = self._joint
        joint.serve(tuple(c for c in joint.consumers if c is not self))
        joint.next_in_line()


class _Iteration(Generic[E]):
    """One `async for` over a stream, alive as long as its loop: so a stream knows who reads it."""

    __slots__ = ("__weakref__", "_stream", "task")

    def __init__(self, stream: EventStream[E, Any], task: int) -> None:
        self._stream = stream
        self.task = task

    def __aiter__(self) -> AsyncIterator[E]:
        return self

    async def __anext__(self) -> E:
        stream = self._stream
        since = stream._since_checkpoint + 1
        if since < CHECKPOINT_EVERY and stream._buffer and not stream._receiving:
            # As most are taken: without a further coroutine.
            stream._since_checkpoint = since
            if stream._joint.line:
                stream._joint.next_in_line()
            return stream._buffer.popleft()
        return await stream.__anext__()


def create_event_stream(
    max_buffer_size: float = 64,
) -> tuple[EventSink[Any], EventStream[Any, Any]]:
    """Make a sink and the stream it fills, with no task between them.

    Args:
        max_buffer_size: how many events may be sent and not yet received; 0 makes every send wait for
            a receiver, `math.inf` makes none wait.

    Returns:
        The two ends. They may be made outside an event loop, and used under one.

    Raises:
        ValueError: the size is negative, or no whole number.
    """
    _check_size(max_buffer_size)
    joint: _Joint[Any, Any] = _Joint()
    stream = EventStream(joint, max_buffer_size)
    return EventSink(joint), stream


@asynccontextmanager
async def open_event_stream(
    producer: Callable[[EventSink[E]], Awaitable[R]], *, max_buffer_size: float = 64
) -> AsyncIterator[EventStream[E, R]]:
    """Run a producer as a child task, and follow it.

    Args:
        producer: called with a sink; what it returns is the result of the stream.
        max_buffer_size: how far it may run ahead of the consumer.

    Returns:
        A context manager that gives the stream. Leaving its block cancels the producer, if it still
        runs, and waits until it has cleaned up.

    Raises:
        Exception: what the block raised; or what the producer failed with, if nobody has seen it;
            or a group of the two.

    Cancellation:
        Cancels the producer, waits until it has cleaned up, and passes on, whatever the producer fails with.
    """
    _check_size(max_buffer_size)
    joint: _Joint[E, R] = _Joint()
    stream = EventStream(joint, max_buffer_size)
    raised: BaseException | None = None
    try:
        async with open_task_group() as tasks:
            tasks.start_soon(_produce, producer, joint)
            yield stream
            tasks.cancel_scope.cancel()
    except BaseException as error:  # noqa: ASYNC103, BLE001 - raised below, outside the handler
        raised = error
    if isinstance(raised, anyio.get_cancelled_exc_class()):
        # What the producer failed with meanwhile must not stand for the cancellation.
        raise raised
    unseen = None if joint.seen else joint.exception
    if raised is not None and unseen is not None:
        raised = plain(BaseExceptionGroup("a stream's block and producer", [raised, unseen]))
    if raised is not None or unseen is not None:
        raise_as_it_is(raised or unseen)  # type: ignore[arg-type]  # one of them is an exception


async def _produce(producer: Callable[[EventSink[E]], Awaitable[R]], joint: _Joint[E, R]) -> None:
    result: R | None = None
    failure: BaseException | None = anyio.ClosedResourceError(
        "the block of this stream was left before its producer was done"
    )
    joint.left = joint.seen = True  # until it fails by itself, nobody has to hear of it
    try:
        result = await producer(EventSink(joint))
        failure, joint.left = None, False
    except anyio.BrokenResourceError as error:
        # The consumer closed the stream and the producer noticed: that is no failure.
        joint.seen, joint.left = not joint.open, False
        failure = error
    except Exception as error:  # noqa: BLE001 - handed to the consumer
        joint.seen = joint.left = False
        failure = error
    finally:
        if not joint.ended:
            joint.end(result, failure)


def _check_size(max_buffer_size: float) -> None:
    if max_buffer_size != math.inf and not (
        isinstance(max_buffer_size, int) and max_buffer_size >= 0
    ):
        raise ValueError(
            f"max_buffer_size must be a whole number from 0 on, or math.inf, not {max_buffer_size!r}"
        )
