"""A value that does not fit where it stands, and the words for it. No I/O."""

from collections.abc import Callable, Iterable, Mapping
from types import NoneType
from typing import Any, Final

__all__ = ("Misfit", "at", "kind_of", "listed", "step")


class Misfit(Exception):  # noqa: N818 - `tether.serialize` makes a public error of it
    """A value that does not fit; on its way up it learns where the value stands."""

    def __init__(self, reason: str, *steps: str) -> None:
        super().__init__(reason, *steps)
        self.reason = reason
        self.steps = list(steps)

    def path(self, root: str) -> str:
        return root + "".join(reversed(self.steps))


def at(key: str | int, convert: Callable[[Any], Any], value: object) -> Any:
    """Convert what stands under a key of an object, or at a place in a list."""
    try:
        return convert(value)
    except Misfit as misfit:
        misfit.steps.append(step(key))
        raise


def step(key: object) -> str:
    """Write one step of a path."""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!a}]"


def listed(words: Iterable[str]) -> str:
    """List what would be right."""
    return ", ".join(repr(word) for word in words)


def kind_of(value: object) -> str:
    """Name what came instead, as JSON calls it."""
    return _KINDS.get(type(value)) or f"a value of type {type(value).__name__}"


_KINDS: Final[Mapping[type, str]] = {
    NoneType: "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}
