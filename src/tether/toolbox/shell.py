"""A tool that runs commands, and leaves none of their processes behind."""

import codecs
import math
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import Process

from tether import Tool, ToolContext, ToolResult, tool
from tether.toolbox.confinement import Root

__all__ = ("command_tool", "running_group")

GRACE: Final = 1.0
"""Seconds between asking a command to end and ending it."""
MAX_OUTPUT: Final = 32 * 1024
MAX_TIMEOUT: Final = 3600.0
_HEAD: Final = MAX_OUTPUT // 4
_LINE_TIME: Final = 0.1
"""Seconds after which the beginning of a line is shown."""
_PIECE: Final = 16 * 1024
_POLL: Final = 0.02
_PROC: Final = Path("/proc")
"""Where Linux tells of processes; elsewhere there is no such folder.

See proc(5): after the name in brackets come the state, the parent and the group.
"""
_STARTING_TIME: Final = 10.0


def command_tool(root: Root, *, grace: float = GRACE) -> Tool:
    """Make `run_command`, which starts in a root.

    Args:
        root: where commands start; they may go anywhere from there.
        grace: seconds between asking a command's processes to end (TERM) and ending them (KILL).

    Returns:
        The tool.
    """

    @tool(timeout=MAX_TIMEOUT + 60)
    async def run_command(
        command: str, context: ToolContext[Any], timeout: float = 120
    ) -> ToolResult:
        """Run a shell command in the working folder, and give its output.

        Args:
            command: what the shell is to run; it has no standard input
            context: takes the output as it comes
            timeout: seconds after which it is stopped, with every process it has started
        """
        timeout = min(max(timeout, 0.1), MAX_TIMEOUT)
        kept = _Output()
        code: int | None = None
        with anyio.move_on_after(timeout) as deadline:
            async with running_group(command, root.path, grace=grace) as process:
                await _follow(process, kept, context)
                code = await process.wait()
        if deadline.cancelled_caught:
            text = f"{kept.text()}\n[stopped after {timeout:g} s]"
            return ToolResult(text.lstrip("\n"), outcome="timeout")
        note = "" if code == 0 else f"\n[exit code {code}]"
        return ToolResult(f"{kept.text()}{note}".lstrip("\n"), details={"exit_code": code})

    return run_command


@asynccontextmanager
async def running_group(
    command: str, folder: Path, *, grace: float = GRACE
) -> AsyncIterator[Process]:
    """Run a shell command in a process group of its own.

    Args:
        command: what the shell is to run.
        folder: where.
        grace: seconds between asking the group to end and ending it.

    Returns:
        A context manager that gives the process. When its block is left no process of the group runs any
        more, and the shell has been waited for.

    Cancellation:
        The group is asked to end, given its grace, and ended; then it passes on. Cancelled again
        meanwhile, the group is ended at once.
    """
    # asyncio loses a process that is cancelled while it starts: then nobody could end it.
    with anyio.fail_after(_STARTING_TIME, shield=True):
        process = await anyio.open_process(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        try:
            with anyio.move_on_after(grace + 1, shield=True):
                await _end(process, grace)
        finally:
            _signal(process, signal.SIGKILL)
            with anyio.move_on_after(1, shield=True):
                await _read_to_the_end(process)


async def _follow(process: Process, kept: "_Output", context: ToolContext[Any]) -> None:
    """Pass output on as it comes, until the shell has ended; who still holds the pipe is not waited for."""
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            assert process.stdout is not None
            line = ""
            while True:
                # Whole lines are passed on; the beginning of one when nothing follows it for a while.
                with anyio.move_on_after(_LINE_TIME if line else math.inf) as waiting:
                    try:
                        piece = await process.stdout.receive(_PIECE)
                    except (
                        anyio.EndOfStream,
                        anyio.ClosedResourceError,
                        anyio.BrokenResourceError,
                    ):
                        break
                    line += kept.add(piece)
                end = line.rfind("\n") + 1
                if waiting.cancelled_caught or (not end and len(line) > _PIECE):
                    end = len(line)
                if end:
                    await context.update(line[:end])
                    line = line[end:]
            if line:
                await context.update(line)

        tasks.start_soon(read)
        await process.wait()
        # What the shell wrote last is in the pipe; a child in the background may keep it open for ever.
        with anyio.move_on_after(0.2):
            while not kept.is_quiet():  # noqa: ASYNC110 - nothing tells that no more will come
                await anyio.sleep(_POLL)
        tasks.cancel_scope.cancel()


async def _read_to_the_end(process: Process) -> None:
    """Empty the pipe: asyncio closes its end only once it has read all, however full it was."""
    if process.stdout is not None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            async for _ in process.stdout:
                pass
        await process.stdout.aclose()


async def _end(process: Process, grace: float) -> None:
    """Ask all processes of the group to end, and end those that have not after the grace."""
    if _signal(process, signal.SIGTERM):
        with anyio.move_on_after(grace):
            while _is_alive(process):  # noqa: ASYNC110 - nothing tells when a group is empty
                await anyio.sleep(_POLL)
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: Process, number: int) -> bool:
    """Send a signal to the whole group; False where nobody is left to get it."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            # Where there are no process groups, the shell alone can be ended.
            process.kill()
        return True
    return False


def _is_alive(process: Process) -> bool:
    if process.returncode is None:
        return True
    return hasattr(os, "killpg") and _signal(process, 0) and not _has_ended(process.pid)


def _has_ended(group: int) -> bool:
    """Say whether all processes of a group have ended, though nobody has taken note of it yet.

    Orphans are taken note of by the first process of the machine, which in a container may do so late or never.
    """
    if not _PROC.joinpath("self", "stat").exists():
        return False
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = path.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in {"Z", "X"}:
                return False
    return True


class _Output:
    """What a command has printed: its beginning and its end, whatever it printed between."""

    def __init__(self) -> None:
        self._head = ""
        self._tail = ""
        self._size = 0
        self._seen = -1
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> str:
        """Take in a piece, and return it as text; a character cut in two comes with the second half."""
        text = self._decoder.decode(piece)
        self._size += len(text)
        room = _HEAD - len(self._head)
        self._head += text[:room]
        self._tail = (self._tail + text[max(room, 0) :])[-(MAX_OUTPUT - _HEAD) :]
        return text

    def is_quiet(self) -> bool:
        """Say whether nothing has come since the last time."""
        quiet, self._seen = self._seen == self._size, self._size
        return quiet

    def text(self) -> str:
        """What is kept, and a note where something is missing."""
        missing = self._size - len(self._head) - len(self._tail)
        if not missing:
            return self._head + self._tail
        note = (
            f"\n[... {missing:,} characters left out; to see them, run the command again with its output "
            "in a file, and read that with read_file ...]\n"
        )
        return f"{self._head}{note}{self._tail}"
