"""The standard streams as byte streams, kept for the protocol alone.

What else the process prints goes to standard error: the descriptor of standard output is moved away, and standard error
put in its place. The descriptors stay in blocking mode, which others share: they are read and written only when that
does not wait.
"""

import os
import select
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync

__all__ = ("standard_io",)

_PIECE: Final = 65_536
_ATOMIC: Final = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe which is ready takes without waiting."""
_CLOSING_TIME: Final = 5.0
"""Seconds that a message which was begun has to be written in spite of a cancellation."""


@asynccontextmanager
async def standard_io() -> AsyncIterator[tuple[ByteReceiveStream, ByteSendStream]]:
    """Take the standard streams, until the block is left.

    Returns:
        A context manager that gives what is read and what is written.
    """
    sys.stdout.flush()
    source, output = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    try:
        yield _Input(source), _Output(output)
    finally:
        sys.stdout.flush()
        os.dup2(source, 0)
        os.dup2(output, 1)
        os.close(source)
        os.close(output)


def _can_be_waited_for(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and not stat.S_ISREG(mode)


class _Input(ByteReceiveStream):
    """Reads a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits = _can_be_waited_for(descriptor)

    async def receive(self, max_bytes: int = _PIECE) -> bytes:
        """Read what is there.

        Raises:
            anyio.EndOfStream: the other side has closed it.

        Cancellation:
            Before anything is read. On Windows, a thread is left behind that reads.
        """
        data = await self._read(max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def _read(self, max_bytes: int) -> bytes:
        if self._waits:
            try:
                await anyio.wait_readable(self._descriptor)
                return os.read(self._descriptor, max_bytes)
            except PermissionError:
                self._waits = False  # such as /dev/null, which epoll refuses
        return await run_sync(os.read, self._descriptor, max_bytes, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Do nothing: whoever has opened it closes it."""


class _Output(ByteSendStream):
    """Writes to a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waits = _can_be_waited_for(descriptor)

    async def send(self, item: bytes) -> None:
        """Write all of it.

        Raises:
            anyio.BrokenResourceError: nobody reads it any more.

        Cancellation:
            Before anything is written. What was begun has a few seconds to be written, then it passes on.
        """
        await checkpoint()
        rest = memoryview(item)
        try:
            while rest:
                rest = await self._write(rest)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_CLOSING_TIME, shield=True):
                while rest:
                    rest = await self._write(rest)
            raise
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def _write(self, data: memoryview) -> memoryview:
        if self._waits:
            try:
                await anyio.wait_writable(self._descriptor)
                return data[os.write(self._descriptor, data[:_ATOMIC]) :]
            except PermissionError:
                self._waits = False  # such as /dev/null, which epoll refuses
        return data[os.write(self._descriptor, data) :]

    async def aclose(self) -> None:
        """Do nothing: whoever has opened it closes it."""
