"""Keep what is not simulated from making a difference: worker threads, chance, the garbage collector, logs."""

import gc
import logging
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread
from anyio.lowlevel import checkpoint

from tether.testing._garbage import set_aside

__all__ = ("only_simulated",)


@contextmanager
def only_simulated() -> Generator[None, None, None]:
    """Simulate in a block, and put everything back behind it.

    Nothing is collected by chance: an async generator that is dropped would be closed in the middle of another run.
    """
    state = random.getstate()
    threads: Any = anyio.to_thread
    run_sync, threads.run_sync = threads.run_sync, _called_here
    loggers = [logging.getLogger(name) for name in ("tether", "asyncio")]
    were_disabled = [logger.disabled for logger in loggers]
    collects = gc.isenabled()
    for logger in loggers:
        logger.disabled = True
    try:
        with set_aside():
            gc.disable()
            yield
    finally:
        if collects:
            gc.enable()
        for logger, was_disabled in zip(loggers, were_disabled, strict=True):
            logger.disabled = was_disabled
        threads.run_sync = run_sync
        random.setstate(state)


async def _called_here(function: Callable[..., Any], *args: Any, **_: Any) -> Any:
    """Stand in for `anyio.to_thread.run_sync`: a thread would not answer to the simulation."""
    await checkpoint()
    result = function(*args)
    await checkpoint()
    return result
