"""What the test kit asks of trio: a clock that goes by another time, an instrument that counts steps."""

from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any

import anyio
import trio

from tether.testing._stacks import TaskStack, frames_of
from tether.testing._steps import Overdue, Steps
from tether.testing._time import Time

__all__ = ("ClockedTrio", "TrioStage")


class ClockedTrio(trio.abc.Clock, trio.abc.Instrument):
    """A trio clock that goes by a `Time` of one's choice. It must be among the instruments as well.

    Args:
        clock: what to go by.
    """

    def __init__(self, clock: Time) -> None:
        self._clock = clock
        self._looked = False
        # True when trio has looked whether something has happened, and no task has run since.

    def start_clock(self) -> None:
        """Nothing to prepare."""

    def current_time(self) -> float:
        """The clock's time."""
        return self._clock.now()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Seconds to wait for real until a deadline."""
        if not self._looked:
            self._looked = True
            return 0
        self._looked = False
        return self._clock.wait(deadline - self._clock.now(), _waiting_in)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note that a task runs."""
        self._looked = False


def _waiting_in() -> Collection[str]:
    return {code.co_name for task in _tasks() for code, _ in frames_of(task.coro)}


class _SteppingInstrument(trio.abc.Instrument):
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self._steps.scheduled()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps.before(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._steps.after(task)


class TrioStage:
    """Where programs are run on trio.

    Args:
        clock: the time to go by.
        steps: counts.
    """

    def __init__(self, clock: Time, steps: Steps) -> None:
        clocked = ClockedTrio(clock)
        self._options = {"clock": clocked, "instruments": [clocked, _SteppingInstrument(steps)]}

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run to the end.

        Raises:
            Overdue: it did not come to its end in time.
        """
        try:
            anyio.run(main, backend="trio", backend_options=self._options)
        except trio.TrioInternalError as error:
            if isinstance(error.__cause__, Overdue):
                raise error.__cause__ from None
            raise

    def report_to(self, report: Callable[[str, object], None]) -> None:
        """Nothing to do: trio raises what asyncio would log."""

    def tasks(self) -> Collection[Any]:
        """The tasks there are, trio's own included."""
        return set(_tasks())

    def current(self) -> Any:
        """The task that asks."""
        return trio.lowlevel.current_task()

    def stack(self, task: Any, program: object = None, *, marked: bool = False) -> TaskStack:
        """Say where a task stands, or the program that runs in it."""
        return TaskStack(task.name, tuple(frames_of(program or task.coro)), marked)


def _tasks() -> Iterator[trio.lowlevel.Task]:
    """Walk all tasks of the running program, but the root."""
    root = trio.lowlevel.current_root_task()
    parents = [] if root is None else [root]
    while parents:
        nurseries = parents.pop().child_nurseries
        children = [child for nursery in nurseries for child in nursery.child_tasks]
        yield from children
        parents += children
