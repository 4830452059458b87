"""The lease of a worker, and the process that ends what it has left.

A worker is detached: it does not end with the driver, which Ray would kill it with, tools and all, in the middle. It
ends when it has not heard from the driver for the time of its lease. That is counted in ticks of a thread:
by the clock, a worker that was paused would end as it wakes; in the event loop, one that is busy would not hear.
"""

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ("TICKS", "Lease", "watched")

TICKS: Final = 5
"""Heartbeats within a lease, sent and looked for."""
_MARK: Final = "TETHER_WORKER"


class Lease:
    """Whether the driver is still there.

    Args:
        seconds: how long it may be silent.
        expire: called in a thread when it is gone.
    """

    def __init__(self, seconds: float, expire: Callable[[], object]) -> None:
        self._tick = seconds / TICKS
        self._expire = expire
        self._heard = 0
        threading.Thread(target=self._watch, name="tether lease", daemon=True).start()

    def renew(self) -> None:
        """Note that the driver is there."""
        self._heard += 1

    def _watch(self) -> None:
        pause, heard, missed = threading.Event(), 0, 0
        while missed < TICKS - 1:
            pause.wait(self._tick)
            missed = missed + 1 if heard == self._heard else 0
            heard = self._heard
        self._expire()


def watched() -> None:
    """Start the process that ends what this one has started, when this one is killed. Only on Linux.

    Ray ends the children of a worker, and does not find those in sessions of their own.
    """
    if sys.platform != "linux" or not sys.executable:
        return
    mark = uuid.uuid4().hex
    program = Path(__file__).with_name("watch.py")
    watch = subprocess.Popen(
        [sys.executable, "-I", "-S", str(program), f"{_MARK}={mark}", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    watch.wait()  # it goes on as nobody's child
    # Open for as long as this process lives, whatever becomes of the object.
    if watch.stdin is not None:
        os.dup(watch.stdin.fileno())
    os.environ[_MARK] = mark
