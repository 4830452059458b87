"""Explore a program: run it many times, each time otherwise, and shrink what fails."""

import gc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from attrs import evolve, frozen

from tether import TetherError, UsageError
from tether.testing.clock import Backend
from tether.testing.explore.choices import (
    Decide,
    Plan,
    RandomDecisions,
    from_plan,
    parse_plan,
    plan_text,
)
from tether.testing.explore.recordings import RecordedAgents, Written, checked_path, write
from tether.testing.explore.shrink import Shrinker
from tether.testing.explore.surroundings import only_simulated
from tether.testing.explore.telling import differences, in_words
from tether.testing.explore.trial import Outcome, Program, backend_named, run_once

__all__ = ("ExploreError", "ExploreReport", "explore")

Backends: TypeAlias = Literal["asyncio", "trio", "both"]

_COLLECT_EVERY: Final = 64
"""Runs between two garbage collections; none happens inside a run, where it would come by chance."""


@frozen(kw_only=True)
class ExploreReport:
    """What was tried, without a fault."""

    runs: int
    """Runs on each backend."""
    backends: tuple[Backend, ...]


class ExploreError(TetherError, AssertionError):
    """A program failed in a simulation.

    Attributes:
        backend: on which backend.
        run: in which run, counted from 0; None where a plan was given.
        plan: the deviations of the run that it was shrunk to.
        deviations: how many the first failing run had.
        kind: what was checked: `events`, `transcript`, `raised AssertionError` and others.
        fault: what was wrong.
        only: what `explore` takes to run it again.
        tried: how many runs it took to shrink.
        recording: the file of the failing run, if it was recorded.
        passed: the file of the last run that passed, if there was one and it was recorded.
    """

    def __init__(
        self,
        text: str,
        *,
        backend: Backend,
        run: int | None,
        found: Outcome,
        shrunk: Outcome,
        tried: int,
        written: Written,
    ) -> None:
        super().__init__(text)
        fault = shrunk.fault
        self.backend: Backend = backend
        self.run: int | None = run
        self.plan: Mapping[str, int] = shrunk.deviations
        self.deviations: int = len(found.deviations)
        self.kind: str = fault.kind if fault is not None else ""
        self.fault: str = fault.text if fault is not None else ""
        self.only: str = f"{backend}:{plan_text(shrunk.deviations)}"
        self.tried: int = tried
        self.recording: Path | None = written.failed
        self.passed: Path | None = written.passed


def explore(
    program: Program,
    *,
    runs: int = 1000,
    backend: Backends = "both",
    seed: int = 0,
    only: str | None = None,
    decide: Decide | None = None,
    tries: int = 1000,
    record: str | os.PathLike[str] | None = None,
) -> ExploreReport:
    """Run a program many times in a simulation, each time with other answers to what it does not decide.

    The simulation chooses which task goes next, what the model says, what fails, hangs or is late, what people do
    meanwhile, and where the program is cancelled. Time is virtual. There are no sockets, processes and threads. A run
    that fails is shrunk: as many of its deviations as possible are left out.

    It is called from a plain function, not from an async one: each run has an event loop of its own, which is asyncio's
    or trio's own, never uvloop's.

    Args:
        program: an async function that is given the `Simulation`. What it raises is a failure.
        runs: how many runs to try on each backend.
        backend: `asyncio`, `trio`, or `both`, one after the other in each run.
        seed: the same seed tries the same runs.
        only: one run: a backend and a plan, as the report of a failure gives them, such as `trio:calls.0=2`.
        decide: answers in place of chance: given a site and n, a number from 0 to n - 1. There is one run on each
            backend then, which is not shrunk, so that Hypothesis can do both.
        tries: how many runs shrinking may take.
        record: a file for the recording of the run that fails, such as `failed.jsonl`; see `tether.replay`. It takes
            the place of an earlier one. The last run that passed stands beside it, in `failed.passed.jsonl`.

    Returns:
        What was tried.

    Raises:
        ExploreError: a run failed; the text says what was wrong, and how to see it again.
        UsageError: a number makes no sense, there is no such backend, `only` is no plan, or `record` is a file that is
            no recording.
    """
    _check(program, runs, backend, tries)
    path = checked_path(record)
    names = _backends(backend)
    with only_simulated():
        if only is not None:
            name, plan = _parse(only)
            _play_one(program, name, from_plan(plan), path)
            return ExploreReport(runs=1, backends=(name,))
        if decide is not None:
            for name in names:
                _play_one(program, name, decide, path)
            return ExploreReport(runs=1, backends=names)
        for number in range(runs):
            for name in names:
                outcome = run_once(
                    program, backend_named(name), RandomDecisions(f"{seed}/{number}")
                )
                if outcome.fault is not None:
                    raise _failure(program, name, names, number, outcome, tries, path)
            if number % _COLLECT_EVERY == _COLLECT_EVERY - 1:
                gc.collect()
    return ExploreReport(runs=runs, backends=names)


