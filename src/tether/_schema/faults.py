"""What is wrong with a value, and where in it. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tether.errors import ArgumentsError

__all__ = ("at_any_depth", "gathered", "joined", "unknown_names")

T = TypeVar("T")


def unknown_names(given: Iterable[str], known: Sequence[str], path: str = "") -> list[str]:
    """Name what was given and is not known, with what is."""
    there_are = ", ".join(known) or "none"
    return [
        f"{joined(path, name)}: there is no such parameter; there are: {there_are}"
        for name in given
        if name not in known
    ]


def joined(path: str, *keys: str | int) -> str:
    """A path into JSON, as people write it."""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        elif not key.isidentifier():
            path += f"[{key!r}]"
        else:
            path += f".{key}" if path else key
    return path


def gathered(parts: Iterable[Callable[[], T]]) -> list[T]:
    """Read all parts, and raise the faults of all."""
    taken: list[T] = []
    faults: list[str] = []
    for part in parts:
        try:
            taken.append(part())
        except ArgumentsError as error:
            faults += error.faults
    if faults:
        raise ArgumentsError(faults)
    return taken


def at_any_depth(read: Callable[[], T]) -> T:
    """Read a value that may be nested more deeply than Python's stack."""
    try:
        return read()
    except RecursionError:
        raise ArgumentsError(["arguments: are nested too deeply"]) from None
