"""One run of a program that is cancelled at given points, and all that is found wrong with it afterwards."""

import asyncio
import gc
import inspect
import traceback
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import anyio
from attrs import define, field, frozen

from tether.testing._on_asyncio import AsyncioStage
from tether.testing._remains import Surroundings, open_reports, watch_async_generators
from tether.testing._stacks import TaskStack, Waiting
from tether.testing._steps import Overdue, Steps, WatchedTime
from tether.testing._time import RealTime, VirtualTime
from tether.testing.clock import Backend

__all__ = ("Experiment", "Kind", "Trial")

Kind: TypeAlias = Literal["scope", "task", "twice"]
"""How to cancel: the scope round the program; natively, the task it runs in; or that task, twice."""

_REASON = "cancelled by tether.testing"
_PATIENCE = 60.0
"""Seconds that a program may run before it is cancelled, and its check after that."""


@frozen(kw_only=True)
class Experiment:
    """What all trials have in common."""

    program: Callable[..., Awaitable[object]]
    setup: Callable[[], Any] | None
    check: Callable[..., object] | None
    backend: Backend
    kind: Kind
    grace: float
    eager: bool
    virtual_time: bool


class _Stage(Protocol):
    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None: ...
    def report_to(self, report: Callable[[str, object], None]) -> None: ...
    def tasks(self) -> Collection[Any]: ...
    def current(self) -> Any: ...
    def stack(self, task: Any, program: object = None, *, marked: bool = False) -> TaskStack: ...


