"""A command that runs under its supervisor, as the tools see it. Nothing of it belongs to an event loop."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import anyio
import anyio.lowlevel
from attrs import define, field

__all__ = ("GRACE", "Supervised", "supervised")

GRACE: Final = 1.0
"""Seconds between asking a command to end and ending it."""
_MARGIN: Final = 3.0
"""Seconds that a supervisor has to end what does not want to, beside the grace."""
_AT_ONCE: Final = 1.0
"""Seconds in which a supervisor ends all, where no grace is given."""
_MAX_COMMAND: Final = 128 * 1024 - 64
"""Bytes that Linux hands over as one argument, and some to spare."""
_PIECE: Final = 16 * 1024
_PIPE: Final = 1024 * 1024
"""Bytes that a pipe may hold."""
_NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)
"""A supervisor that has ended is no reason for a SIGPIPE, which may end a program."""
_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")


@define(eq=False)
class Supervised:
    """A command that runs. Made by `supervised`."""

    _process: subprocess.Popen[bytes]
    _output: int
    _orders: socket.socket
    exit_code: int | None = field(default=None, init=False)
    """How its shell has ended, negative for a signal; None as long as it has not."""
    ended: list[str] = field(factory=list, init=False)
    """Processes that still ran when the command was over, and were ended."""
    left: list[str] = field(factory=list, init=False)
    """Processes that could not be ended."""
    is_over: bool = field(default=False, init=False)
    """Nothing of it is left, as far as is known; the supervisor has ended."""
    is_held: bool = field(default=False, init=False)
    """It is over and its output was read, and yet somebody holds that open."""
    _shell: int | None = field(default=None, init=False)
    _rest: bytes = field(default=b"", init=False)
    """The beginning of a report."""
    _is_complete: bool = field(default=False, init=False)
    _unread: int = field(default=_PIPE, init=False)
    """Bytes that are still read once it is over; none once the output has come to its end."""
    _waiting: anyio.CancelScope | None = field(default=None, init=False)

    @property
    def is_lost(self) -> bool:
        """Its supervisor was killed: nobody knows what is left of it."""
        return self.is_over and not self._is_complete

    def stop(self) -> None:
        """Ask its processes to end; after the grace they are ended."""
        self._order(b"stop")

    async def follow(self, take: Callable[[bytes], Awaitable[object]]) -> None:
        """Pass on output until the command is over. Whoever still holds the pipe then is not waited for.

        Args:
            take: given each piece.

        Cancellation:
            At once; the command runs on.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.listen)
            while piece := await self.receive():
                await take(piece)

    async def receive(self) -> bytes:
        """Wait for the next piece of output.

        Returns:
            The piece; nothing at the end.

        Cancellation:
            At once; nothing is lost.
        """
        await anyio.lowlevel.checkpoint()
        while self._unread > 0:
            with suppress(BlockingIOError):
                return self._counted(os.read(self._output, _PIECE))
            if self.is_over:
                self.is_held = True
                break
            with anyio.CancelScope() as self._waiting:
                await anyio.wait_readable(self._output)
        return b""

    def _counted(self, piece: bytes) -> bytes:
        if not piece:
            self._unread = 0
        elif self.is_over:
            self._unread -= len(piece)
            self.is_held = self._unread <= 0
        return piece

    async def listen(self) -> None:
        """Take in what the supervisor reports, until it has ended.

        Cancellation:
            At once; nothing is lost.
        """
        while said := await self._said():
            *lines, self._rest = (self._rest + said).split(b"\n")
            for line in lines:
                self._note(line.decode(errors="replace"))
        self.is_over = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _said(self) -> bytes:
        while True:
            try:
                return self._orders.recv(4096)
            except BlockingIOError:
                await anyio.wait_readable(self._orders)
            except OSError:
                return b""

    def _note(self, line: str) -> None:
        what, _, rest = line.partition(" ")
        pid, _, name = rest.partition(" ")
        match what:
            case "shell":
                self._shell = int(pid)
            case "exit":
                self.exit_code = int(pid)
            case "ended" | "left":
                kept = self.ended if what == "ended" else self.left
                kept.append(f"{name or 'a process'} (pid {pid})")
            case _:
                self._is_complete = True

    def _order(self, order: bytes) -> None:
        with suppress(OSError):
            self._orders.send(order, _NO_SIGNAL)

    def close(self) -> None:
        """Let go of it: what still runs is killed, and a moment is waited for that, without the event loop."""
        if not self.is_over:
            self._order(b"kill")
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_AT_ONCE)
            self._process.kill()
        self._process.wait()
        if self.is_lost and self._shell is not None and self.exit_code is None:
            with suppress(OSError):
                os.killpg(self._shell, signal.SIGKILL)
        self._orders.close()
        os.close(self._output)


@asynccontextmanager
async def supervised(
    command: str,
    folder: Path,
    environment: Mapping[str, str],
    *,
    grace: float = GRACE,
    until: Literal["while_shell", "while_any"] = "while_shell",
) -> AsyncIterator[Supervised]:
    """Run a shell command under a supervisor.

    Args:
        command: what the shell is to run.
        folder: where.
        environment: its environment variables.
        grace: seconds between asking processes to end and ending them.
        until: whether the command is over when its shell has ended, or when all that it has started has.

    Returns:
        A context manager that gives the command. When its block is left, none of its processes runs any more. Except
        on Linux, a process escapes that leaves the command's process group and loses its parent.

    Raises:
        OSError: the supervisor cannot be started, or there is no such folder.
        ValueError: the command is too long, or holds a NUL.
        NotImplementedError: the system has no `fork`, or the program no interpreter.

    Cancellation:
        The processes are asked to end, given their grace, and ended; then it passes on. A native cancellation of
        asyncio meanwhile ends them at once.
    """
    process = _start(command, folder, environment, [until, _reach(), str(grace)])
    try:
        yield process
    finally:
        try:
            with anyio.move_on_after(grace + _MARGIN, shield=True):
                process.stop()
                await process.follow(_discard)
        finally:
            process.close()


async def _discard(_: bytes) -> None: ...


def _reach() -> str:
    return "all" if sys.platform == "linux" else "group"


def _start(
    command: str, folder: Path, environment: Mapping[str, str], arguments: list[str]
) -> Supervised:
    if not hasattr(os, "fork") or getattr(sys, "frozen", False) or not sys.executable:
        raise NotImplementedError(
            "commands need a POSIX system, and a Python interpreter to watch them"
        )
    if (size := len(os.fsencode(command))) > _MAX_COMMAND:
        raise ValueError(f"a command of {size:,} bytes is too long for a shell: put it into a file")
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), *arguments],
            cwd=folder,
            env={**environment, "TETHER_COMMAND": command},
            stdin=theirs.fileno(),
            stdout=writing,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        os.close(reading)
        raise
    finally:
        theirs.close()
        os.close(writing)
    ours.setblocking(False)
    os.set_blocking(reading, False)
    return Supervised(process, reading, ours)
