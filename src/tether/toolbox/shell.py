"""Tools that run commands, and leave none of their processes behind."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import anyio

from tether import Tool, ToolContext, ToolResult, tool
from tether.toolbox.confinement import Root
from tether.toolbox.environment import command_environment
from tether.toolbox.jobs import Job
from tether.toolbox.kept_output import KeptOutput
from tether.toolbox.supervised import GRACE, Supervised, supervised

__all__ = ("command_tool", "output_tool", "stop_tool")

MAX_TIMEOUT: Final = 3600.0
_LINE_TIME: Final = 0.1
"""Seconds after which the beginning of a line is shown."""
_LINE: Final = 16 * 1024
"""Characters after which a line is shown that has not come to its end."""
_FIRST: Final = 0.3
"""Seconds in which a command in the background may fail before the model is told that it runs."""
_ENDING: Final = 5.0
"""Seconds that the end of a command takes at most, beside the grace."""


def command_tool(root: Root, *, grace: float = GRACE, keep_env: Iterable[str] = ()) -> Tool:
    """Make `run_command`, which starts in a root.

    On Linux, all processes that a command has started end with it, wherever they went: `setsid`, a process group of
    their own, or a double fork do not lead out of reach. Elsewhere, a process that leaves the command's process group
    and loses its parent cannot be found; where it holds the command's output open, the result says so. Nowhere does
    this hold for what others start for a command, such as a service manager or a container engine, nor for a process
    of another user, as with `sudo`: one that could not be ended is named in the result.

    A command in the background ends with the block of `Agent.opened`, or else with the run.

    Args:
        root: where commands start; they may go anywhere from there.
        grace: seconds between asking a command's processes to end (TERM) and ending them (KILL).
        keep_env: environment variables that commands get although they look like secrets: names, or patterns such
            as `AWS_*`; `*` is all. See `tether.toolbox.environment`.

    Returns:
        The tool.

    Raises:
        TypeError: `keep_env` is a string.
    """
    if isinstance(keep_env, str):
        raise TypeError(f"keep_env is a list of names, such as [{keep_env!r}]")
    kept = tuple(keep_env)

    @tool(timeout=MAX_TIMEOUT + 60, title="Run a command", kind="execute", destructive=True)
    async def run_command(
        command: str, context: ToolContext[Any], timeout: float = 120, background: bool = False
    ) -> ToolResult:
        """Run a shell command in the working folder, and give its output.

        When it returns, every process that it has started is ended, those in the background too.

        Args:
            command: what the shell is to run; it has no standard input
            context: takes the output as it comes
            timeout: seconds after which it is stopped, with every process it has started
            background: let it run on without a timeout, such as a server, until it is stopped or the conversation is
                over; the result has its id, for read_output and stop
        """
        environment = command_environment(kept)
        if background:
            running = supervised(command, root.path, environment, grace=grace, until="while_any")
            job = await root.jobs.start(context, running)
            await job.wait_over(_FIRST)
            return _state(job)
        async with supervised(command, root.path, environment, grace=grace) as process:
            return await _result(process, context, min(max(timeout, 0.1), MAX_TIMEOUT), grace)

    return run_command


def output_tool(root: Root) -> Tool:
    """Make `read_output`, for commands that run in the background.

    Args:
        root: that of the `run_command` which started them.

    Returns:
        The tool.
    """

    @tool(timeout=MAX_TIMEOUT + 60, title="Read a command's output", kind="read", read_only=True)
    async def read_output(id: str, wait: float = 0) -> ToolResult:
        """Read what a command in the background has printed since it was last read, and whether it still runs.

        Args:
            id: the command's id, from run_command
            wait: seconds to wait for output or for its end, where there is nothing new
        """
        job = root.jobs.find(id)
        await job.wait(min(max(wait, 0.0), MAX_TIMEOUT))
        return _state(job)

    return read_output


def stop_tool(root: Root) -> Tool:
    """Make `stop`, for commands that run in the background.

    Args:
        root: that of the `run_command` which started them.

    Returns:
        The tool.
    """

    # It ends what this conversation has started, and nothing else.
    @tool(title="Stop a command", kind="execute", destructive=False, idempotent=True)
    async def stop(id: str) -> ToolResult:
        """End a command in the background, with every process it has started, and read the rest of its output.

        Args:
            id: the command's id, from run_command
        """
        job = root.jobs.find(id)
        await job.stop()
        return _state(job)

    return stop


async def _result(
    process: Supervised, context: ToolContext[Any], seconds: float, grace: float
) -> ToolResult:
    """Follow a command to its end, for some time at most."""
    kept = KeptOutput()
    with anyio.move_on_after(seconds) as deadline:
        await _follow(process, kept, context)
    if not deadline.cancelled_caught:
        return _over(process, kept.text())
    process.stop()
    # What it says while it ends is a part of its output.
    with anyio.move_on_after(grace + _ENDING):
        await _follow(process, kept, context)
    notes = [f"[stopped after {seconds:g} s]", *_remains(process)]
    return ToolResult(_joined(kept.text(), notes), outcome="timeout")


async def _follow(process: Supervised, kept: KeptOutput, context: ToolContext[Any]) -> None:
    """Pass output on as it comes: whole lines, and the beginning of one when nothing follows it for a while."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.listen)
        line = ""
        while True:
            with anyio.move_on_after(_LINE_TIME if line else math.inf) as waiting:
                piece = await process.receive()
                if not piece:
                    break
                line += kept.add(piece)
            end = line.rfind("\n") + 1
            if waiting.cancelled_caught or (not end and len(line) > _LINE):
                end = len(line)
            if end:
                await context.update(line[:end])
                line = line[end:]
        if line:
            await context.update(line)


def _state(job: Job) -> ToolResult:
    """Say what a command in the background has printed, and how it stands."""
    text, command = job.take(), job.command
    if command.is_over:
        return _over(command, text)
    note = f"[running in the background, id {job.id}"
    if command.exit_code is not None:
        note += f"; its shell has ended with exit code {command.exit_code}"
    return ToolResult(_joined(text, [f"{note}]"]), details={"id": job.id})


def _over(command: Supervised, text: str) -> ToolResult:
    """Make the result of a command that is over."""
    if command.is_lost:
        raise ChildProcessError(
            "what watches the command was killed, or could not start; some of its processes may be left. "
            f"It had printed: {text or 'nothing'}"
        )
    notes = [] if command.exit_code == 0 else [f"[exit code {command.exit_code}]"]
    details: dict[str, Any] = {"exit_code": command.exit_code}
    if command.ended:
        details["ended"] = [*command.ended]
        notes.append(
            f"[ended what was still running in the background: {', '.join(command.ended)}; "
            "only run_command with background=true keeps it running]"
        )
    return ToolResult(_joined(text, [*notes, *_remains(command)]), details=details)


def _remains(command: Supervised) -> Sequence[str]:
    """Say what of a command that is over may still run."""
    if command.left:
        return [f"[could not be ended, and still running: {', '.join(command.left)}]"]
    if command.is_held:
        return [
            "[a process that has left the command's process group still runs: this system cannot find it]"
        ]
    return []


def _joined(text: str, notes: Sequence[str]) -> str:
    return "\n".join([text, *notes]).lstrip("\n") if notes else text.lstrip("\n")
