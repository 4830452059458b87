"""One run of a program under the simulation, and all that is found wrong with it."""

import hashlib
import json
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import anyio
from attrs import define, field, frozen

from tether.serialize import to_builtins
from tether.testing._remains import watch_async_generators
from tether.testing._stacks import TaskStack, frames_of
from tether.testing.explore.choices import Choices, Decide
from tether.testing.explore.recordings import RecordedAgents
from tether.testing.explore.schedule import Schedule
from tether.testing.explore.simulation import Fault, Simulation

__all__ = ("Outcome", "Program", "backend_named", "run_once")

Program: TypeAlias = Callable[[Simulation], Awaitable[object]]


class _Backend(Protocol):
    @property
    def name(self) -> str: ...
    def run(self, main: Any, schedule: Schedule[Any], stuck: Callable[[], bool]) -> None: ...
    def report_to(self, report: Callable[[str, object], None]) -> None: ...
    async def cancellable(self, function: Any, began: Any) -> None: ...
    def tasks(self) -> set[Any]: ...
    def current(self) -> Any: ...
    def awaited_by(self, task: Any) -> Any: ...
    def name_of(self, task: Any) -> str: ...
    def check_names(self) -> None: ...


def backend_named(name: str) -> _Backend:
    """Return a backend."""
    if name == "asyncio":
        from tether.testing.explore._asyncio import AsyncioBackend  # noqa: PLC0415 - one of two

        return AsyncioBackend()
    from tether.testing.explore._trio import TrioBackend  # noqa: PLC0415 - trio is an extra

    return TrioBackend()


@frozen(kw_only=True, eq=False)
class Outcome:
    """What came of a run."""

    deviations: Mapping[str, int]
    """The recording: given as a plan, it gives the same run again."""
    sizes: Mapping[str, int]
    told: Mapping[str, str]
    fault: Fault | None
    """The first thing that was wrong."""
    events: Sequence[Any]
    steps: Sequence[str]
    asked: int
    seconds: float
    """When it ended, by the virtual clock."""

    @property
    def digest(self) -> str:
        """A digest of the choices, the steps, the events and the end: equal for equal runs."""
        seen = [
            [*self.deviations.items()],
            self.asked,
            self.seconds,
            self.steps,
            [_as_data(event) for event in self.events],
            None if self.fault is None else [self.fault.kind, self.fault.text],
        ]
        return hashlib.sha256(json.dumps(seen, default=repr).encode()).hexdigest()


def _as_data(event: Any) -> Any:
    try:
        return to_builtins(event)
    except Exception:  # noqa: BLE001 - details that are no data
        return type(event).__name__


def run_once(
    program: Program,
    backend: _Backend,
    decide: Decide,
    recorded: RecordedAgents | None = None,
) -> Outcome:
    """Run a program.

    Args:
        program: what to run.
        backend: what to run it on.
        decide: answers whatever the program does not decide.
        recorded: records the agents, if it is given.

    Returns:
        What came of it.
    """
    trial = _Trial(program, backend, Simulation(Choices(decide), backend, recorded))
    return trial.run()


@define(eq=False)
class _Trial:
    program: Program
    backend: _Backend
    sim: Simulation
    schedule: Schedule[Any] = field(init=False)
    scope: anyio.CancelScope | None = None
    seconds: float = 0.0
    _before: set[Any] = field(factory=set[Any])
    _host: Any = None

    def run(self) -> Outcome:
        sim = self.sim
        self.schedule = Schedule(sim.choices, sim.act, partial(self._stop, "goes on without end"))
        random.seed(0)
        try:
            self.backend.run(self._main, self.schedule, self._stuck)
        except BaseException as error:  # noqa: ASYNC103 - the event loop is over
            # A program that does not end when it is cancelled tears the event loop down; its fault is known.
            if not sim.faults or isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        if sim.choices.failure is not None:
            raise sim.choices.failure
        return Outcome(
            deviations=sim.choices.deviations,
            sizes=sim.choices.sizes,
            told=sim.choices.told,
            fault=sim.faults[0] if sim.faults else None,
            events=sim.trace,
            steps=self.schedule.log,
            asked=sim.choices.asked,
            seconds=self.seconds,
        )

    async def _main(self) -> None:
        sim = self.sim
        self.backend.report_to(lambda what, error: sim.fault("loop", _said(what, error)))
        self._before = self.backend.tasks()
        self._host = self.backend.current()
        with anyio.CancelScope() as self.scope:
            with watch_async_generators(self._report_left) as check_generators:
                async with anyio.create_task_group() as sim.tasks:
                    await self._program()
                    sim.tasks.cancel_scope.cancel()
                check_generators()
        self.scope = None
        self.seconds = anyio.current_time()
        left = [task for task in self.backend.tasks() if task not in self._before]
        if left:
            sim.fault("left", AssertionError(f"a task is left: {self._shown(left)}"))

    def _report_left(self, what: str, error: object) -> None:
        self.sim.fault("left", _said(what, error))

    async def _program(self) -> None:
        try:
            await self.program(self.sim)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
            self.sim.faults.append(Fault(f"raised {type(error).__name__}", _in_words(error), error))

    def _stuck(self) -> bool:
        return self._stop("does not come to its end: nothing is ready, and nothing will be")

    def _stop(self, why: str) -> bool:
        """Note that the program does not end, and have it end; return whether that was possible."""
        scope = self.scope
        if scope is None or scope.cancel_called:
            if self.sim.faults:
                raise RuntimeError("the program does not end when it is cancelled")
            return False
        tasks = [
            task for task in self.backend.tasks() if task is self._host or task not in self._before
        ]
        self.sim.fault("end", AssertionError(f"the program {why}{self._shown(tasks)}"))
        scope.cancel()
        return True

    def _shown(self, tasks: Sequence[Any]) -> str:
        stacks = [
            TaskStack(self.backend.name_of(task), tuple(frames_of(self.backend.awaited_by(task))))
            for task in tasks
        ]
        return "".join(sorted(f"\n{stack}" for stack in stacks))


def _said(what: str, error: object) -> AssertionError:
    return AssertionError(f"{what} ({error!r})" if error is not None else what)


def _in_words(error: BaseException) -> str:
    """Say what a program raised; of an assertion without a text, its line."""
    text = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, AssertionError):
        text = str(error)
        if not text:
            *_, last = traceback.extract_tb(error.__traceback__) or [None]
            text = "assertion failed" if last is None else f"{last.line} does not hold"
    return text
