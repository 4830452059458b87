"""Tools over the editor: its files, with what is not saved yet, and its terminals.

They stand in for the toolbox's tools of the same names, and take the same arguments.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
from attrs import evolve, frozen

from tether import Tool, ToolContext, ToolResult, tool
from tether.acp.jsonrpc import RpcError
from tether.acp.updates import TERMINAL
from tether.toolbox.confinement import Root

__all__ = ("Capabilities", "in_editor")

Ask: TypeAlias = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls a method of the editor within a session."""

_MAX_LINES: Final = 2_000
_MAX_OUTPUT: Final = 65_536
"""Bytes of a command's output that the editor keeps: its end."""
_CLOSING_TIME: Final = 5.0
"""Seconds that the editor has to end a command that is cancelled."""
_IMAGES: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp")


@frozen
class Capabilities:
    """What an editor offers."""

    reads: bool = False
    writes: bool = False
    terminal: bool = False

    @classmethod
    def of(cls, said: Any) -> "Capabilities":
        """Read what a client says of itself; what is not there is not offered."""
        said = said if isinstance(said, dict) else {}
        files = said.get("fs")
        files = files if isinstance(files, dict) else {}
        return cls(
            files.get("readTextFile") is True,
            files.get("writeTextFile") is True,
            said.get("terminal") is True,
        )


def in_editor(
    tools: Iterable[Tool], ask: Ask, capabilities: Capabilities, folder: Path
) -> Sequence[Tool]:
    """Put tools over the editor in the place of those of the same names.

    Args:
        tools: the tools of an agent.
        ask: calls a method of the editor.
        capabilities: what the editor offers.
        folder: the working folder, which files are confined to.

    Returns:
        The tools; those for commands in the background are left out where commands run in the editor.
    """
    root, tools = Root(folder), list(tools)
    known = {one.name: one for one in tools}
    made: dict[str, Callable[..., Any]] = {}
    if capabilities.reads:
        made["read_file"] = _read_file(root, ask, known.get("read_file"))
    if capabilities.writes:
        made["write_file"] = _write_file(root, ask)
    if capabilities.reads and capabilities.writes:
        made["edit_file"] = _edit_file(root, ask)
    if capabilities.terminal:
        made["run_command"] = _run_command(root, ask)
        jobs = dict.fromkeys(["read_output", "stop"])
        tools = [one for one in tools if not _is_replaced(one, jobs)]
    return [_like(one, made[one.name]) if _is_replaced(one, made) else one for one in tools]


def _is_replaced(old: Tool, made: Mapping[str, Any]) -> bool:
    """Whether a tool is one of the toolbox, and no other of the same name."""
    return old.name in made and old.function.__module__.startswith("tether.toolbox.")


def _like(old: Tool, function: Callable[..., Any]) -> Tool:
    """Make a tool that people and approvals take for another."""
    return evolve(
        tool(function),
        title=old.title,
        kind=old.kind,
        read_only=old.read_only,
        destructive=old.destructive,
        idempotent=old.idempotent,
        sequential=old.sequential,
        timeout=old.timeout,
    )


def _read_file(root: Root, ask: Ask, on_disk: Tool | None) -> Callable[..., Any]:
    async def read_file(path: str, offset: int = 1, limit: int = _MAX_LINES) -> str | ToolResult:
        """Read a text file, or look at an image.

        Long files come in pieces; the last line says how to read on.

        Args:
            path: file to read, relative to the working folder
            offset: the first line to read, counted from 1
            limit: how many lines to read at most
        """
        located = root.locate(path)
        if on_disk is not None and located.suffix.lower() in _IMAGES:
            image: str | ToolResult = await on_disk(path=path)
            return image
        first = max(1, offset)
        lines = (await _text(ask, located)).splitlines(keepends=True)
        piece = lines[first - 1 : first - 1 + max(1, limit)]
        if not piece:
            return f"[{path} has {len(lines)} lines]"
        left = len(lines) - (first - 1 + len(piece))
        note = f"\n[{left} more lines; go on at offset {first + len(piece)}]" if left else ""
        return "".join(piece) + note

    return read_file


