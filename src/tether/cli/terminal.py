"""Where inputs come from: plain lines here, a line editor in `tether.cli.editor`.

Both wait in a thread, which cannot be stopped, only left; what comes from there is a stream of inputs.
"""

import codecs
import os
import select
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import ObjectReceiveStream

from tether.cli.conversation import Closed, Conversation, Input, Interrupted, Typed
from tether.cli.keyboard import forget_typed
from tether.cli.question import Question

__all__ = ()

Send: TypeAlias = Callable[[Input], None]
"""Sends an input, from the thread."""

_SECONDS_TO_END: Final = 3


def is_dumb() -> bool:
    """Say whether this terminal is too simple for a line editor."""
    return not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb"


@asynccontextmanager
async def plain_lines(conversation: Conversation) -> AsyncIterator[ObjectReceiveStream[Input]]:
    """Read lines from standard input, and print the questions of a conversation."""
    lines = _PlainLines(conversation)
    conversation.draw_question = lines.draw_question

    def read(send: Send) -> None:
        for one in lines.typed():
            send(one)
        send(Closed())

    async with from_thread(read) as inputs:
        yield inputs


class _PlainLines:
    """Lines of standard input, each with the question that had been drawn when it was ended."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._drawing = threading.Lock()
        self._drawn: Question | None = None

    def draw_question(self, asked: Question | None) -> None:
        """Print a question, and throw away what was typed before; None takes it back."""
        with self._drawing:
            if asked is not None:
                forget_typed()
                self._conversation.tell(asked.drawn)
            self._drawn = asked

    def typed(self) -> Iterator[Typed]:
        """Read line by line, in a thread; the line behind a question is its answer."""
        decoder = codecs.getincrementaldecoder(sys.stdin.encoding)("replace")
        rest = ""
        while (read := self._read(sys.stdin.fileno())) is not None:
            some, asked = read
            *lines, rest = (rest + decoder.decode(some)).split("\n")
            for line in lines:
                yield Typed(line, answers=asked)
                asked = None
        if rest:
            yield Typed(rest)

    def _read(self, descriptor: int) -> tuple[bytes, Question | None] | None:
        """Wait for what is typed, and take it before or after a question is drawn, never meanwhile."""
        while True:
            _wait(descriptor, None)
            with self._drawing:
                if not _wait(descriptor, 0):
                    continue  # it was thrown away
                some = _taken(descriptor)
                if not some:
                    return None
                asked = self._drawn if b"\n" in some else None
                if asked is not None:
                    self._drawn = None
                return some, asked


def _taken(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the terminal was closed
        return b""


def _wait(descriptor: int, seconds: float | None) -> bool:
    """Wait until there is something to read, and say whether there is."""
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    except (OSError, ValueError):  # Windows waits for sockets alone
        return True


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
