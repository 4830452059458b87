"""Cancel a program at every step it takes, and see whether it leaves things as they should be.

A program that awaits can be cut off at each of its awaits, and every one of them has a different state of
affairs around it. `cancel_at_every_step` tries them all: it runs the program once to count the steps of the
scheduler, then once more for each step, cancelling it right before that step, and checks each time that
nothing is left behind and that what the caller expects holds.

    def test_a_run_can_be_cancelled_anywhere():
        def check(agent):
            check_transcript(agent.messages)

        async def program(agent):
            await agent.prompt("What does pyproject.toml build?")

        report = cancel_at_every_step(program, setup=make_agent, check=check, backend="trio")
        assert report.points > 20

It is called from a plain function, not from an async one: each run has an event loop of its own.
"""

import gc
import random
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar, overload

from attrs import frozen

from tether.testing._trial import Experiment, Kind, Trial
from tether.testing.clock import Backend

__all__ = ("CancelReport", "cancel_at_every_step")

S = TypeVar("S")

_MOST_STEPS = 100_000
"""Where to give up on a program that grows with each run."""
_MOST_GAPS = 8


@frozen(kw_only=True)
class CancelReport:
    """What was tried, without a fault."""

    backend: Backend
    kind: Kind
    steps: int
    """The steps of the program when nobody cancels it, in the run that was made to count them."""
    points: int
    """The runs in which the program was cancelled before it had come to its end."""


@overload
def cancel_at_every_step(
    program: Callable[[], Awaitable[object]],
    *,
    check: Callable[[], object] | None = None,
    backend: Backend = "asyncio",
    kind: Kind = "scope",
    every: int = 1,
    limit: int | None = None,
    seed: int | None = None,
    grace: float = 5.0,
    eager: bool = False,
    virtual_time: bool = False,
) -> CancelReport: ...
@overload
def cancel_at_every_step(
    program: Callable[[S], Awaitable[object]],
    *,
    setup: Callable[[], S],
    check: Callable[[S], object] | None = None,
    backend: Backend = "asyncio",
    kind: Kind = "scope",
    every: int = 1,
    limit: int | None = None,
    seed: int | None = None,
    grace: float = 5.0,
    eager: bool = False,
    virtual_time: bool = False,
) -> CancelReport: ...
def cancel_at_every_step(
    program: Callable[..., Awaitable[object]],
    *,
    setup: Callable[[], Any] | None = None,
    check: Callable[..., object] | None = None,
    backend: Backend = "asyncio",
    kind: Kind = "scope",
    every: int = 1,
    limit: int | None = None,
    seed: int | None = None,
    grace: float = 5.0,
    eager: bool = False,
    virtual_time: bool = False,
) -> CancelReport:
    """Run a program again and again, cancelled at a later step each time, and check what it leaves.

    After each run, that which nobody cancels included:

    - the program has ended within the grace time, by itself or by passing the cancellation on, and has
      raised nothing else; a cancellation that reached it was not swallowed;
    - no task is left, and no async generator that was begun and not ended;
    - no more sockets, pipes and child processes are open than before, and no thread is at work but for the
      backends' idle workers;
    - nothing was reported to the event loop's exception handler, `sys.unraisablehook` or
      `threading.excepthook`, nothing was logged by the backend, and nothing was warned of as not closed or
      not awaited;
    - the caller's `check` holds.

    Programs may use real sockets, processes and threads; the number of their steps varies then, and the
    search goes on until a run ends before its step has come. On trio, which shuffles tasks, it varies
    for every program of several tasks.

    Args:
        program: what to run. It ends by itself in less than a minute when nobody cancels it, and takes
            errors that belong to it: what it raises when it is not cancelled is passed on at once.
        setup: makes what a run works with, outside the event loop; `program` and `check` get it.
        check: raises if what is left is not as it should be. An async one is run inside the event loop, where
            the program was, a plain one after the loop was closed.
        backend: what to run it on.
        kind: `scope` cancels the scope round the program. `task` cancels the task it runs in, as only
            asyncio can (`asyncio.timeout`, `asyncio.TaskGroup` and others do). `twice` does that and, while
            the program cleans up, once more, at every step of the clean-up.
        every: try only each such step.
        limit: try no more than so many steps, spread evenly over the program; with `kind="twice"`, one of the
            first eight steps of the clean-up each.
        seed: with `limit`, choose the steps at random, the same ones each time.
        grace: seconds that a cancelled program may take for its clean-up.
        eager: start tasks eagerly; on asyncio, from Python 3.12 on.
        virtual_time: run under a virtual clock (see `virtual_clock`), for programs that sleep.

    Returns:
        What was tried.

    Raises:
        AssertionError: a run left something behind, or the check failed; the text names the step and shows
            where the program's tasks stood when the cancellation came.
        ValueError: there is no such way to cancel on this backend.
        Exception: what the program raised without being cancelled.
    """
    _refuse_what_cannot_be(backend, kind, eager=eager)
    experiment = Experiment(
        program=program,
        setup=setup,
        check=check,
        backend=backend,
        kind=kind,
        grace=grace,
        eager=eager,
        virtual_time=virtual_time,
    )
    with _quick_garbage_collection():
        steps = _tried(experiment, ()).steps.count
        if limit is None:
            points = _search(experiment, count(1, every), steps)
        else:
            points = _search(experiment, _sample(range(1, steps + 1, every), limit, seed), None)
    return CancelReport(backend=backend, kind=kind, steps=steps, points=points)


