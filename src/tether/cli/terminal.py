"""Where inputs come from: plain lines here, a line editor in `tether.cli.editor`.

Both wait in a thread, which cannot be stopped, only left; what comes from there is a stream of inputs.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import ObjectReceiveStream

from tether.cli.conversation import Closed, Input, Interrupted, Typed

__all__ = ()

Send: TypeAlias = Callable[[Input], None]
"""Sends an input, from the thread."""

_SECONDS_TO_END: Final = 3


def is_dumb() -> bool:
    """Say whether this terminal is too simple for a line editor."""
    return not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb"


@asynccontextmanager
async def plain_lines() -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Read lines from standard input."""

    def read(send: Send) -> None:
        for line in sys.stdin:
            send(Typed(line.rstrip("\n")))
        send(Closed())

    async with from_thread(read) as inputs:
        yield inputs


@asynccontextmanager
async def from_thread(
    read: Callable[[Send], None], end: Callable[[], object] | None = None
) -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Run a function in a thread, and receive what it sends; Ctrl-C is received too.

    Args:
        read: takes the function that sends an input, and returns when there are no more.
        end: makes `read` return soon. Without it, the thread is abandoned when the block is left.

    Cancellation:
        The same as leaving the block: if there is `end`, waits for the thread, for a few seconds at most.
    """
    send, inputs = anyio.create_memory_object_stream[Input](16)

    def work() -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            read(lambda one: anyio.from_thread.run(send.send, one))

    ended = anyio.Event()

    with send, inputs:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                try:
                    # A thread that waits for a line cannot be stopped, only left.
                    await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
                finally:
                    ended.set()

            async def watch() -> None:
                with anyio.open_signal_receiver(signal.SIGINT) as signals:
                    async for _ in signals:
                        await send.send(Interrupted())

            tasks.start_soon(wait)
            tasks.start_soon(watch)
            try:
                yield inputs
            finally:
                if end is not None:
                    end()
                    with anyio.move_on_after(_SECONDS_TO_END, shield=True):
                        await ended.wait()
            tasks.cancel_scope.cancel()
