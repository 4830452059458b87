"""One consumer's end of an event stream: an anyio memory object stream pair, and what it does when it is full.

The pair is used through `send_nowait` and `receive_nowait` only: `await send()` of anyio may be cancelled and
have delivered, and `await receive()` may lose what it was given. Who has to wait does so on an event of
ours, and tries again.

The states of a consumer:

| state      | an event that is sent | what it receives                            | goes over to         |
| ---------- | --------------------- | ------------------------------------------- | -------------------- |
| open       | is taken, or waits    | the next event                              | all the others       |
| discarding | passes by             | the next event: it is open again            | open, ended, closed  |
| too slow   | passes by             | what is there, then `ConsumerTooSlowError`  | closed               |
| ended      | is refused            | what is there, the failure once, then ends  | closed               |
| closed     | passes by             | `ClosedResourceError`                       |                      |

Each state has one method by which it is reached: `reopen`, `discard`, `_fall_behind`, `end`, `close`.
"""

import math
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Generic, Literal, NoReturn, TypeAlias, TypeVar, get_args

import anyio

from tether._scopes.backend import current_backend
from tether.errors import ConsumerTooSlowError

if TYPE_CHECKING:
    from anyio.abc import AsyncBackend
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ("Channel", "State", "WhenFull")

E = TypeVar("E")

WhenFull: TypeAlias = Literal["wait", "drop_oldest", "fail"]
"""What a full buffer does: holds the sender up; makes room, counting what it drops; gives up."""


class State(Enum):
    """Where a consumer stands; see the module's docstring."""

    OPEN = "open"
    DISCARDING = "discarding"
    TOO_SLOW = "too slow"
    ENDED = "ended"
    CLOSED = "closed"