def _write_file(root: Root, ask: Ask) -> Callable[..., Any]:
    async def write_file(path: str, content: str) -> str:
        """Write a text file, in place of the one that may be there.

        Args:
            path: file to write, relative to the working folder
            content: the whole new content
        """
        located = root.locate(path)
        await ask("fs/write_text_file", {"path": str(located), "content": content})
        return f"wrote {len(content.encode()):,} bytes to {path}"

    return write_file


def _edit_file(root: Root, ask: Ask) -> Callable[..., Any]:
    async def edit_file(path: str, old: str, new: str, all_places: bool = False) -> str:  # noqa: FBT001, FBT002 - models name them
        """Replace text in a file.

        Args:
            path: file to edit, relative to the working folder
            old: the text to replace, exactly as it stands there, with enough around it to be unique
            new: the text to put in its place
            all_places: replace it everywhere instead
        """
        located = root.locate(path)
        text = await _text(ask, located)
        places = text.count(old) if old else 0
        if not places:
            raise ValueError(f"`old` does not stand in {path}" if old else "`old` is empty")
        if places > 1 and not all_places:
            raise ValueError(
                f"`old` stands in {places} places of {path}: give more of what is around it, "
                "or set all_places"
            )
        await ask("fs/write_text_file", {"path": str(located), "content": text.replace(old, new)})
        return f"replaced {places} place{'s' if places > 1 else ''} in {path}"

    return edit_file


async def _text(ask: Ask, path: Path) -> str:
    match await ask("fs/read_text_file", {"path": str(path)}):
        case {"content": str(content)}:
            return content
        case other:
            raise ValueError(f"the editor gave no content: {other!r:.200}")


def _run_command(root: Root, ask: Ask) -> Callable[..., Any]:
    async def run_command(
        command: str,
        context: ToolContext[Any],
        timeout: float = 120,  # noqa: ASYNC109 - models give it
    ) -> ToolResult:
        """Run a shell command in the working folder, in a terminal that the user sees.

        Args:
            command: what the shell is to run; it has no standard input
            context: takes the terminal
            timeout: seconds after which it is stopped
        """
        shell = ["cmd", "/c"] if os.name == "nt" else ["sh", "-c"]
        made = await ask(
            "terminal/create",
            {
                "command": shell[0],
                "args": [*shell[1:], command],
                "cwd": str(root.path),
                "outputByteLimit": _MAX_OUTPUT,
            },
        )
        terminal = {"terminalId": _field(made, "terminalId")}
        try:
            await context.update(details={TERMINAL: terminal["terminalId"]})
            ended: Any = None
            with anyio.move_on_after(timeout):
                ended = await ask("terminal/wait_for_exit", terminal)
            if ended is None:
                await ask("terminal/kill", terminal)
            said = await ask("terminal/output", terminal)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_CLOSING_TIME, shield=True), suppress(RpcError):
                await ask("terminal/kill", terminal)
            raise
        finally:
            with anyio.move_on_after(_CLOSING_TIME, shield=True), suppress(RpcError):
                await ask("terminal/release", terminal)
        return _result(said, ended)

    return run_command


def _result(said: Any, ended: Any) -> ToolResult:
    output = _field(said, "output")
    if isinstance(said, Mapping) and said.get("truncated") is True:
        output = f"[the beginning is cut off]\n{output}"
    if ended is None:
        return ToolResult(f"{output}\n[stopped: it took too long]", outcome="timeout")
    code = ended.get("exitCode") if isinstance(ended, Mapping) else None
    signal = ended.get("signal") if isinstance(ended, Mapping) else None
    if code == 0:
        return ToolResult(output or "[no output]")
    why = f"exit code {code}" if code is not None else f"ended by {signal or 'a signal'}"
    return ToolResult(f"{output}\n[{why}]", outcome="error")


def _field(said: Any, name: str) -> str:
    value = said.get(name) if isinstance(said, Mapping) else None
    if not isinstance(value, str):
        raise ValueError(f"the editor gave no {name}: {said!r:.200}")
    return value
