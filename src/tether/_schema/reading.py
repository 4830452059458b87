"""How values are read: what every shape can do, and how carelessly a value may be written. No I/O."""

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, Protocol

from attrs import evolve, field, frozen

from tether._schema.faults import expected
from tether.messages import JsonObject

__all__ = ("Level", "Reading", "Shape", "as_container", "container_in")

_MOST_ENCODINGS: Final = 3
"""How often a list or object may have been made a text of."""


class Level(IntEnum):
    """How carelessly a value may be written."""

    EXACT = 0
    """As the schema says, and no whole number for a float: what a union asks for first."""
    STRICT = 1
    """As the schema says."""
    LENIENT = 2
    """A text for a number, a list, or an object, too."""


@frozen
class Reading:
    """One reading of a value."""

    level: Level = Level.LENIENT
    """The most that is allowed; what fits a lower level is never changed by a higher one."""
    seen: dict[Any, Any] = field(factory=dict[Any, Any])
    """What became of the values that unions have looked at, so that none is read again for each union around it."""

    def at(self, level: Level) -> "Reading":
        return evolve(self, level=level)


class Shape(Protocol):
    """What values look like."""

    @property
    def schema(self) -> JsonObject:
        """JSON Schema of it; it may refer to definitions."""
        ...

    @property
    def noun(self) -> str:
        """What faults call it."""
        ...

    @property
    def bounds(self) -> Mapping[str, str]:
        """The bounds it can have, by what JSON Schema calls them; "" where that cannot say them."""
        ...

    def read(self, value: object, path: str, reading: Reading) -> Any:
        """Make an instance of what JSON holds.

        Raises:
            ArgumentsError: with every fault, each with its path.
        """
        ...


def as_container(value: object, kind: Any) -> object:
    """Take a list or an object out of the text that it was made, perhaps more than once; else return the value."""
    text = value
    for _ in range(_MOST_ENCODINGS):
        if not isinstance(text, str):
            break
        try:
            text = json.loads(text)
        except (ValueError, RecursionError):
            break
    return text if isinstance(text, kind) else value


def container_in(value: object, kind: type[Any], path: str, reading: Reading) -> Any:
    """Take a list or an object.

    Raises:
        ArgumentsError: it is neither that, nor a text of it where that is allowed.
    """
    if reading.level is Level.LENIENT:
        value = as_container(value, kind)
    if not isinstance(value, kind):
        raise expected(path, "array" if kind is list else "object", value)
    return value