class Channel(Generic[E]):
    """One consumer's end.

    Args:
        max_buffer_size: how many events it holds; with 0 it takes one while its consumer waits.
        when_full: what it does with an event that has no room.
        droppable: which events `drop_oldest` may drop; without it, any.

    Raises:
        ValueError: the size is negative or no whole number, or there is no such rule.
    """

    __slots__ = (
        "__weakref__",
        "_arrival",
        "_backend",
        "_droppable",
        "_iteration",
        "_receive",
        "_send",
        "_send_nowait",
        "_when_full",
        "dropped",
        "max_buffer_size",
        "receive_nowait",
        "receiving",
        "state",
    )

    def __init__(
        self,
        max_buffer_size: float,
        when_full: WhenFull = "wait",
        droppable: Callable[[E], bool] | None = None,
    ) -> None:
        _check(max_buffer_size, when_full)
        self.max_buffer_size: float = max_buffer_size
        self._when_full: WhenFull = when_full
        self._droppable = droppable
        self.state: State = State.OPEN
        self.dropped: int = 0
        self.receiving: bool = False
        # Set once an event or the end is there; None unless the consumer waits.
        self._arrival: anyio.Event | None = None
        # A channel may be made outside an event loop.
        self._backend: type[AsyncBackend] | None = None
        self._iteration: weakref.ref[_Iteration[E]] | None = None
        # Without a buffer, the pair holds what is handed to a consumer that waits.
        self._send, self._receive = anyio.create_memory_object_stream[E](max(max_buffer_size, 1))
        self._send_nowait = self._send.send_nowait
        self.receive_nowait: Callable[[], E] = self._receive.receive_nowait
        # Not `__del__`: the exception of a producer makes a cycle, and the pair's own would come first.
        weakref.finalize(self, _close, self._send, self._receive)

    # What the sink asks of a consumer that is open.

    def offer(self, event: E) -> bool:
        """Take the event if there is room, and say whether it was taken."""
        if self._arrival is None and not self.max_buffer_size:
            return False
        try:
            self._send_nowait(event)
        except anyio.WouldBlock:
            return False
        if self._arrival is not None:
            self._wake()
        return True

    def would_take(self, event: E) -> bool:
        """Say whether `take` may be called: whether there is room, or the rule needs none."""
        match self._when_full:
            case "wait":
                return self._has_room()
            case "drop_oldest":
                return self._has_room() or self._victim(self._buffered(), event) is not None
            case "fail":
                return True
        raise AssertionError(f"no such rule: {self._when_full!r}")

    def take(self, event: E) -> None:
        """Take the event; where there is no room, drop one or fall behind."""
        if self.offer(event):
            return
        if self._when_full == "fail":
            self._fall_behind()
        else:
            self._drop_one(event)

    def _has_room(self) -> bool:
        return self._arrival is not None or self.buffer_used < self.max_buffer_size

    def _drop_one(self, event: E) -> None:
        self.dropped += 1
        if self._droppable is None:
            oldest = self._take_out(1)
            if oldest:
                self._send_nowait(event)
            return
        kept = [*self._buffered(), event]
        del kept[self._victim(kept[:-1], event) or 0]
        self._take_out()
        for one in kept:
            self._send_nowait(one)

    def _victim(self, buffered: list[E], event: E) -> int | None:
        """The place of the oldest event that may be dropped, the new one standing behind the last."""
        if self._droppable is None:
            return 0
        for place, candidate in enumerate((*buffered, event)):
            if self._droppable(candidate):
                return place
        return None

    # The buffer of a pair cannot be looked into: what is in it is taken out, and put back.

    @property
    def buffer_used(self) -> int:
        """How many events are buffered."""
        return self._send.statistics().current_buffer_used

    def _buffered(self) -> list[E]:
        events = self._take_out()
        for event in events:
            self._send_nowait(event)
        return events

    def _take_out(self, count: int | None = None) -> list[E]:
        used = self.buffer_used
        return [self.receive_nowait() for _ in range(used if count is None else min(count, used))]

    # The task that reads: one at a time.

    async def alone(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for something as the one task that receives.

        Raises:
            anyio.BusyResourceError: another task receives.
        """
        if self.receiving:
            self._refuse_second_task()
        self.receiving = True
        try:
            await wait()
        finally:
            self.receiving = False

    async def arrival(self) -> None:
        """Wait until there is something to look at.

        Cancellation:
            Comes first, and nothing was taken.
        """
        backend = self._backend = self._backend or current_backend()
        self._arrival = arrival = backend.create_event()
        try:
            await arrival.wait()
        finally:
            self._arrival = None
        await backend.checkpoint_if_cancelled()

    def iterate(self, advance: Callable[[], Awaitable[E]]) -> AsyncIterator[E]:
        """Begin an `async for`.

        Raises:
            anyio.BusyResourceError: another task is in the middle of one.
        """
        task = anyio.get_current_task().id
        current = self._current_iteration()
        if current is not None and current.task != task:
            self._refuse_second_task()
        iteration = _Iteration(advance, task)
        self._iteration = weakref.ref(iteration)
        return iteration

    def read_elsewhere(self) -> bool:
        """Say whether another task is in the middle of reading."""
        current = self._current_iteration()
        if current is not None:
            return current.task != anyio.get_current_task().id
        return self.receiving

    def _current_iteration(self) -> "_Iteration[E] | None":
        return None if self._iteration is None else self._iteration()

    def _refuse_second_task(self) -> NoReturn:
        raise anyio.BusyResourceError("iterating (use branch() for a second consumer)")

    # The transitions.

    def discard(self) -> None:
        """Drop what is buffered, and let what is sent pass by until `reopen`."""
        self._take_out()
        if self.state is State.OPEN:
            self.state = State.DISCARDING

    def reopen(self) -> None:
        """Take events again, from the next one on."""
        if self.state is State.DISCARDING:
            self.state = State.OPEN

    def _fall_behind(self) -> None:
        self.state = State.TOO_SLOW
        self._send.close()

    def end(self) -> None:
        """Take no more: behind what is buffered is the end."""
        if self.state is State.OPEN or self.state is State.DISCARDING:
            self.state = State.ENDED
            self._send.close()
            self._wake()

    def close(self) -> None:
        """Drop what is buffered, and refuse to be read."""
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._take_out()  # a pair that is closed keeps its buffer
            _close(self._send, self._receive)
            self._wake()

    def cut_off(self) -> Exception | None:
        """Return what a consumer gets that was closed or too slow; None for one that has ended."""
        match self.state:
            case State.CLOSED:
                return anyio.ClosedResourceError("this stream was closed")
            case State.TOO_SLOW:
                return ConsumerTooSlowError(
                    f"this branch fails when full, and its consumer was more than "
                    f"{self.max_buffer_size} events behind"
                )
            case _:
                return None

    def _wake(self) -> None:
        if self._arrival is not None:
            self._arrival.set()
            self._arrival = None


class _Iteration(Generic[E]):
    """One `async for` over a stream, alive as long as its loop: so a channel knows who reads it."""

    __slots__ = ("__weakref__", "_advance", "task")

    def __init__(self, advance: Callable[[], Awaitable[E]], task: int) -> None:
        self._advance = advance
        self.task: int = task

    def __aiter__(self) -> AsyncIterator[E]:
        return self

    def __anext__(self) -> Awaitable[E]:
        return self._advance()


def _close(send: "MemoryObjectSendStream[E]", receive: "MemoryObjectReceiveStream[E]") -> None:
    send.close()
    receive.close()


def _check(max_buffer_size: float, when_full: WhenFull) -> None:
    if max_buffer_size != math.inf and not (
        isinstance(max_buffer_size, int) and max_buffer_size >= 0
    ):
        raise ValueError(
            f"max_buffer_size must be a whole number from 0 on, or math.inf, not {max_buffer_size!r}"
        )
    if when_full not in get_args(WhenFull):
        raise ValueError(
            f"when_full must be one of {', '.join(map(repr, get_args(WhenFull)))}, not {when_full!r}"
        )
