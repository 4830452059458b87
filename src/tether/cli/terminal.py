"""Where inputs come from: plain lines here, a line editor in `tether.cli.editor`.

Both wait in a thread, which cannot be stopped, only left; what comes from there is a stream of inputs.
"""

import codecs
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from threading import Thread
from typing import Final, TextIO, TypeAlias

import anyio
import anyio.from_thread
from anyio.abc import ObjectReceiveStream
from anyio.lowlevel import current_token

from tether.cli.conversation import Closed, Input, Interrupted, Typed
from tether.cli.signals import can_take_signals
from tether.cli.streams import descriptor_of

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
        for line in _lines(sys.stdin):
            send(Typed(line.rstrip("\n")))
        send(Closed())

    async with from_thread(read) as inputs:
        yield inputs


def _lines(stream: TextIO) -> Iterator[str]:
    """Read lines without the lock of the stream: at its end Python wants it from a thread that still reads."""
    descriptor = descriptor_of(stream)
    if descriptor is None:
        yield from stream
        return
    decoder = codecs.getincrementaldecoder(stream.encoding)("replace")
    rest = ""
    with suppress(OSError):  # the terminal was closed
        while some := os.read(descriptor, 65536):
            *lines, rest = (rest + decoder.decode(some)).split("\n")
            yield from lines
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


@asynccontextmanager
async def from_thread(
    read: Callable[[Send], None], end: Callable[[], object] | None = None
) -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Run a function in a thread, and receive what it sends; Ctrl-C is received too.

    Args:
        read: takes the function that sends an input, and returns when there are no more.
        end: makes `read` return soon. Without it, the thread is abandoned when the block is left. The process does not
            wait for it at its end.

    Cancellation:
        The same as leaving the block: if there is `end`, waits for the thread, for a few seconds at most.
    """
    send, inputs = anyio.create_memory_object_stream[Input](math.inf)
    reader = _Reader(read, send.send_nowait)
    with send, inputs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.watched)
            tasks.start_soon(_send_interrupts, send.send_nowait)
            try:
                yield inputs
            finally:
                if end is not None:
                    end()
                    with anyio.move_on_after(_SECONDS_TO_END, shield=True):
                        await reader.ended.wait()
            tasks.cancel_scope.cancel()


async def _send_interrupts(send: Send) -> None:
    if can_take_signals():
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                send(Interrupted())


class _LeftError(Exception):
    """Nobody receives what the thread sends."""


class _Reader:
    """A thread that sends inputs. It has a thread of its own, as the process would wait for those of an event loop.

    Args:
        read: what to call in the thread.
        send: sends an input, in the event loop.
    """

    def __init__(self, read: Callable[[Send], None], send: Send) -> None:
        self.ended = anyio.Event()
        self._send = send
        self._token = current_token()
        self._failure: BaseException | None = None
        Thread(target=copy_context().run, args=(self._work, read), daemon=True).start()

    async def watched(self) -> None:
        """Wait for the end of the thread, and raise what it has raised.

        Cancellation:
            At once.
        """
        await self.ended.wait()
        if self._failure is not None:
            raise self._failure

    def _work(self, read: Callable[[Send], None]) -> None:
        try:
            read(self._pass_on)
        except _LeftError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised in the event loop
            self._failure = error
        with suppress(RuntimeError):  # the event loop has ended
            anyio.from_thread.run_sync(self.ended.set, token=self._token)

    def _pass_on(self, one: Input) -> None:
        try:
            anyio.from_thread.run_sync(self._send, one, token=self._token)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, RuntimeError) as error:
            raise _LeftError from error
