"""What is measured, and what is aimed at."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

__all__ = ("MEASURES", "Column", "Measure", "Sizes")

Answers = Sequence[Mapping[str, float]]
"""What a worker said to each of a measure's requests."""


@frozen
class Sizes:
    """How much is asked for."""

    deltas: int = 20_000
    drips: int = 2_000
    live: tuple[int, int] = (60, 150)
    """Replies at once, and pieces of text of each."""
    turns: int = 50
    parallel: tuple[int, int] = (10, 16)
    """Turns, and calls in each."""
    long: tuple[int, int] = (200, 10)
    """Turns of a long run and of a short one."""
    runs: int = 1_000
    crowd_deltas: int = 200
    idle: int = 10_000
    events: int = 100_000
    starts: int = 11
    """How often a program is started, where starting is what is measured."""
    repetitions: int = 5


@frozen
class Column:
    """A figure, and what it should be beside the same figure of the one that is compared with."""

    unit: str
    value: Callable[[Answers], float]
    aim: float | None = None
    """At most so many times the figure of `Measure.base`."""
    most: float | None = None
    """At most so much in itself."""
    least: float | None = None
    """At least so many times the figure of `Measure.base`."""
    more: float | None = None
    """At most so much above the figure of `Measure.base`."""
    below_peers: bool = False
    """Also less than that of every other library."""


@frozen
class Measure:
    """A row of tables: the same programs, of several libraries, on several event loops."""

    name: str
    about: str
    asks: Callable[[Sizes], Sequence[Mapping[str, Any]]]
    """The requests to a worker, of which each has a `program` and a `scenario`."""
    columns: Callable[[Sizes], Sequence[Column]]
    needs: str = "text"
    """What a peer must have."""
    apis: tuple[str, ...] = ("chat",)
    """A peer that has none of these is measured with its own first."""
    peers: tuple[str, ...] = ()
    """All, if none is named."""
    base: str = "httpx"
    tls: bool = False
    """Whether the provider is reached over TLS."""
    fresh: bool = False
    """Whether each request wants a process that has done nothing before."""
    repetitions: int | None = None
    """Fewer than usual, for what takes long and averages over much."""
    not_libraries: tuple[str, ...] = field(default=("httpx", "tutorial"))


def per_delta(count: int) -> Callable[[Answers], float]:
    return lambda answers: answers[0]["cpu"] / count * 1e6


def pieces(scenario: str, count: int) -> dict[str, Any]:
    return {"program": "text", "scenario": f"{scenario}/{count}", "count": count}


def rounds(turns: int, parallel: int) -> dict[str, Any]:
    calls = (turns - 1) * parallel
    return {"program": "turns", "scenario": f"turns/{turns}x{parallel}", "calls": calls}


def of_core(answers: Answers) -> float:
    """Percent of a core that were used. Above 75 a client lags now and then, and several pieces come at once."""
    return answers[0]["cpu"] / answers[0]["wall"] * 100


def lockstep(count: int) -> dict[str, Any]:
    return {**pieces("drip", count), "program": "drip"}


def alive(runs: int, count: int) -> dict[str, Any]:
    return {**pieces("live", count), "program": "live", "runs": runs, "interval": 0.02}


def carried(runs: int) -> Callable[[Answers], float]:
    return lambda answers: runs / (answers[0]["cpu"] / answers[0]["wall"])


