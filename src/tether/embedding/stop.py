"""The end of a program at a signal: what it does is cancelled, and cleans up.

Python raises KeyboardInterrupt at SIGINT. At SIGTERM, which is what `kill`, containers and service managers send, a
program that has no handler for it ends on the spot: nothing is cleaned up, and processes that it has started live on.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tether.embedding.task_group import open_task_group

__all__ = ("until_signal",)


@asynccontextmanager
async def until_signal(*numbers: signal.Signals) -> AsyncIterator[anyio.CancelScope]:
    """Cancel a block at a signal.

    Args:
        numbers: which signals; SIGTERM if none is named.

    Returns:
        A context manager that gives the scope of its block; `cancelled_caught` is true where a signal came. The
        program goes on behind the block. It must be entered in the main thread.

    Raises:
        Exception: what the block raised, as it was.

    Cancellation:
        Passes on.
    """
    with (
        anyio.open_signal_receiver(*(numbers or (signal.SIGTERM,))) as signals,
        anyio.CancelScope() as scope,
    ):

        async def wait() -> None:
            await anext(aiter(signals))
            scope.cancel()

        async with open_task_group() as tasks:
            tasks.start_soon(wait)
            yield scope
