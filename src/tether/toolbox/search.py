"""A tool that searches files for text."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Final

import anyio.to_thread

from tether import Tool, tool
from tether.toolbox.confinement import Root
from tether.toolbox.files import entries_below

__all__ = ("search_tool",)

MAX_MATCHES: Final = 200
MAX_FILE: Final = 4 * 1024 * 1024
MAX_LINE: Final = 300
SLICE: Final = 64
"""Files searched in a thread before the event loop gets a word in, and a cancellation is heard."""


def search_tool(root: Root) -> Tool:
    """Make `search_text`, confined to a root."""

    @tool(timeout=60)
    async def search_text(
        pattern: str, path: str = ".", files: str = "*", regex: bool = False
    ) -> str:
        """Search files for text; gives path:line: text.

        Args:
            pattern: what to look for
            path: folder or file to search, relative to the working folder
            files: only files whose names match, such as *.py
            regex: take the pattern as a regular expression
        """
        expression = _compiled(pattern, regex=regex)
        candidates = _candidates(root, root.locate(path), files)
        matches: list[str] = []
        searched = 0
        while len(matches) <= MAX_MATCHES:
            found = await anyio.to_thread.run_sync(_search, root, candidates, expression)
            if found is None:
                break
            count, lines = found
            searched += count
            matches += lines
        return _report(matches, searched, pattern)

    return search_text


def _compiled(pattern: str, *, regex: bool) -> re.Pattern[str]:
    if not pattern:
        raise ValueError("the pattern is empty")
    try:
        return re.compile(pattern if regex else re.escape(pattern))
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


def _candidates(root: Root, where: Path, files: str) -> Iterator[Path]:
    if where.is_file():
        return iter((where,))
    if not where.is_dir():
        raise FileNotFoundError(f"there is no {root.name(where)}")
    return (
        entry
        for entry in entries_below(root, where)
        if entry.is_file() and fnmatch(entry.name, files)
    )


def _search(
    root: Root, candidates: Iterator[Path], expression: re.Pattern[str]
) -> tuple[int, list[str]] | None:
    """Search the next few files; None when there are no more."""
    paths = list(islice(candidates, SLICE))
    if not paths:
        return None
    return len(paths), [line for path in paths for line in _matches(root, path, expression)]


def _matches(root: Root, path: Path, expression: re.Pattern[str]) -> Iterator[str]:
    try:
        if path.stat().st_size > MAX_FILE:
            return
        content = path.read_bytes()
    except OSError:
        return
    if b"\0" in content[:8192]:
        return
    for number, line in enumerate(content.decode(errors="replace").split("\n"), 1):
        if expression.search(line):
            yield f"{root.name(path)}:{number}: {line.strip()[:MAX_LINE]}"


def _report(matches: list[str], searched: int, pattern: str) -> str:
    if not matches:
        return f"[{pattern!r} is not in the {searched} files that were searched]"
    if len(matches) > MAX_MATCHES:
        note = f"[the first {MAX_MATCHES} matches; there are more: name a folder or narrow the pattern]"
        return "\n".join([*matches[:MAX_MATCHES], note])
    return "\n".join([*matches, f"[{len(matches)} matches in {searched} files]"])
