"""What an event loop asks of time, and two answers.

No I/O; the clock is read.
"""

import math
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

__all__ = ("RealTime", "Time", "VirtualTime")


class Time(Protocol):
    """What an event loop asks of time."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def wait(self, seconds: float, waiting_in: Callable[[], Collection[str]]) -> float:
        """Decide how to wait for the next deadline, when there is nothing else to do.

        Args:
            seconds: how far away it is.
            waiting_in: gives the names of the functions that tasks are waiting in.

        Returns:
            The seconds to wait for real; whatever happens in the meantime ends the wait.
        """
        ...


class RealTime:
    """Time as it is."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def wait(self, seconds: float, waiting_in: Callable[[], Collection[str]]) -> float:
        """Wait as long as it takes."""
        del waiting_in
        return seconds


_IN_THREADS: Final = {
    "run_in_executor",
    "run_sync_in_worker_thread",
    "shutdown_default_executor",
    "to_thread_run_sync",
}
"""Where asyncio, anyio and trio wait for worker threads."""

_FOR_IDLENESS: Final = "wait_all_tasks_blocked"
"""Where trio waits until nobody has anything to do; that comes before any jump."""


class VirtualTime:
    """Time that jumps to the next deadline when there is nothing else to do."""

    def __init__(self) -> None:
        self._now = 0.0
        self._really_waiting_since: float | None = None

    def now(self) -> float:
        """Seconds since the program began."""
        if self._really_waiting_since is not None:
            self._now += time.monotonic() - self._really_waiting_since
            self._really_waiting_since = None
        return self._now

    def wait(self, seconds: float, waiting_in: Callable[[], Collection[str]]) -> float:
        """Jump, unless a thread is at work or someone waits for this very moment."""
        if seconds <= 0 or math.isinf(seconds):
            return seconds
        names = waiting_in()
        if _FOR_IDLENESS in names:
            return seconds
        if not _IN_THREADS.isdisjoint(names):
            self._really_waiting_since = time.monotonic()
            return seconds
        self._now += seconds
        return 0.0
