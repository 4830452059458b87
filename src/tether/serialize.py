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

import base64
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NoReturn,
    TypeAlias,
    TypeGuard,
    TypeVar,
    Union,
    get_args,
    get_origin,
    overload,
)

import attrs
import msgspec

from tether.deltas import Delta
from tether.errors import DecodeError, UsageError
from tether.events import Event
from tether.messages import Block, Failure, Message, Usage
from tether.vocabulary import (
    arms_of,
    field_types,
    is_json_object,
    is_tuple_of_any_length,
    tag_of,
)

if TYPE_CHECKING:
    from cattrs import Converter
    from typing_extensions import TypeForm

__all__ = ("Serializable", "from_builtins", "from_json", "to_builtins", "to_json")

Serializable: TypeAlias = Message | Event | Delta | Block | Usage | Failure
"""What can be written."""

_T = TypeVar("_T")
_Hook: TypeAlias = Callable[[Any], Any]
_ReadHook: TypeAlias = Callable[[Any, Any], Any]
_Tags: TypeAlias = Mapping[str, Mapping[str, Any]]

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
            return _each(_write, tuple(value))
        return _write(value)
    except _Misfit as misfit:
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
        return _converter().structure(value, expected)
    except _Misfit as misfit:
        raise DecodeError(misfit.reason, path=misfit.path(path)) from None
    except RecursionError:
        raise DecodeError(_TOO_DEEP, path=path) from None


def _write(value: object) -> Any:
    if not attrs.has(type(value)):
        raise _Misfit(f"expected a message, event, delta or block, got {_kind_of(value)}")
    return _converter().unstructure(value)


class _Misfit(Exception):  # noqa: N818 - it never leaves this module
    """A value that does not fit; on its way up it learns where the value stands."""

    def __init__(self, reason: str, *steps: str) -> None:
        super().__init__(reason, *steps)
        self.reason = reason
        self.steps = list(steps)

    def path(self, root: str) -> str:
        return root + "".join(reversed(self.steps))


def _at(key: str | int, hook: Callable[..., Any], *arguments: Any) -> Any:
    """Call a hook for what stands under a key of an object, or at a place in a list."""
    try:
        return hook(*arguments)
    except _Misfit as misfit:
        misfit.steps.append(_step(key))
        raise


def _step(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!a}]"


@cache
def _converter() -> "Converter":
    """Build the one converter: for each type in the vocabulary a reader and a writer, both strict."""
    # Most of what importing tether would cost is not spent before something is written or read.
    from cattrs import Converter  # noqa: PLC0415

    converter = Converter()
    # What is registered last is asked first: nothing is left to cattrs' own hooks, which coerce.
    for is_shape, reader, writer in (
        (_is_anything, _refuse, _refuse),
        (_has_origin(Literal), _literal_reader, _literal_writer),
        (_has_origin(list, Sequence), _several_reader, _tuple_writer),
        (is_tuple_of_any_length, _tuple_reader, _tuple_writer),
        (_has_origin(Union, UnionType), _union_reader, _union_writer),
        (attrs.has, _class_reader, _class_writer),
    ):
        converter.register_structure_hook_factory(is_shape, reader)
        converter.register_unstructure_hook_factory(is_shape, writer)
    for leaf, read, write in (
        (str, _text, _text),
        (int, _whole, _whole),
        (float, _number, _number),
        (bool, _boolean, _boolean),
        (bytes, _read_bytes, _write_bytes),
        (Any, _free, _free),
    ):
        converter.register_structure_hook(leaf, _as_reader(read))
        converter.register_unstructure_hook(leaf, write)
    converter.register_structure_hook_func(is_json_object, _as_reader(_free_object))
    converter.register_unstructure_hook_func(is_json_object, _free_object)
    return converter


def _is_anything(_: Any) -> bool:
    return True


def _has_origin(*origins: Any) -> Callable[[Any], bool]:
    return lambda type_: get_origin(type_) in origins


def _as_reader(check: _Hook) -> _ReadHook:
    return lambda value, _: check(value)


def _refuse(type_: Any, _converter: object = None) -> NoReturn:
    raise UsageError(f"{type_!r} is not one of the types that can be written or read as JSON")


