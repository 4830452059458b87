"""What the simulation asks of trio: a virtual clock, and an order of our own for each batch of tasks.

All private names of trio that the simulation needs stand here; `check_names` fails where they have moved.
"""

import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import anyio
import trio

from tether.testing.explore.schedule import END_OF_TIME, Schedule

__all__ = ("TrioBackend",)

_run: Any = import_module("trio._core._run")


class _Order:
    """Stands where trio has its random numbers: it is asked to shuffle each batch of tasks.

    trio has sorted the batch by the age of its tasks before, and takes them from its end.
    """

    def __init__(self, schedule: Schedule[Any], clock: "_Clock") -> None:
        self._schedule = schedule
        self._clock = clock

    def shuffle(self, batch: list[Any]) -> None:
        if batch:
            self._clock.looked = False
            now, later = self._schedule.arrange(batch, _name_of)
            batch[:] = reversed(now)
            _run.GLOBAL_RUN_CONTEXT.runner.runq.extend(later)

    def random(self) -> float:
        return 1.0

    def uniform(self, low: float, _: float) -> float:
        return low


class _Clock(trio.abc.Clock):
    def __init__(self, stuck: Callable[[], bool]) -> None:
        self.looked = False
        # True when trio has looked whether something has happened, and no task has run since.
        self._now = 0.0
        self._stuck = stuck

    def start_clock(self) -> None:
        """Nothing to prepare."""

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if not self.looked:
            self.looked = True
            return 0
        self.looked = False
        if _run.GLOBAL_RUN_CONTEXT.runner.waiting_for_idle:
            return math.inf
        if deadline > END_OF_TIME and self._stuck():
            return 0
        if math.isinf(deadline):
            raise RuntimeError("nothing is ready, and nothing will be")
        self._now = max(self._now, deadline)
        return 0


def _name_of(task: Any) -> str:
    name: str = task.name
    return name


@contextmanager
def _ordered(order: _Order) -> Iterator[None]:
    """Have trio order its batches so, for the time of a block."""
    before = _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING  # noqa: SLF001 - see the module's docstring
    _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING = order, True  # noqa: SLF001
    try:
        yield
    finally:
        _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING = before  # noqa: SLF001


class TrioBackend:
    """Runs programs on trio."""

    name = "trio"

    def run(
        self,
        main: Callable[[], Coroutine[Any, Any, None]],
        schedule: Schedule[Any],
        stuck: Callable[[], bool],
    ) -> None:
        """Run to the end; see `AsyncioBackend.run`."""
        clock = _Clock(stuck)
        with _ordered(_Order(schedule, clock)):
            anyio.run(main, backend="trio", backend_options={"clock": clock})

    def report_to(self, report: Callable[[str, object], None]) -> None:
        """Nothing to do: trio raises what asyncio would log."""

    async def cancellable(
        self,
        function: Callable[[], Awaitable[None]],
        began: Callable[[Callable[[], object]], object],
    ) -> None:
        """Await a function within a cancel scope: trio has no other cancellation."""
        with trio.CancelScope() as scope:
            began(scope.cancel)
            await function()

    def tasks(self) -> set[Any]:
        """The tasks there are, trio's own included."""
        root = trio.lowlevel.current_root_task()
        found: set[Any] = set()
        parents: list[Any] = [] if root is None else [root]
        while parents:
            nurseries = parents.pop().child_nurseries
            children = [child for nursery in nurseries for child in nursery.child_tasks]
            found.update(children)
            parents += children
        return found

    def current(self) -> Any:
        """The task that asks."""
        return trio.lowlevel.current_task()

    def awaited_by(self, task: Any) -> Any:
        """What a task has begun with."""
        return task.coro

    def name_of(self, task: Any) -> str:
        """What a task is called."""
        return _name_of(task)

    @staticmethod
    def check_names() -> None:
        """Check that the private names are where they were.

        Raises:
            AssertionError: one has moved.
        """
        for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "GLOBAL_RUN_CONTEXT"):
            assert hasattr(_run, name), f"trio._core._run has no {name}"
        assert hasattr(_run._r, "shuffle"), "trio._core._run._r does not shuffle"  # noqa: SLF001
        fields = {field.name for field in _run.Runner.__attrs_attrs__}
        for name in ("runq", "waiting_for_idle"):
            assert name in fields, f"trio's Runner has no {name}"
        assert "_counter" in {field.name for field in _run.Task.__attrs_attrs__}
