"""Read the lines of a log, of any format up to ours, and say which of them are damaged.

No I/O.
"""

import json
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final

import msgspec
from attrs import define, evolve, field, frozen

from tether.errors import DecodeError
from tether.session.entries import Entry

__all__ = ("FORMAT", "Damage", "Reader", "header", "is_torn_header", "misplaced")

FORMAT: Final = 1

_HEADER_START: Final = b'{"format": 1, "id": "'
_FIELDS_OF_A_HEADER: Final = frozenset({"format", "id", "time"})
_NEEDED: Final = frozenset({"id", "parent", "kind", "data"})
_FIELDS: Final = _NEEDED | {"time"}


def header(id_: str, now: float) -> bytes:
    """Write the first line of a log."""
    return json.dumps({"format": FORMAT, "id": id_, "time": now}).encode() + b"\n"


def is_torn_header(line: bytes) -> bool:
    """Say whether a line is a header of ours whose writing was cut off."""
    return line.startswith(_HEADER_START) or _HEADER_START.startswith(line)


@frozen
class Damage:
    """A line that cannot be read."""

    number: int
    """Its place in the file, from 1."""
    line: bytes
    error: DecodeError


@define
class Reader:
    """Reads a log line by line. Entries hang together: each follows one that was read before it.

    Args:
        whole: whether all lines are read. Otherwise an entry may follow one that was not.
    """

    whole: bool = True
    damage: list[Damage] = field(factory=list, init=False)
    """The lines that could not be read."""
    _bare: bool = field(default=False, init=False)
    """Whether lines are messages: format 0. What a session has written behind them is entries."""
    _ids: dict[str, str] = field(factory=dict, init=False)
    _last: str | None = field(default=None, init=False)

    def begin(self, line: bytes) -> Entry | None:
        """Read the first line.

        Returns:
            Its entry; None for a header.

        Raises:
            DecodeError: this is not a session, or one of a newer format.
        """
        fields = _object(line, 1)
        if "format" not in fields:
            self._bare = True
            return self._kept(self._entry(line, 1))
        version = fields["format"]
        if isinstance(version, bool) or version != FORMAT:
            raise DecodeError(f"format {version!r} is not known; up to {FORMAT} is", path="line 1")
        if "id" not in fields and not fields.keys() <= _FIELDS_OF_A_HEADER:
            raise DecodeError(
                "the object has a format, but is not a header of a session", path="line 1"
            )
        return None

    def entries(self, lines: Iterable[bytes], first: int = 2) -> Iterator[Entry]:
        """Read further lines.

        Args:
            lines: the lines.
            first: the number of the first of them.

        Yields:
            The entries. What cannot be read is noted in `damage`.
        """
        for number, line in enumerate(lines, first):
            try:
                entry = self._entry(line, number)
            except DecodeError as error:
                self.damage.append(Damage(number, line, error))
            else:
                yield self._kept(entry)

    def _kept(self, entry: Entry) -> Entry:
        self._ids[entry.id] = self._last = entry.id
        return entry

    def _entry(self, line: bytes, number: int) -> Entry:
        fields = _object(line, number)
        if self._bare and not fields.keys() >= _NEEDED:
            return _checked(Entry(f"line-{number}", self._last, "message", fields), number)
        entry = _checked(_entry(fields, number), number)
        if self.damage and entry.parent is not None and entry.parent not in self._ids:
            # What followed a damaged line now follows the last that could be read before it.
            entry = evolve(entry, parent=self._last)
        reason = misplaced(entry, self._ids) if self.whole else None
        if reason is not None:
            raise DecodeError(reason, path=f"line {number}")
        return entry


def misplaced(entry: Entry, known: Container[str]) -> str | None:
    """Say what keeps an entry from standing behind those that are known; None if nothing does."""
    if entry.id in known:
        return f"there is an entry {entry.id!r} already"
    if entry.parent is not None and entry.parent not in known:
        return f"it follows {entry.parent!r}, which is not there before it"
    return None


def _entry(fields: dict[str, Any], number: int) -> Entry:
    match fields:
        case {
            "id": str(id_),
            "parent": str() | None as parent,
            "kind": str(kind),
            "data": dict(data),
        }:
            extra = {k: v for k, v in fields.items() if k not in _FIELDS}
            return Entry(id_, parent, kind, data, _seconds(fields), extra)
    raise DecodeError(
        'an entry needs "id" (a string), "parent" (a string or null), "kind" (a string) '
        'and "data" (an object)',
        path=f"line {number}",
    )


def _seconds(fields: dict[str, Any]) -> float:
    seconds = fields.get("time", 0.0)
    return seconds if isinstance(seconds, int | float) else 0.0


def _checked(entry: Entry, number: int) -> Entry:
    try:
        _ = entry.message
    except DecodeError as error:
        raise DecodeError(str(error), path=f"line {number}") from error
    return entry


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        fields = _decoded(line)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"no JSON: {error}", path=f"line {number}") from None
    if not isinstance(fields, dict):
        raise DecodeError(f"expected an object, got {type(fields).__name__}", path=f"line {number}")
    return fields


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except ValueError:
        # What `json` writes and JSON has not: numbers such as NaN, and lone halves of surrogate pairs.
        return json.loads(line)
