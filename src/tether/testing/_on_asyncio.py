"""What the test kit asks of asyncio: an event loop that goes by another time and counts its steps."""

import asyncio
import math
import selectors
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

import anyio

from tether.testing._order import stable_order
from tether.testing._stacks import TaskStack, frames_of
from tether.testing._steps import Steps
from tether.testing._stuck import DeadlockError, Outside
from tether.testing._time import Time

__all__ = ("AsyncioStage", "ClockedLoop")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ClockedLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop that goes by a `Time` of one's choice.

    Args:
        clock: what to go by.
        raises: raise `DeadlockError` where every task waits and nothing can wake one; else it waits without end.
    """

    def __init__(self, clock: Time, *, raises: bool = False) -> None:
        self._clock = clock
        self._outside = Outside() if raises else None
        self._in_executor = 0
        super().__init__(_ClockedSelector(self._how_long))

    def time(self) -> float:
        """The clock's time."""
        return self._clock.now()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in a worker thread, and note that it is being waited for."""
        future = super().run_in_executor(executor, func, *args)
        self._in_executor += 1
        future.add_done_callback(self._left_executor)
        return future

    def _left_executor(self, _: object) -> None:
        self._in_executor -= 1

    def _how_long(self, timeout: float | None) -> float | None:
        seconds = self._clock.wait(math.inf if timeout is None else timeout, self._waiting_in)
        if not math.isinf(seconds):
            return seconds
        if self._outside is not None and not self._awaits_outside():
            stacks = [stack_of(task) for task in asyncio.all_tasks(self)]
            if stacks and not self._outside.may_wake(stacks):
                raise DeadlockError(stacks)
        return None

    def _awaits_outside(self) -> bool:
        """Whether a thread, a socket, a process or a signal is waited for."""
        # The event loop has one file of its own there, by which other threads wake it.
        own: Any = self
        files = len(own._selector.get_map())  # noqa: SLF001
        return bool(self._in_executor) or files > 1 or bool(own._signal_handlers)  # noqa: SLF001

    def _waiting_in(self) -> Collection[str]:
        chains = [frames_of(task.get_coro()) for task in asyncio.all_tasks(self)]
        names = {code.co_name for chain in chains for code, _ in chain}
        if self._in_executor:
            names.add("run_in_executor")
        # On asyncio, anyio waits for idleness by sleeping, which a clock may well jump over.
        return names - {"wait_all_tasks_blocked"}


class _ClockedSelector(selectors.DefaultSelector):
    """Looks first whether something has happened, and asks how long to wait only if nothing has."""

    def __init__(self, how_long: Callable[[float | None], float | None]) -> None:
        super().__init__()
        self._how_long = how_long

    def select(self, timeout: float | None = None) -> Any:
        return super().select(0) or super().select(self._how_long(timeout))


class _SteppingLoop(ClockedLoop):
    """Counts the turns that tasks take, and acts between two of them, outside of any task."""

    def __init__(self, clock: Time, steps: Steps, *, eager: bool) -> None:
        super().__init__(clock)
        self._steps = steps
        if eager:
            self.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        task: object = getattr(callback, "__self__", None)
        if _is_task(task):
            self._steps.scheduled()
            return super().call_soon(self._step, task, callback, args, context=context)
        return super().call_soon(callback, *args, context=context)

    def _step(self, task: object, callback: Callable[[*Ts], object], args: tuple[*Ts]) -> None:
        self._steps.before(task)
        callback(*args)
        self._steps.after(task)


def _is_task(owner: object) -> bool:
    return isinstance(owner, asyncio.Task)


class AsyncioStage:
    """Where programs are run on asyncio.

    Args:
        clock: the time to go by.
        steps: counts.
        eager: True to start tasks eagerly.
    """

    def __init__(self, clock: Time, steps: Steps, *, eager: bool) -> None:
        self._make_loop = partial(_SteppingLoop, clock, steps, eager=eager)

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run to the end.

        Raises:
            Overdue: it did not come to its end in time.
        """
        with stable_order():
            anyio.run(main, backend="asyncio", backend_options={"loop_factory": self._make_loop})

    def report_to(self, report: Callable[[str, object], None]) -> None:
        """Have told what would be logged by the loop: what happened, and an exception or None."""
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: report(f"asyncio: {context['message']}", context.get("exception"))
        )

    def tasks(self) -> Collection[Any]:
        """The tasks there are."""
        return asyncio.all_tasks()

    def current(self) -> Any:
        """The task that asks."""
        return asyncio.current_task()

    def stack(self, task: Any, program: object = None, *, marked: bool = False) -> TaskStack:
        """Say where a task stands, or the program that runs in it."""
        return stack_of(task, program, marked=marked)


def stack_of(task: Any, program: object = None, *, marked: bool = False) -> TaskStack:
    """Say where a task stands, or the program that runs in it."""
    return TaskStack(task.get_name(), tuple(frames_of(program or task.get_coro())), marked)
