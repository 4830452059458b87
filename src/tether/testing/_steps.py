"""Counting the steps of a program, acting before chosen ones, and not waiting for ever for its end.

A step is one turn of one task: what it does from one point where the scheduler may take it off to the next.

No I/O; the clock is read.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence

from tether.testing._stacks import TaskStack
from tether.testing._time import Time

__all__ = ("Overdue", "Steps", "WatchedTime")


class Overdue(BaseException):
    """A run has not ended in time. It is raised inside the event loop, and ends that."""


class Steps:
    """Counts steps while it is told to.

    Args:
        points: the steps before which to act, counted from 1.
        allow: seconds that the run may take, at first and from each act on.
    """

    def __init__(self, points: Collection[int], *, allow: tuple[float, float]) -> None:
        self.count = 0
        self.acts = 0
        self.landing: Sequence[TaskStack] = ()
        """Where the tasks stood at the last act."""
        self.overdue: Sequence[TaskStack] | None = None
        """Where they stood when the time was up."""
        self._points = points
        self._patience = allow[1]
        self._deadline = time.monotonic() + allow[0]
        self._act: Callable[[], object] | None = None
        self._stacks: Callable[[object], Sequence[TaskStack]] = lambda _: ()

    @property
    def reached(self) -> bool:
        """True once all points have been."""
        return self.acts == len(self._points)

    def begin(
        self, act: Callable[[], object], stacks: Callable[[object], Sequence[TaskStack]]
    ) -> None:
        """Count from here on; this is inside the first step.

        Args:
            act: what to do before the chosen steps.
            stacks: tells where all tasks stand, given the one whose step is next.
        """
        self._act = act
        self._stacks = stacks
        self.step(None)

    def end(self) -> None:
        """Count no further."""
        self._act = None

    def forget(self) -> None:
        """Let go of the program."""
        self._act = None
        self._stacks = lambda _: ()

    def step(self, task: object) -> None:
        """Note that a task is about to take a step."""
        if self._act is None:
            return
        self.count += 1
        if self.count in self._points:
            self.landing = self._stacks(task)
            self.allow(self._patience)
            self.acts += 1
            self._act()

    def allow(self, seconds: float) -> None:
        """Let the run take so many seconds from now."""
        self._deadline = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that the run may still take.

        Raises:
            Overdue: there are none.
        """
        seconds = self._deadline - time.monotonic()
        if seconds > 0:
            return seconds
        if self.overdue is None:
            self.overdue = self._stacks(None)
        # What is torn down from here on has no time either.
        self._deadline = -math.inf
        raise Overdue


class WatchedTime:
    """Time that ends when a run is overdue, however its tasks are busy or asleep.

    Args:
        inner: time otherwise.
        left: seconds that are left.
    """

    def __init__(self, inner: Time, left: Callable[[], float]) -> None:
        self._inner = inner
        self._left = left

    def now(self) -> float:
        """Seconds since some moment."""
        self._left()
        return self._inner.now()

    def wait(self, seconds: float, waiting_in: Callable[[], Collection[str]]) -> float:
        """Wait no longer than there is time."""
        return min(self._inner.wait(seconds, waiting_in), self._left())