MEASURES: Final = (
    Measure(
        "flood",
        "a reply of many pieces of text, each in an HTTP chunk of its own, as fast as it is read",
        lambda s: [pieces("text", s.deltas)],
        lambda s: [Column("CPU us/delta", per_delta(s.deltas), aim=0.35, below_peers=True)],
        apis=("chat", "responses", "messages"),
    ),
    Measure(
        "drip",
        "a reply of which the next piece of text comes when the last one was got",
        lambda s: [lockstep(s.drips)],
        lambda s: [Column("CPU us/delta", per_delta(s.drips), aim=0.75, below_peers=True)],
    ),
    Measure(
        "drip-tls",
        "the same over TLS",
        lambda s: [lockstep(s.drips)],
        lambda s: [Column("CPU us/delta", per_delta(s.drips), aim=0.8, below_peers=True)],
        tls=True,
    ),
    Measure(
        "pace",
        "a reply of which one piece of text comes each millisecond",
        lambda s: [pieces("pace", s.drips)],
        lambda s: [
            Column("CPU us/delta", per_delta(s.drips), aim=0.75, below_peers=True),
            Column("% of a core", of_core, most=75),
        ],
        repetitions=3,
    ),
    Measure(
        "live",
        "replies at once, of which each brings fifty pieces of text a second",
        lambda s: [alive(*s.live)],
        lambda s: [
            Column("runs/core", carried(s.live[0]), least=1.5),
            Column("% of a core", of_core, most=75),
            Column("lag ms (p99)", lambda a: a[0]["lag"] * 1e3),
        ],
        repetitions=3,
    ),
    Measure(
        "batched",
        "a reply of many pieces of text, two hundred to an HTTP chunk",
        lambda s: [pieces("batched", s.deltas)],
        lambda s: [Column("CPU us/delta", per_delta(s.deltas), aim=0.8, below_peers=True)],
    ),
    Measure(
        "growth",
        "what the last thousand pieces of a long text cost, to the first thousand",
        lambda s: [pieces("text", s.deltas)],
        lambda s: [Column("last/first", lambda answers: answers[0]["growth"], most=1.1)],
        peers=("httpx", "tether", "tutorial"),
    ),
    Measure(
        "turns",
        "a run of many turns, each with a call of a trivial tool",
        lambda s: [rounds(s.turns, 1)],
        lambda s: [
            Column("CPU ms/turn", lambda a: a[0]["cpu"] / s.turns * 1e3, aim=1.0, below_peers=True)
        ],
        needs="turns",
    ),
    Measure(
        "parallel",
        "a run of ten turns, each with sixteen calls of a trivial tool at once",
        lambda s: [rounds(*s.parallel)],
        lambda s: [
            Column(
                "CPU ms/turn",
                lambda a: a[0]["cpu"] / s.parallel[0] * 1e3,
                aim=1.0,
                below_peers=True,
            )
        ],
        needs="turns",
    ),
    Measure(
        "history",
        "what a turn costs in a run of two hundred, to one of ten",
        lambda s: [rounds(turns, 1) for turns in s.long],
        lambda s: [
            Column(
                "long/short",
                lambda a: (a[0]["cpu"] / s.long[0]) / (a[1]["cpu"] / s.long[1]),
                most=1.3,
                below_peers=True,
            )
        ],
        needs="turns",
    ),
    Measure(
        "crowd",
        "a thousand runs at once, each with a reply of two hundred pieces of text",
        lambda s: [
            {
                "program": "crowd",
                "scenario": f"text/{s.crowd_deltas}",
                "count": s.crowd_deltas,
                "runs": s.runs,
            }
        ],
        lambda s: [
            Column("CPU s", lambda a: a[0]["cpu"], below_peers=True),
            Column("wall s", lambda a: a[0]["wall"], below_peers=True),
            Column(
                "KiB/run",
                lambda a: (a[0]["peak"] - a[0]["before"]) / s.runs,
                more=0,
                below_peers=True,
            ),
        ],
        fresh=True,
        repetitions=1,
    ),
    Measure(
        "idle",
        "ten thousand runs at once, which wait for a provider within the process",
        lambda s: [{"program": "idle", "scenario": "", "runs": s.idle}],
        lambda s: [
            Column("KiB/run", lambda a: (a[0]["resident"] - a[0]["before"]) / s.idle, most=40)
        ],
        needs="idle",
        fresh=True,
        repetitions=3,
    ),
    Measure(
        "stream",
        "the stream of events alone",
        lambda s: [{"program": "stream", "scenario": "", "count": s.events}],
        lambda s: [Column("us/event", lambda a: a[0]["cpu"] / s.events * 1e6, aim=1.0)],
        needs="stream",
        base="tutorial",
    ),
)
