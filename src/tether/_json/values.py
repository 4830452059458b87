"""Plain values: what is read is checked as what is written. No I/O.

Each function takes a value and returns what JSON holds for it, or what is read of that. It raises `Misfit`.
"""

import base64
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeGuard

from tether._json.misfit import Misfit, at, kind_of, listed

__all__ = (
    "as_boolean",
    "as_free",
    "as_free_object",
    "as_number",
    "as_object",
    "as_text",
    "as_whole",
    "as_word",
    "bytes_as_text",
    "each",
    "text_as_bytes",
)


def as_text(value: object) -> str:
    """Check for text. Half of a surrogate pair becomes U+FFFD, two halves that meet their character."""
    if not isinstance(value, str):
        raise Misfit(f"expected a string, got {kind_of(value)}")
    # An enum of strings is written as the string it is.
    text = value if type(value) is str else str.__str__(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def as_whole(value: object) -> int:
    """Check for a whole number that Python writes and reads."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Misfit(f"expected a whole number, got {kind_of(value)}")
    try:
        str(value)
    except ValueError:
        raise Misfit("the number has more digits than Python writes or reads") from None
    return int(value)


def as_number(value: object) -> float:
    """Check for a finite number; a whole one becomes a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Misfit(f"expected a number, got {kind_of(value)}")
    try:
        converted = float(value)
    except OverflowError:
        raise Misfit("the number is too large") from None
    if not math.isfinite(converted):
        raise Misfit(f"JSON has no number {converted}")
    return converted


def as_boolean(value: object) -> bool:
    """Check for True or False."""
    if not isinstance(value, bool):
        raise Misfit(f"expected true or false, got {kind_of(value)}")
    return value


def bytes_as_text(value: object) -> str:
    """Write bytes as base64."""
    if not isinstance(value, bytes):
        raise Misfit(f"expected bytes, got {kind_of(value)}")
    return base64.b64encode(value).decode()


def text_as_bytes(value: object) -> bytes:
    """Read base64, strictly."""
    text = as_text(value)
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Misfit(f"expected base64: {error}") from None
    if bytes_as_text(data) != text:
        raise Misfit("expected base64: bits that belong to no byte are not zero")
    return data


# Free data: whatever JSON can hold, as a copy.


def as_free(value: object) -> Any:
    """Copy whatever JSON can hold."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, int):
        return as_whole(value)
    if isinstance(value, float):
        return as_number(value)
    if _is_list(value):
        return each(as_free, value)
    if _is_object(value):
        return as_free_object(value)
    raise Misfit(f"JSON cannot hold {kind_of(value)}")


def as_free_object(value: object) -> dict[str, Any]:
    """Copy an object that holds whatever JSON can hold."""
    return {_as_key(key): at(key, as_free, item) for key, item in as_object(value).items()}


def _as_key(key: object) -> str:
    if not isinstance(key, str):
        raise Misfit(f"the keys of an object are strings; {key!r} is {kind_of(key)}")
    return as_text(key)


def as_object(value: object) -> Mapping[Any, Any]:
    """Check for an object."""
    if not _is_object(value):
        raise Misfit(f"expected an object, got {kind_of(value)}")
    return value


def each(convert: Callable[[Any], Any], value: object) -> list[Any]:
    """Convert each item of a list."""
    if not _is_list(value):
        raise Misfit(f"expected a list, got {kind_of(value)}")
    return [at(place, convert, item) for place, item in enumerate(value)]


def _is_object(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


def as_word(value: object, known: Collection[str]) -> str:
    """Check for one of the known words."""
    text = as_text(value)
    if text not in known:
        raise Misfit(f"expected one of {listed(known)}; got {text!r}")
    return text
