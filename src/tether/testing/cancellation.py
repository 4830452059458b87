"""Cancel a program at every step it takes, and see whether it leaves things as they should be.

A program that awaits can be cut off at each of its awaits, and each time other things are half done.
`cancel_at_every_step` tries them all: it runs the program once to count the points between the steps of the
scheduler, then once more for each point, cancelling it there, and checks each time that nothing is left
behind and that what the caller expects holds.

    def test_a_run_can_be_cancelled_anywhere():
        def check(agent):
            check_transcript(agent.messages)

        async def program(agent):
            await agent.prompt("What does pyproject.toml build?")

        report = cancel_at_every_step(program, setup=make_agent, check=check, backend="trio")
        assert report.points > 20

It is called from a plain function, not from an async one: each run has an event loop of its own.
"""

import random
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Any, TypeVar, get_args, overload

from attrs import frozen

from tether.testing._garbage import set_aside
from tether.testing._trial import Experiment, Kind, Trial
from tether.testing.clock import Backend, check_backend

__all__ = ("CancelReport", "cancel_at_every_step")

S = TypeVar("S")

_MOST_POINTS = 100_000
"""Where to give up on a program that grows with each run."""
_GAPS = 8


@frozen(kw_only=True)
class CancelReport:
    """What was tried, without a fault."""

    backend: Backend
    kind: Kind
    steps: int
    """The steps that the program takes when nobody cancels it."""
    points: int
    """The points at which it was cancelled, one in each run (two in each, with `kind="twice"`)."""


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
    """Run a program again and again, cancelled at a later point each time, and check what it leaves.

    There is a point right after each step that a task takes, when it has just gone to wait, and one right
    before each step that something outside of the program has brought about, when a result is ready but has
    not been taken. After each run, that which nobody cancels included:

    - the program has ended within the grace time, by itself or by passing the cancellation on, and has
      raised nothing else; a cancellation that reached it was not swallowed;
    - no task is left, and no async generator that was begun and not ended;
    - no more sockets, pipes and child processes are open than before, and no thread is at work but for the
      backends' idle workers;
    - no tool of an agent swallowed its cancellation;
    - nothing was reported to the event loop's exception handler, `sys.unraisablehook` or
      `threading.excepthook`, nothing was logged by the backend, and nothing was warned of as not closed or
      not awaited;
    - the caller's `check` holds.

    Programs may use real sockets, processes and threads; the number of points varies then, and the search
    goes on until a run ends before its point has come. On trio, which shuffles tasks, it varies for every
    program of several tasks.

    Args:
        program: what to run. It ends by itself in less than a minute when nobody cancels it, and takes
            errors that belong to it: what it raises when it is not cancelled is passed on at once.
        setup: makes what a run works with, outside the event loop; `program` and `check` get it.
        check: raises if what is left is not as it should be. An async one is run inside the event loop, where
            the program was, a plain one after the loop was closed.
        backend: what to run it on.
        kind: `scope` cancels the scope round the program. `task` cancels the task it runs in, as only
            asyncio can (`asyncio.timeout`, `asyncio.TaskGroup` and others do). `twice` does that and, while
            the program cleans up, once more, at every point of the clean-up.
        every: try one point in so many.
        limit: try no more than so many points, spread evenly over the program; with `kind="twice"`, each with
            one of the first eight points of the clean-up.
        seed: with `limit`, choose the points at random, the same ones each time.
        grace: seconds that a cancelled program may take for its clean-up.
        eager: start tasks eagerly; on asyncio, from Python 3.12 on.
        virtual_time: run under a virtual clock (see `virtual_clock`), for programs that sleep.

    Returns:
        What was tried.

    Raises:
        AssertionError: a run left something behind, or the check failed; the text names the point and shows
            where the program's tasks stood when the cancellation came.
        ValueError: there is no such backend or kind, or not on this backend; or a number makes no sense.
        TypeError: what is to be called is not a function, or `program` is not an async one.
        Exception: what the program raised without being cancelled.
    """
    _refuse_what_cannot_be(backend, kind, eager=eager)
    _refuse_what_cannot_be_called(program, setup=setup, check=check)
    _refuse_numbers_that_make_no_sense(every, limit, seed, grace)
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
    with set_aside():
        counted = _tried(experiment, ()).steps
        if limit is None:
            points = _search(experiment, count(1, every), counted.points)
        else:
            points = _search(experiment, _sample(counted.points, every, limit, seed), None)
    return CancelReport(backend=backend, kind=kind, steps=counted.steps, points=points)


