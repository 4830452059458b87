"""What the test kit asks of trio: a clock that goes by another time, an instrument that counts steps."""

import math
from collections.abc import Callable, Collection, Coroutine, Iterator
from importlib import import_module
from typing import Any, NoReturn

import anyio
import trio

from tether.testing._stacks import TaskStack, frames_of
from tether.testing._steps import Overdue, Steps
from tether.testing._stuck import DeadlockError, Outside
from tether.testing._time import Time

__all__ = ("ClockedTrio", "TrioStage")


class ClockedTrio(trio.abc.Clock, trio.abc.Instrument):
    """A trio clock that goes by a `Time` of one's choice. It must be among the instruments as well.

    Args:
        clock: what to go by.
        raises: have the main task raise `DeadlockError` where every task waits and nothing can wake one; else the
            program waits without end.
    """

    def __init__(self, clock: Time, *, raises: bool = False) -> None:
        self._clock = clock
        self._raises = raises
        self._outside: Outside | None = None
        self._looked = False
        # True when trio has looked whether something has happened, and no task has run since.

    def start_clock(self) -> None:
        """Note what there is before the program begins."""
        self._outside = Outside() if self._raises else None

    def current_time(self) -> float:
        """The clock's time."""
        return self._clock.now()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Seconds to wait for real until a deadline."""
        if not self._looked:
            self._looked = True
            return 0
        self._looked = False
        seconds = self._clock.wait(deadline - self._clock.now(), _waiting_in)
        if self._outside is not None and math.isinf(seconds):
            stacks = [stack_of(task) for task in _tasks()]
            if not self._outside.may_wake(stacks):
                _fail_with(DeadlockError(stacks))
                return 0
        return seconds

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note that a task runs."""
        self._looked = False


def _fail_with(error: Exception) -> None:
    """Raise an exception where the main task waits, as trio does with Ctrl-C; where that cannot be, right here."""
    kept: Any = import_module("trio._core._run")
    main: Any = kept.GLOBAL_RUN_CONTEXT.runner.main_task
    if main is None or main._abort_func is None:  # noqa: SLF001
        raise error

    def raise_it() -> NoReturn:
        raise error

    main._attempt_abort(raise_it)  # noqa: SLF001


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
        return stack_of(task, program, marked=marked)


def stack_of(task: Any, program: object = None, *, marked: bool = False) -> TaskStack:
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
