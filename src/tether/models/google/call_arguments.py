"""Arguments of Gemini's calls that come in pieces, each with the path of its place (`$.place.city`). No I/O."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from tether.models._wire.leniency import text_or_empty

__all__ = ("joined", "put_piece")

_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")
_STEPS: Final = re.compile(r"\.(\w+)|\[(\d{1,6})\]|\['([^']*)'\]")
_LONGEST_PATH: Final = 32
_STEP_WEIGHT: Final = 200
"""Bytes that an object or a list takes that is made for a step."""


class _Pieces(list[str]):
    """A text that comes in pieces."""


def put_piece(arguments: dict[str, Any], piece: Mapping[str, Any]) -> int:
    """Put a piece of arguments at its path; pieces of one string follow each other.

    Args:
        arguments: the arguments so far, which are changed.
        piece: one of a call's `partialArgs`; one that leads nowhere is left out.

    Returns:
        The most bytes of memory that its path has taken.
    """
    key = next((name for name in _VALUES if name in piece), None)
    path = _STEPS.findall(text_or_empty(piece.get("jsonPath")))
    if key is None or not path or len(path) > _LONGEST_PATH:
        return 0
    here: Any = arguments
    for (name, number, quoted), (_, next_number, _) in pairwise(path):
        here = _step(here, name or quoted, number, [] if next_number else {})
    name, number, quoted = path[-1]
    value = None if key == "nullValue" else piece[key]
    if isinstance(here, dict) and not number:
        here[name or quoted] = _followed(here.get(name or quoted), value)
    elif type(here) is list and number:
        _put_in_list(here, int(number), value)
    return len(path) * _STEP_WEIGHT


def joined(value: Any) -> Any:
    """Put the texts together that came in pieces.

    Args:
        value: the arguments, or a value in them.
    """
    match value:
        case _Pieces():
            return "".join(value)
        case dict():
            return {key: joined(inner) for key, inner in value.items()}
        case list():
            return [joined(inner) for inner in value]
        case _:
            return value


def _put_in_list(values: list[Any], number: int, value: Any) -> None:
    if number == len(values):
        values.append(value)
    elif number < len(values) and isinstance(value, str):
        after = _followed(values[number], value)
        values[number] = values[number] if after is value else after


def _followed(before: Any, value: Any) -> Any:
    """Put a text behind what came of it before; any other value takes the place of that."""
    if isinstance(value, str) and isinstance(before, str):
        return _Pieces((before, value))
    if isinstance(value, str) and isinstance(before, _Pieces):
        before.append(value)
        return before
    return value


def _step(here: Any, name: str, number: str, empty: Any) -> Any:
    """Go one step along a path, making what is not there yet; None if it leads nowhere."""
    if isinstance(here, dict) and not number:
        return here.setdefault(name, empty)
    if type(here) is list and number and int(number) <= len(here):
        if int(number) == len(here):
            here.append(empty)
        return here[int(number)]
    return None
