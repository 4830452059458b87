"""A bounded stream of events from one producer to any number of consumers, and one result.

Every consumer has an anyio memory object stream pair of its own (`_channel/channel.py`, with the table of a consumer's
states). An event goes to all consumers in one step, once all can take it (`_channel/broadcast.py`), so that every
consumer sees the same events in the same order. Nothing is handed over across an `await`: a `send` that was
cancelled has not delivered, and a receive that was cancelled has taken nothing.

While there is room, sending and receiving take no trip through the scheduler; but each side passes a
checkpoint at least once in `CHECKPOINT_EVERY` events.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, NoReturn, TypeVar, cast

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled
from attrs import frozen

from tether._channel.broadcast import Broadcast
from tether._channel.channel import Channel, WhenFull
from tether._channel.failure import Failure, beside_cancellation, raise_together
from tether._scopes.owned import Owned

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

_TRIPS_OF_A_READER: Final = 3
"""Trips through the scheduler in which a reader has taken an event: woken, past a checkpoint of its own, once more."""


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
    waited: float = 0.0
    """Seconds for which consumers had no room while a sender waited, all together."""


class EventSink(Owned, ObjectSendStream[E], Generic[E]):
    """Where a producer puts its events: an anyio stream. Made by `create_event_stream`.

    As a context manager it ends the stream when left, or fails it with what was raised.
    """

    def __init__(self, broadcast: Broadcast[E, Any]) -> None:
        self._broadcast = broadcast
        self._since_checkpoint = 0

    async def send(self, item: E) -> None:
        """Deliver an event to every consumer, waiting while one of them is full.

        Takes no trip through the scheduler while there is room, but at least one in `CHECKPOINT_EVERY`
        events.

        Raises:
            anyio.ClosedResourceError: after the end.
            anyio.BrokenResourceError: every consumer has closed its stream.

        Cancellation:
            Only before the event is delivered: a cancelled send has delivered nothing.
        """
        if not self._offer(item):
            await self._rest()
            await self._deliver(item)

    def _offer(self, item: E) -> bool:
        """Deliver an event at once, or say that it has to be sent: `send` without its coroutine."""
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            return False
        only = self._broadcast.only
        return self._broadcast.deliver(item) if only is None else only.offer(item)

    async def _rest(self) -> None:
        """Pass the checkpoint that may be due."""
        self._since_checkpoint = 0
        await checkpoint()

    async def _deliver(self, item: E) -> None:
        """Deliver an event, at once if there is room: while this waits, `send_nowait` is refused."""
        if not self._broadcast.deliver(item):
            await self._broadcast.deliver_in_turn(item)

    def send_nowait(self, item: E) -> None:
        """Deliver an event to every consumer at once.

        Raises:
            anyio.WouldBlock: a consumer is full, or other senders wait already. Nothing was delivered.
            anyio.ClosedResourceError: after the end.
            anyio.BrokenResourceError: every consumer has closed its stream.
        """
        if not self._broadcast.deliver(item):
            raise anyio.WouldBlock

    @property
    def unread(self) -> int:
        """How many events consumers have not taken yet, all together."""
        return self._broadcast.unread

    @property
    def waited(self) -> float:
        """Seconds for which consumers had no room while a sender waited."""
        return self._broadcast.waited

    async def caught_up(self) -> None:
        """Let consumers take what was sent, for as long as they do so without waiting for anything else.

        Who has stopped reading, or waits in the middle of an event, is not waited for.

        Cancellation:
            At once.
        """
        left = math.inf
        while 0 < (now := self._broadcast.unread) < left:
            left = now
            for _ in range(_TRIPS_OF_A_READER):
                await checkpoint()

    def end(self, result: Any = None) -> None:
        """Close the stream behind the events sent so far, and give its result.

        Senders still waiting for room get `anyio.ClosedResourceError`.

        Raises:
            anyio.ClosedResourceError: it has ended already.
        """
        self._broadcast.check_not_ended()
        self._broadcast.finish(result)

    def fail(self, exception: BaseException) -> None:
        """Close the stream behind the events sent so far, with an exception in place of a result.

        Raises:
            anyio.ClosedResourceError: it has ended already.
        """
        self._broadcast.check_not_ended()
        self._broadcast.fail(exception)

    async def aclose(self) -> None:
        """End the stream without a result, unless it has ended; it never waits.

        The sink of a producer of `open_event_stream` ends the events alone: the result is what the producer returns.
        """
        self._broadcast.finish(None)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_val is not None and not self._broadcast.ended:
            self._fail_with(exc_val)
        await self.aclose()

    def _fail_with(self, raised: BaseException) -> None:
        if not isinstance(raised, Exception):
            # A cancellation, or the end of the program, is that of the task here, and not of the consumers.
            raised = anyio.BrokenResourceError("this stream was left before its producer was done")
        self._broadcast.fail(raised)


class _ProducerSink(EventSink[E]):
    """The sink of a producer whose end is known to who runs it."""

    async def aclose(self) -> None:
        self._broadcast.end()

    def _fail_with(self, raised: BaseException) -> None:
        if isinstance(raised, Exception):
            self._broadcast.fail(raised)


class EventStream(Owned, ObjectReceiveStream[E], Generic[E, R]):
    """Where a consumer follows the events: an anyio stream, with a result. Made by `create_event_stream`.

    One task at a time may iterate it; `branch` makes a stream for a further consumer. As a context manager it
    closes itself when left.
    """

    _INSTEAD: ClassVar[str] = "; branch makes a stream for a further consumer"

    def __init__(self, broadcast: Broadcast[E, R], channel: Channel[E]) -> None:
        self._broadcast = broadcast
        self._channel = channel
        self._since_checkpoint = 0
        self._raised = False
        broadcast.join(channel)

    def __aiter__(self) -> AsyncIterator[E]:  # type: ignore[override]  # not itself: see below
        # One loop's way through the stream, by which it is known who reads.
        return self._channel.iterate(self.__anext__)

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
        channel = self._channel
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_EVERY or channel.receiving:
            self._since_checkpoint = 0
            await channel.alone(checkpoint)
        while True:
            try:
                event = channel.receive_nowait()
            except anyio.WouldBlock:
                pass  # and out of the handler: what is raised while we wait has no further context
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                break
            else:
                if self._broadcast.room is not None:
                    self._broadcast.room_made()
                return event
            self._since_checkpoint = 0
            self._broadcast.make_room(channel)
            await channel.alone(channel.arrival)
        await checkpoint_if_cancelled()
        return self._end()

    async def receive(self) -> E:
        """Take the next event, as code that knows anyio's streams asks for it; see `__anext__`.

        Raises:
            anyio.EndOfStream: the stream has ended.
            RuntimeError: the producer failed with an `EndOfStream` of its own.
            Exception: as in `__anext__`.

        Cancellation:
            Only before an event is taken: none is lost.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            pass
        except anyio.EndOfStream as error:
            raise RuntimeError("the producer failed with an EndOfStream") from error
        raise anyio.EndOfStream

    async def result(self) -> R:
        """Wait for the end of the stream, and return its result.

        What nobody has read is discarded, so that waiting for the result alone cannot
        block the producer; but where another task is in the middle of an `async for` over this stream,
        its events are left to it. Who reads on goes on with the next event. Any number of tasks may wait, any
        number of times.

        Raises:
            Exception: what the producer failed with.

        Cancellation:
            At once; the stream goes on, and may be read and asked again.
        """
        broadcast = self._broadcast
        if not broadcast.ended and not self._channel.read_elsewhere():
            self._channel.discard()
            broadcast.changed()
        await broadcast.finished.wait()
        # A producer that was cancelled was so with us, as a rule, and ours comes first.
        await checkpoint_if_cancelled()
        if broadcast.failure is not None:
            self._raised = True
            broadcast.failure.reraise()
        return cast("R", broadcast.result)

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

        Raises:
            ValueError: the size is negative or no whole number, or there is no such rule.
        """
        return EventStream(self._broadcast, Channel(max_buffer_size, when_full, droppable))

    def statistics(self) -> StreamStatistics:
        """Say how full the buffer is and who waits."""
        return StreamStatistics(
            current_buffer_used=self._channel.buffer_used,
            max_buffer_size=self._channel.max_buffer_size,
            dropped=self._channel.dropped,
            tasks_waiting_send=self._broadcast.in_line,
            tasks_waiting_receive=int(self._channel.receiving),
            waited=self._broadcast.waited,
        )

    def close(self) -> None:
        """Stop following: what is buffered is dropped, and senders no longer wait for us."""
        self._channel.close()
        self._broadcast.changed()

    async def aclose(self) -> None:
        """Do the same as `close`, for `async with`; it never waits."""
        self.close()

    def _end(self) -> NoReturn:
        error = self._channel.cut_off()
        if error is not None:
            self.close()
            raise error
        failure = self._broadcast.failure
        if failure is None or self._raised:
            raise StopAsyncIteration
        self._raised = True
        if isinstance(failure.exception, StopAsyncIteration):
            failure.heard = True
            raise RuntimeError("the producer failed with this") from failure.exception
        failure.reraise()


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
    broadcast: Broadcast[Any, Any] = Broadcast()
    return EventSink(broadcast), EventStream(broadcast, Channel(max_buffer_size))


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
        BaseException: what the block raised; or what the producer failed with, if nobody has seen it: either as
            that very object, also where it is a group of the caller's own; or a group of the two.

    Cancellation:
        Cancels the producer, waits until it has cleaned up, and passes on, whatever the producer fails with.
    """
    broadcast: Broadcast[E, R] = Broadcast()
    stream = EventStream(broadcast, Channel[E](max_buffer_size))
    raised: list[Failure] = []
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_produce, producer, broadcast, tasks.cancel_scope)
            try:
                yield stream
            except anyio.get_cancelled_exc_class():
                raise  # whose it is, the scopes know
            except BaseException as error:  # noqa: BLE001 - raised below, past what the task group makes of it
                raised.append(Failure(error))
            tasks.cancel_scope.cancel()
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - what the block had raised goes first
        if not raised and not any(failure.ends_program for failure in broadcast.failures):
            # What the producer failed with meanwhile must not stand for the cancellation.
            raise
    except BaseExceptionGroup:
        pass  # the group is our task group's; what is in it is among the failures
    if unheard := [*raised, *(failure for failure in broadcast.failures if not failure.heard)]:
        raise_together(unheard)


async def _produce(
    producer: Callable[[EventSink[E]], Awaitable[R]],
    broadcast: Broadcast[E, R],
    scope: anyio.CancelScope,
) -> None:
    try:
        result = await producer(_ProducerSink(broadcast))
    except BaseException as error:  # noqa: ASYNC103 - only the end of the program is not raised again here
        failure = beside_cancellation(error)
        if isinstance(failure, Exception):
            broadcast.fail(failure)
            return  # noqa: ASYNC104 - handed to the consumers; a cancellation alone is raised
        left = "the block of this stream was left before its producer was done, or its producer was cancelled"
        broadcast.fail(anyio.ClosedResourceError(left), heard=True)
        if failure is None:
            raise
        # The end of the program, which is not a matter of the consumers. It is raised where the stream is left: asyncio
        # stops its event loop at once where a task raises it, and nothing could be cleaned up.
        broadcast.failures.append(Failure(failure))
        scope.cancel()
        return  # noqa: ASYNC104 - see above
    broadcast.finish(result)
