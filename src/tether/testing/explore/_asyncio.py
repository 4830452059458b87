"""What the simulation asks of asyncio: an event loop without sockets, with a virtual clock and an order of our own.

All private names of asyncio that the simulation needs stand here; `check_names` fails where they have moved.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

import anyio

from tether.testing._order import stable_order
from tether.testing.explore.schedule import END_OF_TIME, Schedule

__all__ = ("AsyncioBackend",)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PATIENCE = 1e9


class _Clock:
    """Stands where an event loop has its selector: time passes where it would wait."""

    def __init__(self, stuck: Callable[[], bool]) -> None:
        self.now = 0.0
        self._stuck = stuck

    def select(self, timeout: float | None) -> tuple[()]:
        wait = math.inf if timeout is None else timeout
        if self.now + wait > END_OF_TIME and self._stuck():
            return ()
        if math.isinf(wait):
            raise RuntimeError("nothing is ready, and nothing will be")
        self.now += max(0.0, wait)
        return ()


class _Loop(asyncio.BaseEventLoop):
    _ready: Any

    def __init__(self, schedule: Schedule[Any], stuck: Callable[[], bool]) -> None:
        super().__init__()
        self._schedule = schedule
        self._selector = _Clock(stuck)
        self._numbers: dict[Any, int] = {}
        self.set_task_factory(self._numbered)

    def _numbered(self, loop: Any, coro: Any, **options: Any) -> Any:
        task = asyncio.Task(coro, loop=loop, **options)
        self._numbers[task] = len(self._numbers)
        return task

    def unfinished(self) -> set[Any]:
        """The tasks that have not ended. To ask asyncio takes long, as it knows those of other loops too."""
        return {task for task in self._numbers if not task.done()}

    def time(self) -> float:
        return self._selector.now

    def close(self) -> None:
        super().close()
        self._numbers.clear()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call the function at once: a thread would not answer to the simulation."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        handles = [*self._ready]
        places = {
            task: place
            for place, handle in enumerate(handles)
            if (task := _task_of(handle)) is not None
        }
        if len(places) == 1:
            self._schedule.arrange([*places], _name_of)
        elif places:
            self._arrange(handles, places)
        super()._run_once()  # type: ignore[misc]

    def _arrange(self, handles: list[Any], places: dict[Any, int]) -> None:
        """Put the steps of tasks in their order. Callbacks keep their places; what is held comes after this round."""
        self._ready.clear()
        ready = sorted(places, key=self._numbers.__getitem__)
        now, later = self._schedule.arrange(ready, _name_of)
        free = sorted(places[task] for task in now)
        moved = {place: handles[places[task]] for place, task in zip(free, now, strict=True)}
        held = {places[task] for task in later}
        arranged = [
            moved.get(place, handle) for place, handle in enumerate(handles) if place not in held
        ]
        # What was done to the program meanwhile has made others ready.
        others = [*self._ready]
        self._ready.clear()
        self._ready.extend([*arranged, *others])
        if later:
            self._later([handles[places[task]] for task in later])

    def _later(self, handles: list[Any]) -> None:
        """Put handles behind what is ready now: the callback runs last in this round."""
        self.call_soon(self._ready.extend, handles)

    def _process_events(self, _: Any) -> None:
        """There are none: no socket answers to the simulation."""

    def _write_to_self(self) -> None:
        """Nobody waits where this would wake it."""


def _task_of(handle: Any) -> Any:
    owner = getattr(handle._callback, "__self__", None)  # noqa: SLF001 - see the module's docstring
    return owner if isinstance(owner, asyncio.Task) and not handle._cancelled else None  # noqa: SLF001


def _name_of(task: Any) -> str:
    name: str = task.get_name()
    unnamed = name == "None" or name.startswith("Task-")
    coro = task.get_coro()
    return getattr(coro, "__qualname__", type(coro).__name__) if unnamed else name


class AsyncioBackend:
    """Runs programs on asyncio."""

    name = "asyncio"

    def run(
        self,
        main: Callable[[], Coroutine[Any, Any, None]],
        schedule: Schedule[Any],
        stuck: Callable[[], bool],
    ) -> None:
        """Run to the end.

        Args:
            main: what to run.
            schedule: orders its tasks.
            stuck: called when nothing is ready and nothing will be; whether it has made something ready.
        """
        make = partial(_Loop, schedule, stuck)
        with stable_order():
            anyio.run(main, backend="asyncio", backend_options={"loop_factory": make})

    def report_to(self, report: Callable[[str, object], None]) -> None:
        """Have told what would be logged by the loop."""
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: report(f"asyncio: {context['message']}", context.get("exception"))
        )

    async def cancellable(
        self,
        function: Callable[[], Awaitable[None]],
        began: Callable[[Callable[[], object]], object],
    ) -> None:
        """Await a function in a task of its own, which may be cancelled as asyncio cancels: more than once.

        Args:
            function: what to await.
            began: given what cancels the task.

        Cancellation:
            Cancels the task, waits for it, and passes on.
        """

        async def run() -> None:
            await function()

        task = asyncio.ensure_future(run())
        began(task.cancel)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            # The clock is virtual: a task that does not end is found stuck, and not waited for so long.
            with anyio.move_on_after(_PATIENCE, shield=True):
                await asyncio.wait([task])
            raise
        if not task.cancelled():
            task.result()

    def tasks(self) -> set[Any]:
        """The tasks there are."""
        loop = asyncio.get_running_loop()
        return loop.unfinished() if isinstance(loop, _Loop) else asyncio.all_tasks(loop)

    def current(self) -> Any:
        """The task that asks."""
        return asyncio.current_task()

    def awaited_by(self, task: Any) -> Any:
        """What a task has begun with."""
        return task.get_coro()

    def name_of(self, task: Any) -> str:
        """What a task is called."""
        return _name_of(task)

    @staticmethod
    def check_names() -> None:
        """Check that the private names are where they were.

        Raises:
            AssertionError: one has moved.
        """
        loop = asyncio.new_event_loop()
        try:
            for name in ("_ready", "_run_once", "_process_events", "_write_to_self", "_selector"):
                assert hasattr(loop, name), f"asyncio's event loop has no {name}"
            handle = loop.call_soon(print)
            for name in ("_callback", "_cancelled"):
                assert hasattr(handle, name), f"asyncio's handles have no {name}"
            handle.cancel()
        finally:
            loop.close()