def _play_one(program: Program, name: Backend, decide: Decide, path: Path | None) -> None:
    outcome = run_once(program, backend_named(name), decide)
    if outcome.fault is not None:
        written = _written(program, name, path, outcome, None)
        text = f"{outcome.fault.text} ({name}): {in_words(outcome)}"
        raise ExploreError(
            "\n".join([text, *written.lines]),
            backend=name,
            run=None,
            found=outcome,
            shrunk=outcome,
            tried=0,
            written=written,
        ) from outcome.fault.error


def _failure(
    program: Program,
    name: Backend,
    names: tuple[Backend, ...],
    number: int,
    found: Outcome,
    tries: int,
    path: Path | None,
) -> ExploreError:
    """Shrink a run that failed, and tell it."""

    def play(plan: Plan, on: Backend = name) -> Outcome:
        return run_once(program, backend_named(on), from_plan(plan))

    shrinker = Shrinker(play, found, tries)
    shrunk = shrinker.shrink()
    written = _written(program, name, path, shrunk, shrinker.passed)
    fault = shrunk.fault
    assert fault is not None
    count = len(found.deviations)
    what, *more = fault.text.splitlines() or [""]
    lines = [
        f"{what} ({name}, run {number}); shrunk from {count} deviation{'s' * (count != 1)} to"
        f" {len(shrunk.deviations)}: {in_words(shrunk)}",
        f'  again: explore(program, only="{name}:{plan_text(shrunk.deviations)}")',
        *written.lines,
    ]
    for other in names:
        if other != name:
            same = play(shrunk.deviations, other).fault
            lines.append(
                f"  on {name} only: the same deviations pass on {other}"
                if same is None
                else f"  on {other} too"
            )
    if shrinker.passed is not None:
        lines += differences(shrunk, shrinker.passed)
    lines += [f"  {line}" for line in more]
    error = ExploreError(
        "\n".join(lines),
        backend=name,
        run=number,
        found=found,
        shrunk=shrunk,
        tried=shrinker.runs,
        written=written,
    )
    error.__cause__ = fault.error
    return error


def _written(
    program: Program, name: Backend, path: Path | None, failed: Outcome, passed: Outcome | None
) -> Written:
    """Record a run that failed and one that passed, which their deviations give again."""
    if path is None:
        return Written()

    def recorded(outcome: Outcome) -> RecordedAgents:
        agents = RecordedAgents()
        again = run_once(program, backend_named(name), from_plan(outcome.deviations), agents)
        if _kind(again) != _kind(outcome):
            others.append("  what is recorded went otherwise: the program differs from run to run")
        return agents

    others: list[str] = []
    written = write(path, recorded(failed), None if passed is None else recorded(passed))
    return evolve(written, lines=[*written.lines, *others[:1]])


def _kind(outcome: Outcome) -> str | None:
    return None if outcome.fault is None else outcome.fault.kind


def _parse(only: str) -> tuple[Backend, Plan]:
    name, colon, plan = only.partition(":")
    if name not in get_args(Backend) or not colon:
        raise UsageError(f"only begins with asyncio: or trio:, not {only!r}")
    try:
        return ("asyncio" if name == "asyncio" else "trio"), parse_plan(plan)
    except ValueError as error:
        raise UsageError(f"only is no plan: {error}") from None


def _backends(backend: Backends) -> tuple[Backend, ...]:
    return ("asyncio", "trio") if backend == "both" else (backend,)


def _check(program: object, runs: object, backend: object, tries: object) -> None:
    if not callable(program):
        raise UsageError(f"program must be an async function, not {program!r}")
    if backend not in get_args(Backends):
        raise UsageError(f"backend must be one of {', '.join(get_args(Backends))}, not {backend!r}")
    for name, number in (("runs", runs), ("tries", tries)):
        if type(number) is not int or number < 0:
            raise UsageError(f"{name} must be a whole number from 0 on, not {number!r}")