@define
class Trial:
    """One run.

    Args:
        experiment: what is run.
        points: the points at which to cancel; none to let it run.
    """

    experiment: Experiment
    points: tuple[int, ...] = ()
    faults: list[str] = field(factory=list[str], init=False)
    error: BaseException | None = field(default=None, init=False)
    """What the program or the check raised and should not have."""
    raised: BaseException | None = field(default=None, init=False)
    """What the program raised."""
    steps: Steps = field(init=False)
    _stage: _Stage = field(init=False)
    _host: Any = field(default=None, init=False)
    _watched: "_Program | None" = field(default=None, init=False)
    _arguments: tuple[Any, ...] = field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        it = self.experiment
        self.steps = Steps(self.points, allow=(_PATIENCE, it.grace))
        clock = WatchedTime(VirtualTime() if it.virtual_time else RealTime(), self.steps.left)
        if it.backend == "asyncio":
            self._stage = AsyncioStage(clock, self.steps, eager=it.eager)
        else:
            from tether.testing._on_trio import TrioStage  # noqa: PLC0415 - trio is an extra

            self._stage = TrioStage(clock, self.steps)

    @property
    def landing(self) -> Sequence[TaskStack]:
        """Where the tasks stood when the cancellation came."""
        return self.steps.landing

    def run(self) -> None:
        """Run the program; then `faults` names what was found wrong."""
        if self.experiment.setup is not None:
            self._arguments = (self.experiment.setup(),)
        before = Surroundings()
        with open_reports(self._report):
            over = self._perform()
            known = len(self.faults)
            self._let_go()
            if not over:
                # What is said while the rest of it is torn down says nothing about the program.
                del self.faults[known:]
            self.faults += before.left(self.experiment.grace if over else 0.0)
            known = len(self.faults)
            if known:
                gc.collect()
                del self.faults[known:]
        if over and not self._checks_inside:
            self._check()

    def _let_go(self) -> None:
        """Drop the program, and have what it dropped itself collected."""
        self._host = self._watched = None
        self.steps.forget()
        gc.collect()

    def _perform(self) -> bool:
        try:
            self._stage.run(self._main)
        except Overdue:
            shown = "".join(f"\n{stack}" for stack in self.steps.overdue or ())
            self.faults.append(f"it does not come to its end; its tasks stand here:{shown}")
            return False
        except asyncio.CancelledError as error:  # noqa: ASYNC103 - it is reported
            self._blame("a cancellation came out of the scope that was cancelled", error)
        return True

    async def _main(self) -> None:
        self._stage.report_to(self._report)
        before = self._stage.tasks()
        with watch_async_generators(self._report) as check_generators:
            await (self._in_scope() if self.experiment.kind == "scope" else self._in_task())
            left = [task for task in self._stage.tasks() if task not in before]
            self.faults += [f"a task is left:\n{self._stage.stack(task)}" for task in left]
            check_generators()
            self._let_go()
        if left:
            self.steps.allow(self.experiment.grace)
        elif self._checks_inside:
            self.steps.allow(_PATIENCE)
            await self._check_inside()

    async def _in_scope(self) -> None:
        returned = False
        scope = anyio.CancelScope()
        try:
            with scope:
                await self._run_program(lambda: scope.cancel(_REASON))
                returned = True
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._raised(error)
        if returned and self._watched is not None and self._watched.received:
            self.faults.append("the cancellation was swallowed: the program went on and returned")

    async def _in_task(self) -> None:
        task = asyncio.ensure_future(self._in_own_task())
        await asyncio.wait([task])
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._raised(error)
        elif self.steps.acted:
            self.faults.append("the cancellation was swallowed: the program went on and returned")

    async def _in_own_task(self) -> None:
        task = self._stage.current()
        await self._run_program(lambda: task.cancel(_REASON))

    async def _run_program(self, cancel: Callable[[], object]) -> None:
        self._host = self._stage.current()
        self._watched = _Program(_awaitable(self.experiment.program(*self._arguments)))
        others = set(self._stage.tasks()) - {self._host}
        self.steps.begin(cancel, lambda task: self._stacks(others, task), others)
        try:
            await self._watched
        finally:
            self.steps.end()
            # The program has come to its end: what is done to look at what it left is no time of its own.
            self.steps.allow(_PATIENCE)

    def _stacks(self, others: Collection[Any], marked: object) -> Sequence[TaskStack]:
        """Where the program's tasks stand."""
        return [
            self._stage.stack(
                task, self._watched if task is self._host else None, marked=task is marked
            )
            for task in self._stage.tasks()
            if task not in others
        ]

    # What is found wrong.

    @property
    def _checks_inside(self) -> bool:
        return inspect.iscoroutinefunction(self.experiment.check)

    def _check(self) -> None:
        try:
            if self.experiment.check is not None:
                _refuse_awaitable(self.experiment.check(*self._arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._blame("the check fails", error)

    async def _check_inside(self) -> None:
        check: Any = self.experiment.check
        try:
            await check(*self._arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self._blame("the check fails", error)

    def _raised(self, error: BaseException) -> None:
        self.raised = error
        self._blame("the program raised", error)

    def _blame(self, what: str, error: BaseException) -> None:
        self.error = self.error or error
        self.faults.append(f"{what}: {_in_words(error)}")

    def _report(self, what: str, error: object) -> None:
        told = f" ({error!r})" if error is not None else ""
        self.faults.append(f"{what}{told}")


def _awaitable(made: object) -> object:
    if not inspect.isawaitable(made):
        raise TypeError(f"program must be an async function; it returned {made!r}")
    return made


def _refuse_awaitable(result: object) -> None:
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            "the check was not awaited: make it an async function, not one that calls one"
        )


def _in_words(error: BaseException) -> str:
    # Of a group, the text alone does not tell what is in it.
    if hasattr(error, "exceptions"):
        return repr(error)
    return "".join(traceback.format_exception_only(error)).strip()


class _Program(Waiting):
    """The program, and whether it was told of the cancellation."""

    __slots__ = ("received",)

    def __init__(self, awaitable: Any) -> None:
        super().__init__(awaitable)
        self.received = False

    def send(self, value: Any) -> Any:
        # trio sends outcomes, and has its own code inside the coroutine raise what they hold.
        self._note(getattr(value, "error", None))
        return super().send(value)

    def throw(self, kind: Any, value: Any = None, traceback: object = None) -> Any:
        self._note(kind if value is None else value)
        return super().throw(kind, value, traceback)

    def _note(self, error: object) -> None:
        self.received = self.received or (error is not None and _REASON in str(error))
