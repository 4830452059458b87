"""The time that a piece of work takes, without the time for which it waits for a person."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import anyio
from attrs import define

from tether.tools import HasDeadline

__all__ = ("Stopwatch",)


@define(eq=False, repr=False)
class _Limit(AbstractContextManager[None]):
    """A scope whose deadline stands still while the watch is paused, from when this is entered until it is left."""

    watch: "Stopwatch"
    scope: HasDeadline
    left: float
    """Seconds, as of the last pause or its end."""

    def __enter__(self) -> None:
        self.watch.limit(self)

    def __exit__(self, *_: object) -> None:
        self.watch.limit_no_more(self)


class Stopwatch:
    """Measures one piece of work. While it is paused, its deadlines move on with the time.

    Args:
        pause_outer: pauses the watch of the work that this is a part of.
        now: the time of the event loop.
    """

    __slots__ = (
        "_left_out",
        "_limits",
        "_now",
        "_pause_outer",
        "_paused_at",
        "_pauses",
        "_started_at",
    )

    def __init__(
        self,
        pause_outer: Callable[[], AbstractContextManager[None]] = nullcontext,
        now: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._pause_outer = pause_outer
        self._now = now
        self._started_at: float | None = None
        self._left_out = 0.0
        self._pauses = 0
        self._paused_at = 0.0
        self._limits: list[_Limit] = []

    def start(self) -> None:
        """Begin to measure; called inside the event loop."""
        self._started_at = self._now()

    @property
    def is_started(self) -> bool:
        """Whether it measures."""
        return self._started_at is not None

    @property
    def seconds(self) -> float:
        """The time so far, without the pauses; 0 before the start."""
        if self._started_at is None:
            return 0.0
        until = self._paused_at if self._pauses else self._now()
        return until - self._started_at - self._left_out

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out the time of the block; several blocks at once are one pause."""
        with self._pause_outer():
            if not self._pauses:
                self._stop()
            self._pauses += 1
            try:
                yield
            finally:
                self._pauses -= 1
                if not self._pauses:
                    self._go_on()

    def limiting(self, scope: HasDeadline, seconds: float) -> AbstractContextManager[None]:
        """Keep the deadline of a scope so many seconds ahead, pauses left out, until the block is left."""
        return _Limit(self, scope, seconds)

    def limit(self, limit: _Limit) -> None:
        """Set the deadline of a scope, and from here on move it with the pauses."""
        self._limits.append(limit)
        if not self._pauses:
            limit.scope.deadline = self._now() + limit.left

    def limit_no_more(self, limit: _Limit) -> None:
        """Leave the deadline of a scope alone."""
        self._limits.remove(limit)

    def _stop(self) -> None:
        self._paused_at = now = self._now()
        for limit in self._limits:
            limit.left = limit.scope.deadline - now
            limit.scope.deadline = float("inf")

    def _go_on(self) -> None:
        now = self._now()
        self._left_out += now - self._paused_at
        for limit in self._limits:
            limit.scope.deadline = now + limit.left
