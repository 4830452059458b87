"""Figures as tables, and as a record to compare with later."""

import datetime
import importlib.metadata
import itertools
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.suite import Figure

__all__ = ("compared", "read", "record", "table", "versions")

DISTRIBUTIONS = (
    "tether",
    "httpx",
    "anyio",
    "trio",
    "uvloop",
    "openai",
    "anthropic",
    "pydantic-ai-slim",
    "openai-agents",
    "litellm",
    "pi-agent-core",
)


def versions() -> Mapping[str, str]:
    """Say what was measured."""
    found = {"Python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def table(about: str, figures: Sequence[Figure], *, judged: bool) -> Iterator[str]:
    """Write the figures of one measure as lines.

    Args:
        about: what was measured.
        figures: they stand in the order in which they are shown.
        judged: whether to say which aims are met.
    """
    yield about
    yield f"{'':12}{'loop':10}{'':16}{'figure':>10}  {'':14}{'ratio':>7}"
    for (api, loop), group in itertools.groupby(figures, lambda one: (one.api, one.loop)):
        for one in group:
            ratio = "" if one.ratio is None else f"{one.ratio:7.2f}"
            verdict = {True: "  met", False: "  MISSED", None: ""}[one.met] if judged else ""
            about = f"{api:12}{loop:10}{one.peer:16}"
            yield f"{about}{one.value:10.2f}  {one.unit:14}{ratio}{verdict}"
    yield ""


def record(path: Path, figures: Sequence[Figure]) -> None:
    """Write a record."""
    whole = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
        "figures": [{"key": one.key, **attrs.asdict(one), "ratio": one.ratio} for one in figures],
    }
    path.write_text(json.dumps(whole, indent=1) + "\n")


def read(path: Path) -> Mapping[str, float]:
    """Read a record: ratios, by what they are of; figures themselves where there is no ratio."""
    try:
        whole: Any = json.loads(path.read_text())
        return {
            one["key"]: one["value"] if one["ratio"] is None else one["ratio"]
            for one in whole["figures"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"{path} is not a record of `python -m benchmarks --json`: {error}")


def compared(figures: Sequence[Figure], earlier: Mapping[str, float]) -> Iterator[str]:
    """Write how the figures of tether stand to earlier ones; ratios are compared, as the machine may be another."""
    yield f"{'':52}{'then':>10}{'now':>10}{'now/then':>10}"
    for one in figures:
        then = earlier.get(one.key)
        if one.peer != "tether" or not then:
            continue
        now = one.value if one.ratio is None else one.ratio
        yield f"{one.key:52}{then:10.2f}{now:10.2f}{now / then:10.2f}"
