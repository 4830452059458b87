"""Messages, events, deltas and blocks as JSON, and back.

    to_json, from_json             one line of text, without a line break in it: fit for a log
    to_builtins, from_builtins     the same as objects and lists, for those who put it into something larger

Sequences of them are written as lists, and read back: `from_json(to_json(agent.messages), Sequence[Message])`.

An object begins with its tag (`role` for a message, `type` for everything else), and then has every field
under its own name. Tuples are lists, bytes are base64.

What is written can be read back, and equals what was written:

- Both ways are strict. Nothing is coerced but a whole number to a float; a field that is missing or not
  known, a tag or a word that is not known, and a value that JSON cannot hold are errors which name the path.
- Free data (`details`, `arguments`, `data`) passes through. JSON has only one kind of list: a tuple in it
  comes back as a list.
- Half of a surrogate pair, which a reply that was cut inside a character may leave, is not text that could
  be written as UTF-8: two halves that meet become their character, a lone one becomes U+FFFD.

No I/O.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

import attrs
import msgspec

from tether._json.misfit import Misfit, kind_of
from tether._json.types import reader_of, writer_of
from tether._json.values import each
from tether.deltas import Delta
from tether.errors import DecodeError, UsageError
from tether.events import Event
from tether.messages import Block, Failure, Message, Usage

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = ("Serializable", "from_builtins", "from_json", "to_builtins", "to_json")

Serializable: TypeAlias = Message | Event | Delta | Block | Usage | Failure
"""What can be written."""

_T = TypeVar("_T")

_TOO_DEEP: Final = "nested too deeply, or holding itself"


def to_json(value: Serializable | Sequence[Serializable]) -> bytes:
    """Write as JSON.

    Args:
        value: a message, event, delta or block; or a sequence of them, such as `agent.messages`.

    Returns:
        UTF-8, compact, on one line, without a newline at its end.

    Raises:
        UsageError: there is something in it that JSON cannot hold; the text names the path.
    """
    written = to_builtins(value)
    try:
        return msgspec.json.encode(written)
    except RecursionError:
        raise UsageError(f"$: {_TOO_DEEP}") from None


@overload
def from_json(data: bytes | str) -> Message | Event: ...
@overload
def from_json(data: bytes | str, expected: "TypeForm[_T]") -> _T: ...
def from_json(data: bytes | str, expected: Any = Message | Event) -> Any:
    """Read what `to_json` wrote.

    Args:
        data: JSON text.
        expected: one of the classes that can be written, a union of them, such as `Message` or `Delta`, or
            `Sequence[...]`, `tuple[..., ...]` or `list[...]` of one of these.

    Returns:
        The message or event, or what was expected; a tuple for a `Sequence`.

    Raises:
        DecodeError: it is something else; `path` says where.
    """
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from None
    return from_builtins(value, expected)


@overload
def to_builtins(value: Serializable) -> dict[str, Any]: ...
@overload
def to_builtins(value: Sequence[Serializable]) -> list[dict[str, Any]]: ...
def to_builtins(value: Serializable | Sequence[Serializable]) -> Any:
    """Write as the objects and lists that a JSON library takes.

    Args:
        value: a message, event, delta or block; or a sequence of them, such as `agent.messages`.

    Returns:
        A new object, or a list of objects, which shares nothing with the value.

    Raises:
        UsageError: there is something in it that JSON cannot hold; the text names the path.
    """
    try:
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return each(_write, tuple(value))
        return _write(value)
    except Misfit as misfit:
        raise UsageError(f"{misfit.path('$')}: {misfit.reason}") from None
    except RecursionError:
        raise UsageError(f"$: {_TOO_DEEP}") from None


@overload
def from_builtins(value: object, *, path: str = ...) -> Message | Event: ...
@overload
def from_builtins(value: object, expected: "TypeForm[_T]", *, path: str = ...) -> _T: ...
def from_builtins(value: object, expected: Any = Message | Event, *, path: str = "$") -> Any:
    """Read what `to_builtins` wrote, or what a JSON library made of what `to_json` wrote.

    Args:
        value: objects, lists and so on.
        expected: one of the classes that can be written, a union of them, such as `Message` or `Delta`, or
            `Sequence[...]`, `tuple[..., ...]` or `list[...]` of one of these.
        path: where the value stands in what it was taken from, for the errors.

    Returns:
        The message or event, or what was expected; a tuple for a `Sequence`. It shares nothing with the value.

    Raises:
        DecodeError: it is something else; its `path` begins with the one given.
    """
    try:
        return reader_of(expected)(value)
    except Misfit as misfit:
        raise DecodeError(misfit.reason, path=misfit.path(path)) from None
    except RecursionError:
        raise DecodeError(_TOO_DEEP, path=path) from None


def _write(value: object) -> Any:
    cls: Any = type(value)
    if not attrs.has(cls):
        raise Misfit(f"expected a message, event, delta or block, got {kind_of(value)}")
    return writer_of(cls)(value)
