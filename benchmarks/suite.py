"""Runs measures: workers of all libraries take turns, and medians are kept."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import define, field, frozen

from benchmarks import startup
from benchmarks.measures import MEASURES, Column, Measure, Sizes
from benchmarks.peers import NAMES, Peer, peer
from benchmarks.provider import provider
from benchmarks.tls import certified

__all__ = ("Figure", "Suite", "names")


@frozen
class Figure:
    """A number that was found."""

    measure: str
    api: str
    loop: str
    peer: str
    unit: str
    value: float
    base: float | None
    """The same of the one that is compared with."""
    met: bool | None = None
    """Whether an aim is met, where this figure has one."""

    @property
    def key(self) -> str:
        """What the figure is of."""
        return " ".join([self.measure, self.api, self.loop, self.peer, self.unit])

    @property
    def ratio(self) -> float | None:
        """To the one that is compared with."""
        return self.value / self.base if self.base else None


Answers = dict[tuple[str, str, str], list[list[Mapping[str, float]]]]
"""What workers said: by API, loop and peer; at each repetition, to each request."""


class WorkerError(Exception):
    """A library did not do what it was asked to; what it said stands above."""


class Worker:
    """A process that does what it is told."""

    def __init__(self, name: str, loop: str) -> None:
        self.name = f"{name} on {loop}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, asked: Mapping[str, Any]) -> Mapping[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.name} has failed at {asked}")
        answer: Mapping[str, float] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def names() -> Mapping[str, str]:
    """Say what can be measured, by name."""
    return {
        **{measure.name: measure.about for measure in MEASURES},
        "import": "`import` in a fresh interpreter",
        "first": "`from tether import Agent` in a fresh interpreter, against `import httpx`",
        "help": "`tether --help`, against an interpreter that imports httpx",
    }


@define
class Suite:
    """The provider and the workers, for as long as they are needed.

    Args:
        sizes: how much is asked for.
        only: names of peers; all if there are none. What is compared with is always measured.
        failed: is told of libraries that could not do what they were asked to; they are left out there.
    """

    sizes: Sizes
    only: frozenset[str] = frozenset()
    failed: Callable[[str], None] = print
    _opened: ExitStack = field(factory=ExitStack)
    _workers: dict[tuple[str, str], Worker] = field(factory=dict)
    _where: dict[bool, Mapping[str, Any]] = field(factory=dict)
    """The provider, in the clear and over TLS: what workers are told of it."""

    def __enter__(self) -> Self:
        return self

    def _provider(self, *, tls: bool) -> Mapping[str, Any]:
        if tls not in self._where:
            context, authority = self._opened.enter_context(certified()) if tls else (None, "")
            counter = Path(self._opened.enter_context(tempfile.TemporaryDirectory()), "counter")
            counter.write_bytes(bytes(8))
            self._where[tls] = {
                "url": self._opened.enter_context(provider(context, counter)),
                "acknowledged": str(counter),
                "authority": authority,
            }
        return self._where[tls]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    def run(self, name: str) -> Iterator[Figure]:
        """Measure one of `names`."""
        if name == "import":
            yield from self._imported("import", startup.imports)
        elif name == "first":
            yield from self._imported("first", startup.first_imports)
        elif name == "help":
            took = dict(startup.commands(self.sizes.starts))
            yield figure("help", "", "-", "httpx", Column("ms", float), took)
            yield figure("help", "", "-", "tether", Column("ms", float, aim=2.0), took)
        else:
            [measure] = [one for one in MEASURES if one.name == name]
            yield from self._measured(measure)

    def _wants(self, name: str, base: str) -> bool:
        return not self.only or name in {*self.only, base}

    def _imported(
        self, measure: str, timed: Callable[[int], Iterator[tuple[str, float, float]]]
    ) -> Iterator[Figure]:
        found = [row for row in timed(self.sizes.starts) if self._wants(row[0], "httpx")]
        for at, unit in ((1, "ms"), (2, "MiB")):
            seen: dict[str, Any] = {row[0]: row[at] for row in found}
            for name in seen:
                yield figure(measure, "", "-", name, Column(unit, float, aim=1.3), seen)

    def _measured(self, measure: Measure) -> Iterator[Figure]:
        wanted = {
            name: own
            for name in measure.peers or NAMES
            if self._wants(name, measure.base)
            if (own := peer(name)) is not None and getattr(own, measure.needs)
        }
        answers = self._asked_in_turns(measure, measured_apis(measure, wanted))
        apis = {api for api, _, _ in answers}
        for api in sorted(apis, key=["chat", "responses", "messages"].index):
            for loop in ("asyncio", "uvloop", "trio"):
                for column in measure.columns(self.sizes):
                    seen = {
                        name: statistics.median(map(column.value, all_answers))
                        for (its_api, its_loop, name), all_answers in answers.items()
                        if (its_api, its_loop) == (api, loop)
                    }
                    base = seen.get(measure.base, reference(answers, measure, api, column))
                    for name, value in seen.items():
                        judged = met(column, name, {**seen, measure.base: base}, measure)
                        yield Figure(
                            measure.name, api, loop, name, column.unit, value, base, judged
                        )

    def _asked_in_turns(self, measure: Measure, runs: list[tuple[str, str, str]]) -> Answers:
        """Ask every worker, and again, so that what the machine does meanwhile hits all alike."""
        answers: Answers = {one: [] for one in runs}
        repetitions = min(measure.repetitions or self.sizes.repetitions, self.sizes.repetitions)
        # The first is not counted: what is imported and made once. A fresh process is asked for that by itself.
        for repetition in range(0 if measure.fresh else -1, repetitions):
            for one in list(answers):
                try:
                    got = self._asked(measure, *one, few=repetition < 0)
                except WorkerError as error:
                    self.failed(str(error))
                    del answers[one]
                    continue
                if repetition >= 0:
                    answers[one].append(got)
        return answers

    def _asked(
        self, measure: Measure, api: str, loop: str, name: str, *, few: bool
    ) -> list[Mapping[str, float]]:
        where = self._provider(tls=measure.tls)
        asks = [
            {**where, **one, "api": api, "url": f"{where['url']}/{one['scenario']}"}
            for one in measure.asks(_FEW if few else self.sizes)
        ]
        if measure.fresh:
            with Worker(name, loop) as worker:
                worker.ask({**asks[0], "runs": 1})
                return [worker.ask(one) for one in asks]
        if (name, loop) not in self._workers:
            self._workers[name, loop] = self._opened.enter_context(Worker(name, loop))
        return [self._workers[name, loop].ask(one) for one in asks]


def measured_apis(measure: Measure, wanted: Mapping[str, Peer]) -> list[tuple[str, str, str]]:
    """Say which API, loop and peer are measured: who knows none of the measure's APIs brings its own."""
    apis = list(measure.apis)
    for own in wanted.values():
        if not set(apis) & set(own.apis):
            apis.append(own.apis[0])
    return [
        (api, loop, name)
        for api in apis
        for name, own in wanted.items()
        if api in own.apis and (measure.needs != "turns" or api != "responses")
        for loop in own.loops
    ]


