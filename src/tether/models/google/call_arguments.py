"""Arguments of Gemini's calls that come in pieces, each with the path of its place (`$.place.city`). No I/O."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from tether.models._wire.leniency import text_or_empty

__all__ = ("put_piece",)

_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")
_STEPS: Final = re.compile(r"\.(\w+)|\[(\d{1,6})\]|\['([^']*)'\]")
_LONGEST_PATH: Final = 32


def put_piece(arguments: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Put a piece of arguments at its path; pieces of one string follow each other.

    Args:
        arguments: the arguments so far, which are changed.
        piece: one of a call's `partialArgs`; one that leads nowhere is left out.
    """
    key = next((name for name in _VALUES if name in piece), None)
    path = _STEPS.findall(text_or_empty(piece.get("jsonPath")))
    if key is None or not path or len(path) > _LONGEST_PATH:
        return
    here: Any = arguments
    for (name, number, quoted), (_, next_number, _) in pairwise(path):
        here = _step(here, name or quoted, number, [] if next_number else {})
    name, number, quoted = path[-1]
    value = None if key == "nullValue" else piece[key]
    if isinstance(here, dict) and not number:
        here[name or quoted] = _joined(here.get(name or quoted), value)
    elif isinstance(here, list) and number:
        _put_in_list(here, int(number), value)


def _put_in_list(values: list[Any], number: int, value: Any) -> None:
    if number == len(values):
        values.append(value)
    elif number < len(values) and isinstance(values[number], str) and isinstance(value, str):
        values[number] += value


def _joined(before: Any, value: Any) -> Any:
    both = isinstance(before, str) and isinstance(value, str)
    return f"{before}{value}" if both else value


def _step(here: Any, name: str, number: str, empty: Any) -> Any:
    """Go one step along a path, making what is not there yet; None if it leads nowhere."""
    if isinstance(here, dict) and not number:
        return here.setdefault(name, empty)
    if isinstance(here, list) and number and int(number) <= len(here):
        if int(number) == len(here):
            here.append(empty)
        return here[int(number)]
    return None
