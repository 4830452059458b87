"""What is wrong with a value, and where in it. No I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from tether.errors import ArgumentsError

__all__ = (
    "JSON_NAMES",
    "at_any_depth",
    "excerpt",
    "expected",
    "gathered",
    "joined",
    "or_type_error",
    "unknown_names",
)

T = TypeVar("T")
Given = TypeVar("Given")

JSON_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    list: "array",
    dict: "object",
}
"""What faults call values that Python has other names for."""

_LONGEST_EXCERPT: Final = 200


def expected(path: str, wanted: str, value: object) -> ArgumentsError:
    """Make the error for a value of another kind."""
    got = JSON_NAMES.get(type(value), type(value).__name__)
    return ArgumentsError([f"{path}: expected {wanted}, got {got}"])


def excerpt(text: str) -> str:
    """The beginning of a text that may be long."""
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}..."


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


def or_type_error(read: Callable[[Given], T], given: Given) -> T:
    """Read types; however that fails, it is a TypeError."""
    try:
        return read(given)
    except NameError as error:
        raise TypeError(
            f"an annotation names {error.name!r}, which is not to be found from its module"
        ) from error
    except RecursionError as error:
        raise TypeError("its type never ends") from error
    except (TypeError, ValueError, SyntaxError, RuntimeError, AttributeError) as error:
        raise TypeError(str(error).replace("`", "")) from error
