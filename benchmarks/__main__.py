"""The entry: `python -m benchmarks` lists what can be measured, measures, and prints tables."""

import argparse
import sys
from pathlib import Path

import attrs

from benchmarks import (
    backpressure,
    browser,
    cancel,
    cluster,
    decoders,
    recording,
    sessions,
    stores,
    top,
)
from benchmarks.measures import Sizes
from benchmarks.peers import NAMES, peer
from benchmarks.report import compared, read, record, table, versions
from benchmarks.suite import Figure, Suite, names

QUICK = Sizes(
    deltas=400,
    drips=20,
    live=(3, 10),
    turns=5,
    parallel=(3, 4),
    long=(8, 3),
    runs=20,
    crowd_deltas=20,
    idle=50,
    events=2_000,
    starts=1,
    repetitions=1,
)

STUDIES = {
    "decoders": (
        decoders.main,
        200,
        "each decoder against its provider's SDK, reading from memory",
    ),
    "cancel": (cancel.main, 5, "from a cancellation to the end of the connection and the block"),
    "backpressure": (backpressure.main, 1, "what a slow consumer costs in memory"),
    "browser": (
        browser.main,
        100,
        "a piece of text from the provider to a browser, beside pydantic-ai's adapters",
    ),
    "recording": (recording.main, 2_000, "what recording a run costs for each piece of text"),
    "sessions": (sessions.main, 2_000, "what opening a long session costs in time and memory"),
    "stores": (stores.main, 10, "what keeping a message costs in a log and in a database"),
    "cluster": (
        cluster.main,
        2_000,
        "a piece of text from a worker of a Ray cluster, to one from here",
    ),
    "top": (top.main, 2_000, "what `tether top` spends on a page of 50,000 series"),
}
"""What is compared in another way, with tables of its own: the function, its size when in a hurry, what it is."""


def main() -> None:
    said = arguments()
    if said.list:
        for name, about in {
            **names(),
            **{n: about for n, (_, _, about) in STUDIES.items()},
        }.items():
            print(f"{name:14}{about}")
        return
    earlier = read(said.compare) if said.compare else {}
    sizes = QUICK if said.quick else Sizes()
    if said.repetitions:
        sizes = attrs.evolve(sizes, repetitions=said.repetitions)
    print(", ".join(f"{name} {version}" for name, version in versions().items()), end="\n\n")
    if missing := [name for name in NAMES if peer(name) is None]:
        print(f"not installed: {', '.join(missing)} (pip install '.[bench]')\n")
    figures: list[Figure] = []
    failures: list[str] = []
    with Suite(sizes, frozenset(said.peer), failures.append) as suite:
        for name in said.measures or [*names(), *STUDIES]:
            if name in STUDIES:
                study, few, about = STUDIES[name]
                print(f"{name}: {about}")
                study(*([few] if said.quick else []))
                print()
                continue
            found = list(suite.run(name))
            figures += found
            for line in table(f"{name}: {names()[name]}", found, judged=not said.quick):
                print(line, flush=True)
            if said.json:
                record(
                    said.json, figures
                )  # at each, so that what was found is there, whatever comes
    if earlier:
        print("\n".join(compared(figures, earlier)))
    if failures:
        sys.exit("\n".join(failures))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what tether costs against other libraries, in the same run on the same streams.",
        epilog="Ratios are to plain httpx on the same loop (the stream of events: to the tutorial's). "
        "pip install '.[bench]' installs what is compared with.",
    )
    add = parser.add_argument
    add("measures", nargs="*", metavar="MEASURE", help="what to measure; everything if not said")
    add("--list", action="store_true", help="list what can be measured")
    add("--repetitions", metavar="N", type=int, help="how often; five times if not said")
    add("--json", metavar="FILE", type=Path, help="write the figures to a record")
    add("--compare", metavar="FILE", type=Path, help="compare with an earlier record")
    add("--peer", metavar="NAME", action="append", default=[], choices=NAMES, help="only these")
    add(
        "--quick",
        action="store_true",
        help="little of everything, and no judgement: to see that it runs",
    )
    said = parser.parse_args()
    if unknown := [name for name in said.measures if name not in {*names(), *STUDIES}]:
        parser.error(
            f"nothing is called {', '.join(unknown)}; there are: {', '.join([*names(), *STUDIES])}"
        )
    return said


if __name__ == "__main__":
    main()
