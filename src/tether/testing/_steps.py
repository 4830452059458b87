"""Counting the steps of a program, acting before chosen ones, and not waiting for ever for its end.

A step is one turn of one task: what it does from one place where it may be made to wait to the next.

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
    """Counts the steps that tasks take, and the points between them, while it is told to.

    A point is a moment at which the state of the program differs from that at any other point: right after
    each step, when a task has just gone to wait; and right before a step that something outside of the
    program has brought about (a socket, a thread, the clock), when a task is about to go on.

    Args:
        chosen: the points at which to act, counted from 1, which is inside the first step.
        allow: seconds that the run may take, at first and from each act on.
    """

    def __init__(self, chosen: Collection[int], *, allow: tuple[float, float]) -> None:
        self.steps = 0
        self.points = 0
        self.acted: list[str] = []
        """Where, in words, for each time."""
        self.landing: Sequence[TaskStack] = ()
        """Where the tasks stood at the last act."""
        self.overdue: Sequence[TaskStack] | None = None
        """Where they stood when the time was up."""
        self._chosen = chosen
        self._patience = allow[1]
        self._deadline = time.monotonic() + allow[0]
        self._act: Callable[[], object] | None = None
        self._ignored: Collection[object] = ()
        self._inside = False
        self._brought_about = False
        self._stacks: Callable[[object], Sequence[TaskStack]] = lambda _: ()

    def begin(
        self,
        act: Callable[[], object],
        stacks: Callable[[object], Sequence[TaskStack]],
        ignored: Collection[object],
    ) -> None:
        """Count from here on; this is inside the first step.

        Args:
            act: what to do at the chosen points.
            stacks: tells where all tasks stand, given the one to mark.
            ignored: tasks that are none of the program's.
        """
        self._act = act
        self._stacks = stacks
        self._ignored = ignored
        self._inside = True
        self.steps = 1
        self._point("in step", None)

    def end(self) -> None:
        """Count no further."""
        self._act = None

    def forget(self) -> None:
        """Let go of the program."""
        self._act = None
        self._ignored = ()
        self._stacks = lambda _: ()

    def scheduled(self) -> None:
        """Note that a task has been told to take a step."""
        if not self._inside:
            self._brought_about = True

    def before(self, task: object) -> None:
        """Note that a task is about to take a step."""
        if task in self._ignored:
            return
        self.steps += self._act is not None
        if self._brought_about:
            self._brought_about = False
            self._point("before step", task)
        self._inside = True

    def after(self, task: object) -> None:
        """Note that a task has taken a step."""
        if self._inside and task not in self._ignored:
            self._inside = False
            self._point("after step", task)

    def _point(self, where: str, task: object) -> None:
        if self._act is None:
            return
        self.points += 1
        if self.points in self._chosen:
            self.acted.append(f"{where} {self.steps}")
            self.landing = self._stacks(task)
            self.allow(self._patience)
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
