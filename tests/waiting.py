"""Waiting in tests."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import anyio.lowlevel
import pytest

__all__ = ("failing_after", "until_blocked")


@contextmanager
def failing_after(seconds: float) -> Iterator[None]:
    """Fail the test whose block is not left in time, from outside of any event loop: it may be the loop that is stuck.

    Args:
        seconds: wall time. A block around this one keeps the time that it had left.
    """

    def ring(*_: object) -> None:
        pytest.fail(f"stuck: not done within {seconds:g} seconds")

    if not hasattr(signal, "SIGALRM"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)


async def until_blocked() -> None:
    """Let all tasks go on until they wait for something.

    In place of anyio's `wait_all_tasks_blocked`, which takes a tenth of a second on asyncio: so many steps are
    enough for every program here, and threads, sockets and clocks are not waited for.
    """
    for _ in range(60):
        await anyio.lowlevel.checkpoint()
