"""Checks of what a program gives: what cannot be is refused at once, by a `UsageError` that says what would be right.

A check is a function of a name and a value, that returns the value. `field_check` makes an attrs validator of one, and
`Checked` an attribute of a class that is not an attrs class.

No I/O.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast, get_args, overload

from tether.errors import UsageError

__all__ = (
    "Check",
    "Checked",
    "field_check",
    "function",
    "instance_of",
    "items",
    "mapping",
    "number",
    "one_of",
    "optional",
    "seconds",
    "strings",
    "whole_number",
)

T = TypeVar("T")
Check: TypeAlias = Callable[[str, Any], T]


def refuse(name: str, right: str, value: object) -> UsageError:
    """Make the error for a value that cannot be."""
    return UsageError(f"{name} must be {right}, not {value!r}")


def instance_of(kind: type[T], right: str = "") -> Check[T]:
    """Check for an instance of a class."""

    def check(name: str, value: Any) -> T:
        if not isinstance(value, kind):
            raise refuse(name, right or f"of the class {kind.__name__}", value)
        return value

    return check


def optional(check: Check[T]) -> Check[T | None]:
    """Let None through as well."""

    def check_unless_none(name: str, value: Any) -> T | None:
        return None if value is None else check(name, value)

    return check_unless_none


def one_of(words: Any) -> Check[Any]:
    """Check for one of the words of a `Literal`."""

    def check(name: str, value: Any) -> Any:
        if value not in get_args(words):
            raise refuse(name, f"one of {', '.join(map(repr, get_args(words)))}", value)
        return value

    return check


def whole_number(least: int = 0) -> Check[int]:
    """Check for a whole number that is large enough."""

    def check(name: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise refuse(name, f"a whole number from {least} on", value)
        return value

    return check


def number(name: str, value: Any) -> float:
    """Check for a finite number that is not negative."""
    if not _is_number(value) or not 0 <= value < math.inf:
        raise refuse(name, "a number from 0 on", value)
    return cast("float", value)


def seconds(name: str, value: Any) -> float:
    """Check for a time, for which infinity means no limit."""
    if not _is_number(value) or not value >= 0:
        raise refuse(name, "seconds from 0 on, or math.inf", value)
    return cast("float", value)


def strings(name: str, value: Any) -> tuple[str, ...]:
    """Check for strings that are not empty."""
    if not isinstance(value, tuple) or not all(isinstance(one, str) and one for one in value):
        raise refuse(name, "strings in a list or tuple, none of them empty", value)
    return value


def items(name: str, value: Any) -> Iterable[Any]:
    """Check for several things, in a list or whatever may be iterated over; a text or a mapping is one thing."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise refuse(name, "a list", value)
    return value


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """Check for a mapping from strings."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise refuse(name, "a dict with strings for keys", value)
    return value


def function(name: str, value: Any) -> Callable[..., Any]:
    """Check for something that can be called."""
    if not callable(value):
        raise refuse(name, "a function", value)
    return cast("Callable[..., Any]", value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def field_check(check: Check[Any]) -> Callable[[Any, Any, Any], None]:
    """Make the validator of an attrs field."""

    def validate(instance: Any, attribute: Any, value: Any) -> None:
        owner = type(instance).__name__
        # Of a private class nobody has heard: its fields are what its users give.
        check(attribute.name if owner.startswith("_") else f"{owner}.{attribute.name}", value)

    return validate


class Checked(Generic[T]):
    """An attribute that takes only what its check lets through, also when it is assigned to later.

    Args:
        check: what a value goes through.
    """

    def __init__(self, check: Check[T]) -> None:
        self._check = check
        self._name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    if TYPE_CHECKING:
        # Without a `__get__`, what is read is what stands in the instance, and no code of ours runs.
        @overload
        def __get__(self, instance: None, owner: type[Any]) -> "Checked[T]": ...
        @overload
        def __get__(self, instance: object, owner: type[Any]) -> T: ...
        def __get__(self, instance: object | None, owner: type[Any]) -> "Checked[T] | T": ...

    def __set__(self, instance: object, value: T) -> None:
        name = f"{self._name} of {type(instance).__name__}"
        instance.__dict__[self._name] = self._check(name, value)
