"""Where what a person does comes from: plain lines here, a line editor in `tether.cli.editor`.

Both wait in a thread, which cannot be stopped, only left; what comes from there is a stream of inputs.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import ObjectReceiveStream

from tether.cli.conversation import Closed, Input, Interrupted, Said

__all__ = ("Send", "from_thread", "is_dumb", "plain_lines")

Send: TypeAlias = Callable[[Input], None]
"""Hands an input over, from the thread."""


def is_dumb() -> bool:
    """Say whether a line editor would not work here."""
    return not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb"


@asynccontextmanager
async def plain_lines() -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Read lines from standard input."""

    def read(send: Send) -> None:
        for line in sys.stdin:
            send(Said(line.rstrip("\n")))
        send(Closed())

    async with from_thread(read) as inputs:
        yield inputs


@asynccontextmanager
async def from_thread(read: Callable[[Send], None]) -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Run a function in a thread, and receive what it sends; Ctrl-C is received too.

    Args:
        read: is given a function that hands an input over, and returns when there are no more.

    Cancellation:
        The thread is left alone: whoever leaves the block sees to it that it ends.
    """
    send, inputs = anyio.create_memory_object_stream[Input](16)

    def work() -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            read(lambda one: anyio.from_thread.run(send.send, one))

    with send, inputs:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                # A thread that waits for a line cannot be stopped, only left.
                await anyio.to_thread.run_sync(work, abandon_on_cancel=True)

            async def watch() -> None:
                with anyio.open_signal_receiver(signal.SIGINT) as signals:
                    async for _ in signals:
                        await send.send(Interrupted())

            tasks.start_soon(wait)
            tasks.start_soon(watch)
            yield inputs
            tasks.cancel_scope.cancel()