def _refuse_what_cannot_be(backend: Backend, kind: Kind, *, eager: bool) -> None:
    check_backend(backend)
    if kind not in get_args(Kind):
        raise ValueError(f"there is no kind {kind!r}; there are: {', '.join(get_args(Kind))}")
    if kind != "scope" and backend != "asyncio":
        raise ValueError(
            f'kind={kind!r} is asyncio\'s task.cancel(); on {backend}, use kind="scope"'
        )
    if eager and (backend != "asyncio" or sys.version_info < (3, 12)):
        raise ValueError("tasks start eagerly only on asyncio, from Python 3.12 on")


def _refuse_what_cannot_be_called(program: object, **others: object) -> None:
    if not callable(program):
        raise TypeError(f"program must be an async function, which is called anew, not {program!r}")
    for name, function in others.items():
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function, not {function!r}")


def _refuse_numbers_that_make_no_sense(
    every: int, limit: int | None, seed: int | None, grace: float
) -> None:
    for name, number in {"every": every, "limit": limit}.items():
        if number is not None and (type(number) is not int or number < 1):
            raise ValueError(f"{name} must be a whole number from 1 on, not {number!r}")
    if seed is not None and type(seed) is not int:
        raise ValueError(f"seed must be a whole number, not {seed!r}")
    if not grace > 0:
        raise ValueError(f"grace must be more than 0 seconds, not {grace!r}")


def _sample(points: int, every: int, limit: int, seed: int | None) -> Sequence[int]:
    eligible = range(1, points + 1, every)
    if len(eligible) <= limit:
        return eligible
    if seed is not None:
        return sorted(random.Random(seed).sample(eligible, limit))
    return [eligible[place * len(eligible) // limit] for place in range(limit)]


def _search(experiment: Experiment, points: Iterable[int], counted: int | None) -> int:
    """Try these points; where they have no end, until one beyond those counted does not come.

    Returns:
        How many runs were cancelled.
    """
    cancelled = 0
    for number, point in enumerate(points):
        if point > _MOST_POINTS:
            raise AssertionError(f"the program goes on for more than {_MOST_POINTS} points")
        gaps = count(1) if counted is not None else (1 + number % _GAPS,)
        news = _cancel_at(experiment, point, gaps)
        if counted is not None and point > counted and not news:
            break
        cancelled += news
    return cancelled


def _cancel_at(experiment: Experiment, point: int, gaps: Iterable[int]) -> int:
    """Cancel at a point; for `twice`, once for each gap, and again after that, while there is something."""
    if experiment.kind != "twice":
        return len(_tried(experiment, (point,)).steps.acted)
    cancelled = 0
    for gap in gaps:
        acted = len(_tried(experiment, (point, point + gap)).steps.acted)
        cancelled += acted > 0
        if acted < len((point, gap)):
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
    acted = trial.steps.acted
    when = f"cancelled {' and again '.join(acted)}" if acted else "not cancelled"
    if acted:
        when += f" (point {' and '.join(map(str, trial.points[: len(acted)]))})"
    lines = [f"{trial.experiment.backend}, {when}:", *(f"* {fault}" for fault in trial.faults)]
    if trial.landing:
        lines += ["The program's tasks stood here when the cancellation came:"]
        lines += [str(stack) for stack in trial.landing]
    return "\n".join(lines)
