"""Where two recorded runs part.

No I/O.
"""

from itertools import zip_longest
from typing import Any

from attrs import frozen

from tether.replay.recording import Note, RecordedRun, Recording, taking
from tether.replay.replaying import diff

__all__ = ("Difference", "difference")

_TIMES = {"timestamp", "duration", "seconds"}
_IDS = {"id", "response_id"}
_COMPARED = ("event", "text", "delta", "request", "queued", "input", "result", "raised")


@frozen
class Difference:
    """The first difference between two recordings."""

    run: int
    """Of which run, counted from 1."""
    event: int
    """How many events of it were the same."""
    text: str
    """What differs, for people: a diff."""


def difference(before: Recording, now: Recording) -> Difference | None:
    """Find the first difference between two recordings; None if they do the same.

    Times and ids are not compared. Pieces of a text are joined: where it was cut does not matter.

    Raises:
        DecodeError: one is damaged.
    """
    for number, (one, other) in enumerate(zip_longest(before.runs, now.runs), 1):
        if one is None or other is None:
            more = "second" if one is None else "first"
            return Difference(number, 0, f"only the {more} recording has a run {number}")
        found = _difference(one, other, number)
        if found is not None:
            return found
    return None


def _difference(one: RecordedRun, other: RecordedRun, number: int) -> Difference | None:
    seen = 0
    for left, right in zip_longest(_compared(one), _compared(other)):
        if left != right:
            return Difference(number, seen, diff(left, right))
        seen += left is not None and left[0] in {"event", "text", "delta"}
    return None


def _compared(run: RecordedRun) -> list[list[Any]]:
    said: list[list[Any]] = []
    for note in run.notes:
        if note.kind == "text" and said and said[-1][0] == "text" and said[-1][1] == note.said[0]:
            said[-1][2] += note.said[1]
        elif note.kind == "text":
            said.append(["text", *note.said])
        elif note.kind in _COMPARED:
            with taking(note):
                said.append([note.kind, _plain(note)])
    return said


def _plain(note: Note) -> Any:
    if note.kind == "request":
        return _without({name: note.said[name] for name in ("model", "messages", "frame")})
    return _without(note.said)


def _without(value: Any) -> Any:
    """Leave out times and ids."""
    match value:
        case dict():
            left_out = _TIMES | _IDS
            return {key: _without(one) for key, one in value.items() if key not in left_out}
        case list():
            return [_without(one) for one in value]
        case _:
            return value
