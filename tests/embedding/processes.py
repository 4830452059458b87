"""Programs that tests start for real, and what is left of them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = (
    "GUARD",
    "ROOT",
    "STRICT",
    "all_end",
    "descendants_at_work",
    "is_alive",
    "output_of",
    "output_when_interrupted",
    "pids_in",
    "running",
    "warnings_in",
)

ROOT = Path(__file__).parents[2]
GUARD = 60
"""Seconds; the machine may be busy."""
STRICT = ("-X", "dev", "-W", "error")
"""Warnings are errors, and asyncio looks after itself."""
_SLOW = re.compile(r"Executing <.*> took \d+\.\d+ seconds\n")
"""What asyncio's debug mode says of a busy machine."""


@contextmanager
def running(*arguments: str, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """Run a Python program from the root of the project, and see that it ends."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        **{
            "cwd": ROOT,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        },
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def output_of(*arguments: str) -> list[str]:
    """Run a program that is to end well and to warn of nothing."""
    with running(*STRICT, *arguments) as process:
        out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, warnings_in(err)) == (0, "")
    return out.splitlines()


def warnings_in(errors: str) -> str:
    """What a program wrote on its standard error, without what a busy machine adds."""
    return _SLOW.sub("", errors)


def output_when_interrupted(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Send what Ctrl-C sends, and see what a program says until it ends."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=GUARD / 4)
    # `asyncio.run` sets no wake-up descriptor: a signal that comes just before the selector waits is seen only at the
    # next event. To go on after a stop is one.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)
    return process.communicate(timeout=GUARD)


def pids_in(line: str) -> Sequence[int]:
    return [int(number) for number in re.findall(r"\d+", line)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody waits for orphans, one that has ended stays on the list.
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def all_end(pids: Sequence[int], *, within: float = GUARD) -> bool:
    """Wait until processes that others are ending have ended; end those that have not."""
    assert pids
    until = time.monotonic() + within
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.01)
    return True


def descendants_at_work(ancestor: int) -> Sequence[int]:
    """Wait until a program's agent has had its processes started, and return those."""
    until = time.monotonic() + 3 * GUARD
    while time.monotonic() < until:
        found = [pid for pid in _descendants(ancestor) if "sleep 1000" in _command(pid)]
        if len(found) == 2:
            return found
        time.sleep(0.02)
    raise AssertionError("no tool has started processes")


def _descendants(ancestor: int) -> Iterator[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    generation = {ancestor}
    while generation := {pid for pid, parent in parents.items() if parent in generation}:
        yield from generation


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""
