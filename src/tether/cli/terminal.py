"""Where inputs come from: plain lines here, a line editor in `tether.cli.editor`.

Both wait in a thread, which cannot be stopped, only left; what comes from there is a stream of inputs.
"""

import codecs
import math
import os
import select
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from threading import Thread
from typing import Final, TypeAlias

import anyio
import anyio.from_thread
from anyio.abc import ObjectReceiveStream
from anyio.lowlevel import current_token

from tether.cli.conversation import Closed, Conversation, Input, Interrupted, Typed
from tether.cli.keyboard import forget_typed
from tether.cli.question import Question
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
        descriptor = descriptor_of(sys.stdin)
        if descriptor is None:
            yield from (Typed(line.rstrip("\n"), answers=self._drawn) for line in sys.stdin)
            return
        decoder = codecs.getincrementaldecoder(sys.stdin.encoding)("replace")
        rest = ""
        while (read := self._read(descriptor)) is not None:
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
        except BaseException as error:  # noqa: ASYNC103, BLE001 - it is raised in the event loop
            self._failure = error
        with suppress(RuntimeError):  # the event loop has ended
            anyio.from_thread.run_sync(self.ended.set, token=self._token)

    def _pass_on(self, one: Input) -> None:
        try:
            anyio.from_thread.run_sync(self._send, one, token=self._token)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, RuntimeError) as error:
            raise _LeftError from error
