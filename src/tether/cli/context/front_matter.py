"""The head of a Markdown file: YAML between two lines of `---`. What others wrote may be anything."""

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from tether.opening import is_binary, open_regular, read_at_most

__all__ = ()

_LARGEST: Final = 256 * 1024
"""Bytes of a file."""
_HEAD: Final = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_LINE: Final = re.compile(r"^([A-Za-z_][\w-]*):[ \t]+([^\s\"'\[{|>&*!#].*)$", re.MULTILINE)
_SCALARS: Final = (str, int, float, bool, datetime.date)


@frozen
class Document:
    """A Markdown file."""

    path: Path
    head: Mapping[str, Any]
    body: str

    def text(self, key: str) -> str | None:
        """Return a text of the head; None if it is not there.

        Raises:
            ValueError: it is something other than a text.
        """
        value = self.head.get(key)
        if value is None:
            return None
        if not isinstance(value, _SCALARS):
            raise ValueError(f"its {key} must be a text, not {_kind(value)}")
        return str(value).strip()

    def words(self, key: str) -> Sequence[str] | None:
        """Return the words of a list, or of a text with commas; None if it is not there.

        Raises:
            ValueError: it is something else.
        """
        value = self.head.get(key)
        match value:
            case None:
                return None
            case str():
                return [word.strip() for word in value.split(",") if word.strip()]
            case list() if all(isinstance(word, str) for word in value):
                return value
            case _:
                raise ValueError(f"its {key} must be a list of names, not {_kind(value)}")

    def flag(self, key: str) -> bool:
        """Say whether something of the head is true."""
        return self.head.get(key) in {True, "true", "yes"}


def read_document(path: Path) -> Document:
    """Read a Markdown file; one without a head is all body.

    Raises:
        ValueError: it is no text, too large, or its head is no YAML of keys and values.
        OSError: it cannot be read.
    """
    text = read_text(path)
    found = _HEAD.match(text)
    if found is None:
        return Document(path, {}, text.strip())
    return Document(path, _parsed(found[1]), text[found.end() :].strip())


def read_text(path: Path, largest: int = _LARGEST) -> str:
    """Read a text file. Line ends become newlines; what is not UTF-8 becomes U+FFFD.

    Raises:
        ValueError: it is no regular file, no text, or too large.
        OSError: it cannot be read.
    """
    with open_regular(path, path.name) as file:
        content = read_at_most(file, largest)
    if content is None:
        raise ValueError(f"it has more than {largest:,} bytes")
    if is_binary(content):
        raise ValueError("it is not text")
    return content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def _parsed(head: str) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - only where a file has a head

    try:
        found = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        try:
            found = yaml.safe_load(_with_quotes(head))
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ValueError(f"its head is no YAML: {in_a_line(error, 2)}") from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ValueError("its head must be lines of `key: value`")
    return found


def _with_quotes(head: str) -> str:
    """Put the values of plain lines in quotes: people write `description: Use when: ...`, which YAML refuses."""
    return _LINE.sub(lambda line: f"{line[1]}: {json.dumps(line[2].strip())}", head)


def in_a_line(error: Exception, first: int = 1) -> str:
    """Write in a line what is wrong with YAML that begins in a line of a file."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if problem is None:
        is_deep = isinstance(error, RecursionError)
        return "it is nested too deeply" if is_deep else " ".join(str(error).split())
    return str(problem) if mark is None else f"{problem} in line {mark.line + first}"


def _kind(value: object) -> str:
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return repr(value)
