"""A tool that searches files for text."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import anyio.to_thread
from anyio.from_thread import check_cancelled
from attrs import define, field

from tether import Tool, tool
from tether.opening import is_binary, open_regular
from tether.toolbox.confinement import Root
from tether.toolbox.expressions import Expression, Hit, compile_expression
from tether.toolbox.patterns import Matches, compile_pattern
from tether.toolbox.walking import Found, Walk

__all__ = ("search_tool",)

MAX_MATCHES: Final = 200
MAX_LINE: Final = 300
_HEAD: Final = 8192
_SECONDS: Final = 55.0
"""After which a search gives what it has found: before the call's deadline, which would leave nothing of it."""


def search_tool(root: Root) -> Tool:
    """Make `search_text`, confined to a root."""

    @tool(timeout=60, title="Search in files", kind="search", read_only=True, idempotent=True)
    async def search_text(
        pattern: str, path: str = ".", files: str = "*", regex: bool = False
    ) -> str:
        """Search files for text, line by line; gives path:line: text.

        Files that .gitignore names are passed over, unless path names them.

        Args:
            pattern: what to look for
            path: folder or file to search, relative to the working folder
            files: only files whose names match, such as *.py, src/**/*.{ts,js} or !*.log
            regex: take the pattern as a regular expression in the syntax of RE2: without look-around and
                back-references, and with the word characters of ASCII
        """
        expression = compile_expression(pattern, regex=regex)
        search = _Search(root, root.locate(path), path, expression, compile_pattern(files))
        await anyio.to_thread.run_sync(search.run)
        return search.report(pattern)

    return search_text


@define
class _Search:
    root: Root
    where: Path
    path: str
    expression: Expression
    wanted: Matches
    _lines: list[str] = field(factory=list, init=False)
    _files: int = field(default=0, init=False)
    _walk: Walk = field(init=False)
    _late: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._walk = Walk(self.root, self.where)

    def run(self) -> None:
        """Search, in a worker thread; a cancellation is heard between two pieces of a file."""
        end = time.monotonic() + _SECONDS
        for path, name in self._candidates():
            try:
                with open_regular(path, name) as file:
                    self._files += 1
                    for line in _matches(file, self.expression, end):
                        self._lines.append(f"{self.root.name(path)}:{line}")
                        if len(self._lines) > MAX_MATCHES:
                            return
            except OSError as error:
                self._walk.pass_over(name, error)
            if time.monotonic() > end:
                self._late = True
                return

    def _candidates(self) -> Iterator[tuple[Path, str]]:
        if self.where.is_dir():
            for found in self._walk.found():
                check_cancelled()
                if self._is_wanted(found):
                    yield found.path, found.name
            return
        with open_regular(self.where, self.path):
            yield self.where, self.path

    def _is_wanted(self, found: Found) -> bool:
        return found.is_file and self.wanted(found.name)

    def report(self, pattern: str) -> str:
        """Make the text of the result."""
        notes = [self._walk.note()] if self._walk.note() else []
        if self._late:
            notes.append(f"[stopped after {_SECONDS:g} s: name a folder or a pattern of files]")
        if len(self._lines) > MAX_MATCHES:
            notes.append(
                f"[the first {MAX_MATCHES} matches; there are more: name a folder or narrow the pattern]"
            )
        elif self._lines:
            notes.append(f"[{len(self._lines)} matches in {self._files} files]")
        else:
            notes.append(f"[{pattern!r} is not in the {self._files} files that were searched]")
        return "\n".join([*self._lines[:MAX_MATCHES], *notes])


def _matches(file: BinaryIO, expression: Expression, end: float) -> Iterator[str]:
    """Search a file piece by piece; one that is not text has no lines."""
    number = 1
    # Not by the first piece: that may end before the bytes that are not text.
    if is_binary(file.read(_HEAD)):
        return
    file.seek(0)
    for piece in _pieces(file, expression.piece):
        check_cancelled()
        if time.monotonic() > end:
            return
        text = piece.replace(b"\r\n", b"\n")
        for hit in expression.hits(text):
            yield f"{number + hit.line}: {_shown(hit)}"
        number += text.count(b"\n")


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Read whole lines; a line that is longer than a piece is cut."""
    rest = b""
    while chunk := file.read(size):
        text = rest + chunk
        end = text.rfind(b"\n") + 1
        if not end and len(text) < size:
            rest = text
            continue
        end = end or len(text)
        yield text[:end]
        rest = text[end:]
    if rest:
        yield rest


def _shown(hit: Hit) -> str:
    """Show a line, or what is around the match in a long one."""
    line = hit.text.strip()
    if len(line) <= MAX_LINE:
        return line.decode(errors="replace")
    room = max(0, MAX_LINE - (hit.end - hit.start)) // 2
    start = max(0, min(hit.start - room, len(hit.text) - MAX_LINE))
    end = min(len(hit.text), start + MAX_LINE)
    shown = hit.text[start:end].decode(errors="ignore").strip()
    return f"{'... ' if start else ''}{shown}{' ...' if end < len(hit.text) else ''}"
