"""A server as a process: its messages are lines on its standard input and output. Bounded on the way in."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeAlias

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field
from mcp.shared.message import SessionMessage

from mcp import types
from tether.mcp.printable import one_line
from tether.mcp.specs import Stdio
from tether.mcp.wire import Wire
from tether.toolbox.environment import command_environment

__all__ = ("process_streams",)

LARGEST_MESSAGE: Final = 32 * 1024 * 1024
"""Bytes of one message of a server."""
_GRACE: Final = 1.0
"""Seconds that a server has to end by itself, and again once it was asked to."""
_CLOSING: Final = 5.0
_STARTING: Final = 10.0
"""Seconds that the system has to start a process."""
_LONGEST_LINE: Final = 1000

Incoming: TypeAlias = SessionMessage | Exception


class _MessageTooLargeError(Exception):
    """A line has no end."""


@define
class _Lines:
    """Cuts what arrives into lines, of at most `limit` bytes."""

    limit: int
    _parts: list[bytes] = field(factory=list)
    _size: int = 0

    def fed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk, and give the lines that are complete.

        Raises:
            _MessageTooLargeError: a line has more bytes than the limit.
        """
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            yield b"".join([*self._parts, line])
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        if self._size > self.limit:
            raise _MessageTooLargeError


@asynccontextmanager
async def process_streams(
    spec: Stdio, wire: Wire
) -> AsyncIterator[
    tuple[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]]
]:
    """Start a server as a process, and give the streams of its messages.

    It gets no variables of the environment that hold keys. Its standard error is read, and the last lines are kept.

    Args:
        spec: the program.
        wire: where its last lines are kept, and what went wrong.

    Returns:
        A context manager that gives the streams. Leaving it ends the process, and what else is in its group.

    Raises:
        OSError: it cannot be started.

    Cancellation:
        Ends the process within seconds, and passes on.
    """
    # A cancellation in the middle of it would leave behind a process that nobody knows.
    with anyio.fail_after(_STARTING, shield=True):
        process = await anyio.open_process(
            [spec.command, *spec.args],
            env={**command_environment(spec.keep_env), **spec.env},
            cwd=spec.cwd,
            start_new_session=True,
        )
    to_us, arrived = anyio.create_memory_object_stream[Incoming](0)
    to_send, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        with to_us, arrived, to_send, outgoing:
            async with anyio.create_task_group() as tasks:
                heard, gone = anyio.Event(), anyio.Event()
                tasks.start_soon(_read_messages, process, to_us, wire, gone)
                tasks.start_soon(_write_messages, process, outgoing, gone)
                tasks.start_soon(_read_errors, process, wire, heard)
                try:
                    yield arrived, to_send
                finally:
                    by_itself = gone.is_set() or process.returncode is not None
                    with anyio.move_on_after(_CLOSING, shield=True):
                        await _ended(process)
                        await heard.wait()
                    if by_itself and wire.trouble is None:
                        wire.trouble = f"the program has ended with exit code {process.returncode}"
                    tasks.cancel_scope.cancel()
    finally:
        with anyio.move_on_after(_GRACE, shield=True):
            await process.aclose()


async def _read_messages(
    process: anyio.abc.Process,
    to_us: MemoryObjectSendStream[Incoming],
    wire: Wire,
    gone: anyio.Event,
) -> None:
    """Pass on messages until the end of the output; a line that is none is passed on as the error that it is."""
    assert process.stdout is not None
    lines = _Lines(LARGEST_MESSAGE)
    with to_us, suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        try:
            async for chunk in process.stdout:
                for line in lines.fed(chunk):
                    if line.strip():
                        await to_us.send(_message(line, wire))
            gone.set()
        except _MessageTooLargeError:
            wire.trouble = f"it sent a message of more than {LARGEST_MESSAGE:,} bytes"


def _message(line: bytes, wire: Wire) -> Incoming:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        began = one_line(line[:_LONGEST_LINE].decode("utf-8", "replace"), 100)
        wire.trouble = f"it wrote what is no message on its standard output: {began!r}"
        return error


async def _write_messages(
    process: anyio.abc.Process,
    outgoing: MemoryObjectReceiveStream[SessionMessage],
    gone: anyio.Event,
) -> None:
    assert process.stdin is not None
    with outgoing, suppress(anyio.ClosedResourceError):
        async for message in outgoing:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                await process.stdin.send(text.encode() + b"\n")
            except (anyio.BrokenResourceError, OSError):
                gone.set()
                break


async def _read_errors(process: anyio.abc.Process, wire: Wire, heard: anyio.Event) -> None:
    """Keep the last lines of the standard error, which never fills up so."""
    assert process.stderr is not None
    rest = b""
    try:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            async for chunk in process.stderr:
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[-_LONGEST_LINE:]
                for line in lines[-wire.last_words.maxlen :] if wire.last_words.maxlen else lines:
                    _keep(line, wire)
    finally:
        _keep(rest, wire)
        heard.set()


def _keep(line: bytes, wire: Wire) -> None:
    if text := one_line(line[:_LONGEST_LINE].decode("utf-8", "replace"), 300):
        wire.last_words.append(text)


async def _ended(process: anyio.abc.Process) -> None:
    """End a process: close its input, ask it, end it."""
    with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        if process.stdin is not None:
            await process.stdin.aclose()
    if not await _over(process):
        _signal_group(process, signal.SIGTERM)
        if not await _over(process):
            _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))  # what it has left behind


async def _over(process: anyio.abc.Process) -> bool:
    with anyio.move_on_after(_GRACE):
        while process.returncode is None:  # noqa: ASYNC110 - no event says it
            # Not `wait`: on asyncio that waits for the ends of the pipes, which a child of the process may hold.
            await anyio.sleep(0.01)
    return process.returncode is not None


def _signal_group(process: anyio.abc.Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        elif process.returncode is None:
            process.send_signal(signal.Signals(number))
