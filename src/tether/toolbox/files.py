"""Tools that read, list, write and edit files."""

import os
from pathlib import Path
from typing import Final

import anyio.to_thread
from anyio.from_thread import check_cancelled

from tether import Image, Text, Tool, ToolResult, tool
from tether.opening import open_regular, read_at_most
from tether.toolbox.confinement import Root
from tether.toolbox.editing import edit_text
from tether.toolbox.line_ends import with_ends_of
from tether.toolbox.patterns import compile_pattern, split_pattern
from tether.toolbox.reading import read_piece
from tether.toolbox.replacing import check_writable, replace_file
from tether.toolbox.walking import Walk

__all__ = ("edit_tool", "list_tool", "read_tool", "write_tool")

MAX_LINES: Final = 2_000
MAX_IMAGE: Final = 16 * 1024 * 1024
MAX_ENTRIES: Final = 1_000
_LOOKED_AT: Final = 1024 * 1024
"""Bytes of a file that is replaced, out of which its line ends are told."""

_IMAGES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


def read_tool(root: Root) -> Tool:
    """Make `read_file`, confined to a root."""

    @tool(title="Read a file", kind="read", read_only=True, idempotent=True)
    async def read_file(path: str, offset: int = 1, limit: int = MAX_LINES) -> ToolResult:
        """Read a text file, or look at an image.

        Long files come in pieces; the last line says how to read on.

        Args:
            path: file to read, relative to the working folder
            offset: the first line to read, counted from 1
            limit: how many lines to read at most
        """
        located = root.locate(path)
        return await anyio.to_thread.run_sync(
            _read, root, located, path, max(1, offset), max(1, limit)
        )

    return read_file


def list_tool(root: Root) -> Tool:
    """Make `list_files`, confined to a root."""

    @tool(title="List files", kind="search", read_only=True, idempotent=True)
    async def list_files(path: str = ".", pattern: str = "*", recursive: bool = False) -> str:
        """List files and folders; folders end with a slash.

        What .gitignore names is passed over, unless path names it.

        Args:
            path: folder to list, relative to the working folder
            pattern: only what matches, such as *.py, src/**/*.{ts,js} or !*.log
            recursive: list what is in its folders too, except .git and the like; a pattern with a slash does
        """
        return await anyio.to_thread.run_sync(_list, root, path, pattern, recursive)

    return list_files


def write_tool(root: Root) -> Tool:
    """Make `write_file`, confined to a root."""

    @tool(title="Write a file", kind="edit", destructive=True, idempotent=True)
    async def write_file(path: str, content: str) -> str:
        """Write a text file, in place of the one that may be there. Missing folders are made.

        Lines that ended with CRLF still do.

        Args:
            path: file to write, relative to the working folder
            content: the whole new content
        """
        located = root.locate(path)
        size = await anyio.to_thread.run_sync(_write, root, located, path, content)
        return f"wrote {size:,} byte{'' if size == 1 else 's'} to {path}"

    return write_file


def edit_tool(root: Root) -> Tool:
    """Make `edit_file`, confined to a root."""

    @tool(sequential=True, title="Edit a file", kind="edit", destructive=True)
    async def edit_file(path: str, old: str, new: str, all_places: bool = False) -> str:
        """Replace text in a file.

        Args:
            path: file to edit, relative to the working folder
            old: the text to replace, exactly as it stands there, with enough around it to be unique
            new: the text to put in its place
            all_places: replace it everywhere instead
        """
        located = root.locate(path)
        return await anyio.to_thread.run_sync(_edit, root, located, path, old, new, all_places)

    return edit_file


def _read(root: Root, located: Path, path: str, offset: int, limit: int) -> ToolResult:
    if located.is_dir():
        raise IsADirectoryError(f"{path} is a folder; list_files lists it")
    with open_regular(located, path) as file:
        size = os.fstat(file.fileno()).st_size
        if media_type := _IMAGES.get(located.suffix.lower()):
            content = read_at_most(file, MAX_IMAGE)
            if content is None:
                raise ValueError(
                    f"{path} has {size:,} bytes, more than the {MAX_IMAGE:,} of an image that can be shown"
                )
            return ToolResult([Text(f"{path}, {size:,} bytes"), Image(content, media_type)])
        text = read_piece(file, path, size, offset, limit)
    root.seen.record(located, path)
    return ToolResult(text)


def _folder(root: Root, path: str, pattern: str) -> tuple[Path, str]:
    """Find a folder, and the pattern of what to list in it; models also give a pattern in place of the folder."""
    located = root.locate(path)
    if pattern == "*" and not os.path.lexists(located):
        path, inside = split_pattern(path)
        pattern = inside or pattern
        located = root.locate(path)
    if not os.path.lexists(located):
        raise FileNotFoundError(f"there is no folder {path}")
    if not located.is_dir():
        raise NotADirectoryError(f"{path} is not a folder; read_file reads a file")
    return located, pattern


def _list(root: Root, path: str, pattern: str, recursive: bool) -> str:
    folder, pattern = _folder(root, path, pattern)
    matches = compile_pattern(pattern)
    walk = Walk(root, folder, recursive=recursive or "/" in pattern.strip("/"))
    names: list[str] = []
    for found in walk.found():
        check_cancelled()
        name = f"{found.name}/" if found.is_folder else found.name
        if not matches(name if pattern.endswith("/") else found.name):
            continue
        if len(names) == MAX_ENTRIES:
            names.append(f"[the first {MAX_ENTRIES}; there are more: name a folder or a pattern]")
            break
        names.append(name)
    if note := walk.note():
        names.append(note)
    return "\n".join(names) or "[nothing]"


def _write(root: Root, located: Path, path: str, text: str) -> int:
    content = text.encode()
    if check_writable(located, path) is not None:
        root.seen.check(located, path)
        with open_regular(located, path) as file:
            content = with_ends_of(content, file.read(_LOOKED_AT))
    replace_file(located, path, content)
    root.seen.record(located, path)
    return len(content)


def _edit(root: Root, located: Path, path: str, old: str, new: str, all_places: bool) -> str:
    known = located in root.seen
    root.seen.check(located, path)
    places = edit_text(located, path, old, new, all_places=all_places)
    if known:
        root.seen.record(located, path)
    return f"replaced {places} place{'s' if places > 1 else ''} in {path}"