def _refuse_what_cannot_be(backend: Backend, kind: Kind, *, eager: bool) -> None:
    if kind != "scope" and backend != "asyncio":
        raise ValueError(
            f'kind={kind!r} is asyncio\'s task.cancel(); on {backend}, use kind="scope"'
        )
    if eager and (backend != "asyncio" or sys.version_info < (3, 12)):
        raise ValueError("tasks start eagerly only on asyncio, from Python 3.12 on")


@contextmanager
def _quick_garbage_collection() -> Generator[None, None, None]:
    """Set aside what exists already: each run is followed by a collection, which then costs little."""
    if gc.get_freeze_count():
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _sample(steps: Sequence[int], limit: int, seed: int | None) -> Sequence[int]:
    if len(steps) <= limit:
        return steps
    if seed is not None:
        return sorted(random.Random(seed).sample(steps, limit))
    return [steps[place * len(steps) // limit] for place in range(limit)]


def _search(experiment: Experiment, steps: Iterable[int], counted: int | None) -> int:
    """Try these steps; where they have no end, until one beyond those counted does not come.

    Returns:
        How many runs were cancelled.
    """
    cancelled = 0
    for number, step in enumerate(steps):
        if step > _MOST_STEPS:
            raise AssertionError(f"the program goes on for more than {_MOST_STEPS} steps")
        seconds = count(1) if counted is not None else (1 + number % _MOST_GAPS,)
        acts = _cancel_at(experiment, step, seconds if experiment.kind == "twice" else ())
        if counted is not None and step > counted and not acts:
            break
        cancelled += acts
    return cancelled


def _cancel_at(experiment: Experiment, step: int, gaps: Iterable[int]) -> int:
    """Cancel at a step; and for each gap, as far as there is something to cancel, once more after that."""
    if experiment.kind != "twice":
        return int(_tried(experiment, (step,)).steps.acts > 0)
    cancelled = 0
    for gap in gaps:
        steps = _tried(experiment, (step, step + gap)).steps
        cancelled += steps.acts > 0
        if not steps.reached:
            break
    return cancelled


def _tried(experiment: Experiment, points: tuple[int, ...]) -> Trial:
    trial = Trial(experiment, points)
    trial.run()
    if not points and trial.raised is not None:
        raise trial.raised
    if trial.faults:
        raise AssertionError(_complaint(trial)) from trial.error
    return trial


def _complaint(trial: Trial) -> str:
    acts = trial.points[: trial.steps.acts]
    when = " and again ".join(f"before step {point}" for point in acts)
    lines = [f"{trial.experiment.backend}, {f'cancelled {when}' if acts else 'not cancelled'}:"]
    lines += [f"* {fault}" for fault in trial.faults]
    if trial.landing:
        lines += ["The program's tasks stood here when the cancellation came (> was next):"]
        lines += [str(stack) for stack in trial.landing]
    return "\n".join(lines)
