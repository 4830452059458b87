"""The process that ends what a worker has started, once the worker is gone.

A program by itself, run as `python -I -S watch.py NAME=VALUE PID`: the variable that everything has in its environment
that the worker has started, and the worker's id. Its standard input is a pipe, which ends with the worker. It waits a
moment then, in which supervisors of commands end those by themselves.
"""

import os
import select
import signal
import sys
import time

_MOMENT = 0.5
_TICK = 0.05
_LONGEST = 10.0


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _marked(mark: bytes) -> "list[int]":
    """The processes that have the mark in their environment."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as environment:
                    if mark in environment.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                continue  # it has ended, or is another user's
    return found


def _main(mark: bytes, worker: int) -> None:
    if os.fork():
        os._exit(0)
    # A child of the worker that was forked holds the pipe too.
    while not select.select([0], [], [], 1.0)[0] and _is_there(worker):
        pass
    time.sleep(_MOMENT)
    give_up = time.monotonic() + _LONGEST
    while (left := _marked(mark)) and time.monotonic() < give_up:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(_TICK)


if __name__ == "__main__":
    _main(sys.argv[1].encode(), int(sys.argv[2]))