# Leaves: what is read is checked as what is written.


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Misfit(f"expected a string, got {_kind_of(value)}")
    # An enum of strings is written as the string it is.
    text = value if type(value) is str else str.__str__(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Misfit(f"expected a whole number, got {_kind_of(value)}")
    try:
        str(value)
    except ValueError:
        raise _Misfit("the number has more digits than Python writes or reads") from None
    return int(value)


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Misfit(f"expected a number, got {_kind_of(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise _Misfit("the number is too large") from None
    if not math.isfinite(number):
        raise _Misfit(f"JSON has no number {number}")
    return number


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Misfit(f"expected true or false, got {_kind_of(value)}")
    return value


def _write_bytes(value: object) -> str:
    if not isinstance(value, bytes):
        raise _Misfit(f"expected bytes, got {_kind_of(value)}")
    return base64.b64encode(value).decode()


def _read_bytes(value: object) -> bytes:
    text = _text(value)
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise _Misfit(f"expected base64: {error}") from None
    if _write_bytes(data) != text:
        raise _Misfit("expected base64: bits that belong to no byte are not zero")
    return data


# Free data: whatever JSON can hold, as a copy.


def _free(value: object) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return _number(value)
    if _is_list(value):
        return _each(_free, value)
    if _is_object(value):
        return _free_object(value)
    raise _Misfit(f"JSON cannot hold {_kind_of(value)}")


def _free_object(value: object) -> dict[str, Any]:
    return {_key(key): _at(key, _free, item) for key, item in _object(value).items()}


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise _Misfit(f"the keys of an object are strings; {key!r} is {_kind_of(key)}")
    return _text(key)


def _object(value: object) -> Mapping[Any, Any]:
    if not _is_object(value):
        raise _Misfit(f"expected an object, got {_kind_of(value)}")
    return value


def _each(hook: Callable[..., Any], value: object, *arguments: Any) -> list[Any]:
    if not _is_list(value):
        raise _Misfit(f"expected a list, got {_kind_of(value)}")
    return [_at(place, hook, item, *arguments) for place, item in enumerate(value)]


def _is_object(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, list | tuple)


# Shapes of types: what makes the reader and the writer of one.


def _literal_writer(type_: Any) -> _Hook:
    return lambda value: _word(value, get_args(type_))


def _literal_reader(type_: Any) -> _ReadHook:
    return _as_reader(_literal_writer(type_))


def _word(value: object, known: Collection[str]) -> str:
    text = _text(value)
    if text not in known:
        raise _Misfit(f"expected one of {_listed(known)}; got {text!r}")
    return text


def _several_reader(type_: Any, converter: "Converter") -> _ReadHook:
    of = get_args(type_)[0]
    if not (attrs.has(of) or _has_origin(Union, UnionType)(of)):
        _refuse(type_)
    read = _tuple_reader(type_, converter)
    return (lambda value, _: list(read(value, _))) if get_origin(type_) is list else read


def _tuple_reader(type_: Any, converter: "Converter") -> _ReadHook:
    of = get_args(type_)[0]
    hook = converter.get_structure_hook(of)
    return lambda value, _: tuple(_each(hook, value, of))


def _tuple_writer(type_: Any, converter: "Converter") -> _Hook:
    hook = converter.get_unstructure_hook(get_args(type_)[0])
    return lambda value: _each(hook, value)


def _union_reader(type_: Any, converter: "Converter") -> _ReadHook:
    arms, optional = arms_of(type_)
    tags = _tags_of(arms if len(arms) > 1 else ())

    def read(value: object, _: Any) -> Any:
        if value is None and optional:
            return None
        return converter.structure(value, arms[0] if len(arms) == 1 else _arm_of(value, tags))

    return read


def _union_writer(type_: Any, converter: "Converter") -> _Hook:
    arms, optional = arms_of(type_)

    def write(value: object) -> Any:
        if value is None and optional:
            return None
        if len(arms) > 1 and type(value) not in arms:
            names = ", ".join(arm.__name__ for arm in arms)
            raise _Misfit(f"expected one of {names}; got {_kind_of(value)}")
        return converter.unstructure(value, arms[0] if len(arms) == 1 else type(value))

    return write


def _tags_of(classes: Sequence[Any]) -> _Tags:
    """The classes by the name of their tag, and by the tag."""
    tags: dict[str, dict[str, Any]] = {}
    for cls in classes:
        for name, tag in (tag_of(cls) or _refuse(cls)).items():
            tags.setdefault(name, {})[tag] = cls
    return tags


def _arm_of(value: object, tags: _Tags) -> Any:
    """Find out by its tag which class of a union a value is of."""
    given = _object(value)
    for name, classes in tags.items():
        if name in given:
            return classes[_at(name, _word, given[name], classes)]
    expected = " or ".join(f"{name!r} ({_listed(classes)})" for name, classes in tags.items())
    raise _Misfit(f"the object has no {expected}")


def _class_reader(cls: type[Any], converter: "Converter") -> _ReadHook:
    tag = tag_of(cls)
    types = field_types(cls)
    hooks = {name: converter.get_structure_hook(type_) for name, type_ in types.items()}
    optional = {field.name for field in attrs.fields(cls) if field.default is not attrs.NOTHING}
    names = [*tag, *types]

    def read(value: object, _: Any) -> Any:
        given = _object_with(names, optional, value)
        for name, word in tag.items():
            _at(name, _word, given[name], (word,))
        fields = [name for name in types if name in given]
        values = {name: _at(name, hooks[name], given[name], types[name]) for name in fields}
        try:
            return cls(**values)
        except ValueError as error:
            raise _Misfit(str(error)) from None

    return read


def _object_with(names: Sequence[str], optional: Set[str], value: object) -> Mapping[str, Any]:
    """Check that a value is an object, and that its keys are the names, all but the optional."""
    given = _object(value)
    for name in given:
        if name not in names:
            raise _Misfit(f"unknown field; known are {_listed(names)}", _step(name))
    for name in names:
        if name not in given and name not in optional:
            raise _Misfit("the field is missing", _step(name))
    return given


def _class_writer(cls: type[Any], converter: "Converter") -> _Hook:
    tag = tag_of(cls)
    types = field_types(cls)
    hooks = {name: converter.get_unstructure_hook(type_) for name, type_ in types.items()}

    def write(value: object) -> dict[str, Any]:
        if type(value) is not cls:
            raise _Misfit(f"expected {cls.__name__}, got {_kind_of(value)}")
        fields = {name: _at(name, hook, getattr(value, name)) for name, hook in hooks.items()}
        return {**tag, **fields}

    return write


# Words for errors.


def _listed(words: Iterable[str]) -> str:
    return ", ".join(repr(word) for word in words)


def _kind_of(value: object) -> str:
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
