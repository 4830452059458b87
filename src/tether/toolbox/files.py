"""Tools that read, list, write and edit files."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import anyio.to_thread

from tether import Image, Text, Tool, ToolResult, tool
from tether.toolbox.confinement import Root

__all__ = ("edit_tool", "entries_below", "list_tool", "read_tool", "write_tool")

MAX_LINES: Final = 2_000
MAX_BYTES: Final = 64 * 1024
MAX_FILE: Final = 64 * 1024 * 1024
MAX_ENTRIES: Final = 1_000

IGNORED: Final = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", ".tox"})
"""Folders that are passed over when a tree is walked; named directly, they can be read."""

_IMAGES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


def read_tool(root: Root) -> Tool:
    """Make `read_file`, confined to a root."""

    @tool
    async def read_file(path: str, offset: int = 1, limit: int = MAX_LINES) -> ToolResult:
        """Read a text file, or look at an image.

        Long files come in pieces; the last line says how to read on.

        Args:
            path: file to read, relative to the working folder
            offset: the first line to read, counted from 1
            limit: how many lines to read at most
        """
        located = root.locate(path)
        return await anyio.to_thread.run_sync(_read, located, path, max(1, offset), max(1, limit))

    return read_file


def list_tool(root: Root) -> Tool:
    """Make `list_files`, confined to a root."""

    @tool
    async def list_files(path: str = ".", pattern: str = "*", recursive: bool = False) -> str:
        """List files and folders; folders end with a slash.

        Args:
            path: folder to list, relative to the working folder
            pattern: only names that match, such as *.py
            recursive: list what is in its folders too, except .git and the like
        """
        located = root.locate(path)
        if not located.is_dir():
            raise NotADirectoryError(f"{path} is no folder; read_file reads a file")
        return await anyio.to_thread.run_sync(_list, root, located, pattern, recursive)

    return list_files


def write_tool(root: Root) -> Tool:
    """Make `write_file`, confined to a root."""

    @tool
    async def write_file(path: str, content: str) -> str:
        """Write a text file, in place of the one that may be there. Missing folders are made.

        Args:
            path: file to write, relative to the working folder
            content: the whole new content
        """
        located = root.locate(path)
        if located.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        await anyio.to_thread.run_sync(replace_file, located, content.encode())
        return f"wrote {len(content.encode()):,} bytes to {path}"

    return write_file


def edit_tool(root: Root) -> Tool:
    """Make `edit_file`, confined to a root."""

    @tool(sequential=True)
    async def edit_file(path: str, old: str, new: str, all_places: bool = False) -> str:
        """Replace text in a file.

        Args:
            path: file to edit, relative to the working folder
            old: the text to replace, exactly as it stands there, with enough around it to be unique
            new: the text to put in its place
            all_places: replace it everywhere instead
        """
        located = root.locate(path)
        return await anyio.to_thread.run_sync(_edit, located, path, old, new, all_places)

    return edit_file


def entries_below(root: Root, folder: Path) -> Iterator[Path]:
    """Walk a tree in order of names, without what is ignored and without links that lead out of the root."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not root.contains(entry):
            continue
        yield entry
        if entry.is_dir() and not entry.is_symlink() and entry.name not in IGNORED:
            yield from entries_below(root, entry)


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the place of another in one step, with its mode: nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _read(located: Path, path: str, offset: int, limit: int) -> ToolResult:
    if located.is_dir():
        raise IsADirectoryError(f"{path} is a folder; list_files lists it")
    size = located.stat().st_size
    if size > MAX_FILE:
        raise ValueError(f"{path} has {size:,} bytes, more than the {MAX_FILE:,} that are read")
    content = located.read_bytes()
    if media_type := _IMAGES.get(located.suffix.lower()):
        return ToolResult([Text(f"{path}, {size:,} bytes"), Image(content, media_type)])
    if b"\0" in content[:8192]:
        raise ValueError(f"{path} is no text: it has {size:,} bytes, some of them zero")
    # Only \n ends a line here: what str.splitlines also cuts at may stand inside one.
    lines = content.decode(errors="replace").split("\n")
    if lines[-1] == "":
        lines.pop()
    return ToolResult(_piece(path, lines, offset, limit))


def _piece(path: str, lines: Sequence[str], offset: int, limit: int) -> str:
    """Some lines of a file, and a note where there are more."""
    if offset > max(len(lines), 1):
        raise ValueError(f"{path} has {len(lines)} lines; there is no line {offset}")
    taken: list[str] = []
    size = 0
    for line in lines[offset - 1 : offset - 1 + limit]:
        line = line.removesuffix("\r")
        size += len(line.encode()) + 1
        if size > MAX_BYTES and taken:
            break
        if len(line) > MAX_BYTES:
            line = f"{line[:MAX_BYTES]} [... the line has {len(line):,} characters]"
        taken.append(line)
    last = offset - 1 + len(taken)
    if offset == 1 and last == len(lines):
        return "\n".join(taken)
    more = f"; read on with offset={last + 1}" if last < len(lines) else ""
    note = f"[lines {offset} to {last} of {path}, which has {len(lines)} lines{more}]"
    return "\n".join([*taken, note])


def _list(root: Root, folder: Path, pattern: str, recursive: bool) -> str:
    found = entries_below(root, folder) if recursive else sorted(folder.iterdir())
    names: list[str] = []
    for entry in found:
        if not fnmatch(entry.name, pattern):
            continue
        if len(names) == MAX_ENTRIES:
            names.append(f"[the first {MAX_ENTRIES}; there are more: name a folder or a pattern]")
            break
        names.append(entry.relative_to(folder).as_posix() + ("/" if entry.is_dir() else ""))
    return "\n".join(names) or "[nothing]"


def _edit(located: Path, path: str, old: str, new: str, all_places: bool) -> str:
    if not old:
        raise ValueError("`old` is empty; write_file makes a new file")
    content = located.read_bytes().decode()
    if "\r\n" in content and "\r\n" not in old:
        # The file's line ends are its own; a model writes plain ones.
        old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
    places = content.count(old)
    if places == 0:
        raise ValueError(
            f"{path} does not hold that text; it must match to the letter{_nearest(content, old)}"
        )
    if places > 1 and not all_places:
        raise ValueError(
            f"{path} holds that text {places} times, in lines {_lines_of(content, old)}; "
            "give more of what is around it, or set all_places"
        )
    replace_file(located, content.replace(old, new).encode())
    return f"replaced {places} place{'s' if places > 1 else ''} in {path}"


def _nearest(content: str, old: str) -> str:
    """Where the first line of what was looked for does stand, spaces aside."""
    wanted = old.strip().split("\n")[0].strip()
    for number, line in enumerate(content.split("\n"), 1):
        if wanted and wanted == line.strip():
            return f"; line {number} is alike, but for white space or what follows it: {line!r}"
    return ""


def _lines_of(content: str, text: str) -> str:
    places: list[str] = []
    start = content.find(text)
    while start >= 0 and len(places) < 10:
        places.append(str(content.count("\n", 0, start) + 1))
        start = content.find(text, start + 1)
    return ", ".join(places)
