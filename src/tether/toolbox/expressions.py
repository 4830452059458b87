"""Find text in bytes, in a time that grows with the text alone: the engine (RE2) does not backtrack."""

import re
from collections.abc import Iterator
from typing import Any, Final

import re2  # pyright: ignore[reportMissingTypeStubs]
from attrs import frozen

__all__ = ("Expression", "Hit", "compile_expression", "compile_source")

_LONGEST_PIECE: Final = 256 * 1024
_SHORTEST_PIECE: Final = 4 * 1024
_STEPS: Final = 2**24
"""Steps of the engine, at worst, before a cancellation is heard: the size of an expression times that of a piece."""
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_LINE_ENDS: Final = {"A": "^", "Z": "$", "z": "$"}
_LACKING: Final = (
    (re.compile(r"\(\?<[=!]"), "look-behind"),
    (re.compile(r"\(\?[=!]"), "look-ahead"),
    (re.compile(r"\(\?>"), "an atomic group"),
    (re.compile(r"\(\?P="), "a back-reference"),
    (re.compile(r"\(\?\("), "a condition"),
    (re.compile(r"\(\?#"), "a comment"),
    (re.compile(r"\(\?[a-zA-Z]*[xauL]"), "a flag other than i, m, s and U"),
    (re.compile(r"\\(?:[1-9]|[gk][<{'])"), "a back-reference"),
    (re.compile(r"[*+?}]\+"), "a possessive repetition"),
    (re.compile(r"\\[uUNGRXKhHe]"), "an escape other than those of RE2 (a character is \\x{20AC})"),
    (re.compile(r"\{\d*,?\d{4,}\}|\{1[0-9]{3},"), "a repetition of more than 1,000"),
)
"""What other engines know and this one does not, by how it is written."""


@frozen
class Hit:
    """A line that matches."""

    line: int
    """Counted from 0, in the text that was searched."""
    text: bytes
    start: int
    """Where in the line the match begins."""
    end: int


@frozen
class Expression:
    """A text or a regular expression to look for, line by line."""

    _compiled: Any

    @property
    def piece(self) -> int:
        """How many bytes may be searched at once: the fewer, the bigger the expression is."""
        size: int = self._compiled.programsize
        return max(_SHORTEST_PIECE, min(_LONGEST_PIECE, _STEPS // max(1, size)))

    def hits(self, text: bytes) -> Iterator[Hit]:
        """Find the lines that match.

        Args:
            text: whole lines, with plain line ends.

        Returns:
            Each line once, with its first match.
        """
        position = line = counted = 0
        while position <= len(text):
            found = self._compiled.search(text, position)
            if found is None:
                return
            start = text.rfind(b"\n", 0, found.start()) + 1
            end = text.find(b"\n", found.start())
            end = len(text) if end < 0 else end
            if start == len(text) and text:
                return  # behind the last line end there is no line
            line += text.count(b"\n", counted, start)
            yield Hit(line, text[start:end], found.start() - start, min(found.end(), end) - start)
            position, counted = end + 1, start


def compile_expression(pattern: str, *, regex: bool) -> Expression:
    """Make an expression.

    Args:
        pattern: what to look for.
        regex: whether it is a regular expression; else it is taken as it stands.

    Returns:
        The expression.

    Raises:
        ValueError: it is empty, malformed, or needs what the engine lacks, which the message names.
    """
    if not pattern:
        raise ValueError("the pattern is empty")
    if "\n" in pattern:
        raise ValueError("the pattern has a line end, and files are searched line by line")
    source = _ESCAPE.sub(_as_line_end, pattern) if regex else re2.escape(pattern)
    try:
        return Expression(compile_source(f"(?m){source}", across_lines=False))
    except ValueError as error:
        raise ValueError(_complaint(pattern, str(error))) from error


def compile_source(source: str, *, across_lines: bool = True) -> Any:
    """Compile an expression in the syntax of RE2.

    Args:
        source: the expression.
        across_lines: whether it may match line ends. If not, what it is to search are bytes.

    Returns:
        What `re2.compile` returns; Python's `re` is alike.

    Raises:
        ValueError: the engine does not take it.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_nl = not across_lines
    try:
        return re2.compile(source if across_lines else source.encode(), options)
    except re2.error as error:
        reason = error.args[0]
        said = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(said) from error
    except UnicodeEncodeError as error:
        raise ValueError("it has half of a surrogate pair, which no text can hold") from error


def _as_line_end(escape: re.Match[str]) -> str:
    """Take the beginning and the end of the text for those of the line."""
    return _LINE_ENDS.get(escape[1], escape[0])


def _complaint(pattern: str, reason: str) -> str:
    without_backslashes = pattern.replace("\\\\", "")
    lacking = next((name for how, name in _LACKING if how.search(without_backslashes)), None)
    if lacking is not None:
        return f"{pattern!r} needs {lacking}, which the engine lacks (RE2: it does not backtrack)"
    return f"{pattern!r} is not a regular expression: {reason}"