def figure(
    measure: str, api: str, loop: str, name: str, column: Column, seen: Mapping[str, float]
) -> Figure:
    base = seen.get("httpx")
    return Figure(measure, api, loop, name, column.unit, seen[name], base, met(column, name, seen))


def reference(answers: Answers, measure: Measure, api: str, column: Column) -> float | None:
    """What is compared with on another loop, where it cannot run on this one."""
    all_answers = answers.get((api, "asyncio", measure.base))
    return statistics.median(map(column.value, all_answers)) if all_answers else None


_FEW = Sizes(deltas=100, drips=10, live=(3, 10), turns=3, parallel=(3, 2), long=(3, 2), events=100)


def met(
    column: Column, name: str, seen: Mapping[str, float | None], measure: Measure | None = None
) -> bool | None:
    """Say whether tether meets what is aimed at."""
    value = seen[name]
    if name != "tether" or value is None:
        return None
    base = seen.get(measure.base if measure else "httpx")
    judged = []
    if column.aim is not None and base:
        judged.append(value <= column.aim * base)
    if column.most is not None:
        judged.append(value <= column.most)
    if column.least is not None and base:
        judged.append(value >= column.least * base)
    if column.more is not None and base is not None:
        judged.append(value <= base + column.more)
    if column.below_peers and measure is not None:
        others = [v for n, v in seen.items() if n not in {"tether", *measure.not_libraries}]
        judged.append(all(value < other for other in others if other is not None))
    return all(judged) if judged else None
