"""What it takes to start: `import` of each library in a fresh interpreter, and whole commands."""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

__all__ = ("commands", "first_imports", "imports")

FIRST = {"httpx": "import httpx", "tether": "from tether import Agent"}
"""What a first program imports; `import tether` alone loads what is named later."""

MODULES = {
    "httpx": "httpx",
    "tether": "tether",
    "openai_sdk": "openai",
    "anthropic_sdk": "anthropic",
    "pydantic_ai": "pydantic_ai",
    "openai_agents": "agents",
    "litellm": "litellm",
    "pi_agent_core": "pi_agent_core",
}

PROGRAM = """\
import json, re, time
def resident():
    with open("/proc/self/status") as file:
        return int(re.search(r"VmRSS:\\s+(\\d+)", file.read())[1])
before, start = resident(), time.perf_counter()
{statement}
print(json.dumps([(time.perf_counter() - start) * 1e3, (resident() - before) / 1024]))
"""

COMMANDS = {
    "httpx": [sys.executable, "-c", "import httpx"],
    "tether": [sys.executable, "-m", "tether.cli", "--help"],
}


def environment() -> dict[str, str]:
    """Return our own, less what keeps Python from keeping compiled code: installed packages have it."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def imports(times: int) -> Iterator[tuple[str, float, float]]:
    """Import each library that is installed; see `_timed`."""
    found = {name: m for name, m in MODULES.items() if importlib.util.find_spec(m) is not None}
    return _timed({name: f"import {module}" for name, module in found.items()}, times)


def first_imports(times: int) -> Iterator[tuple[str, float, float]]:
    """Import what a first program needs; see `_timed`."""
    return _timed(FIRST, times)


def _timed(statements: Mapping[str, str], times: int) -> Iterator[tuple[str, float, float]]:
    """Run each statement in a fresh interpreter.

    Args:
        statements: by the names of peers.
        times: how often; medians are returned.

    Returns:
        The peer's name, milliseconds, MiB.
    """
    seen: dict[str, list[list[float]]] = {name: [] for name in statements}
    for _ in range(times + 1):
        for name, statement in statements.items():
            command = [sys.executable, "-c", PROGRAM.format(statement=statement)]
            done = subprocess.run(command, env=environment(), capture_output=True, check=True)
            seen[name].append(json.loads(done.stdout.splitlines()[-1]))
    for name, [_, *figures] in seen.items():  # the first may have compiled
        took, grew = (statistics.median(column) for column in zip(*figures, strict=True))
        yield name, took, grew


def commands(times: int) -> Iterator[tuple[str, float]]:
    """Run the command's help, and beside it an interpreter that imports httpx.

    Returns:
        Names and milliseconds from the start to the end of the process.
    """
    seen: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(times + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
            seen[name].append((time.perf_counter() - start) * 1e3)
    for name, [_, *figures] in seen.items():
        yield name, statistics.median(figures)
