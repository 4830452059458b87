"""The reader and the writer of a type: a class, a union, a tuple, a literal or a plain value. Both are strict. No I/O.

A reader makes a value of what JSON holds, a writer makes that of a value. Each is made once for a type. They raise
`Misfit` for a value that does not fit.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from functools import cache, partial
from types import UnionType
from typing import Any, Final, Literal, NoReturn, TypeAlias, Union, get_args, get_origin

import attrs

from tether._json.misfit import Misfit, at, kind_of, listed, step
from tether._json.values import (
    as_boolean,
    as_free,
    as_free_object,
    as_number,
    as_object,
    as_text,
    as_whole,
    as_word,
    bytes_as_text,
    each,
    text_as_bytes,
)
from tether.errors import UsageError
from tether.vocabulary import (
    arms_of,
    field_types,
    is_json_object,
    is_tuple_of_any_length,
    tag_of,
)

__all__ = ("reader_of", "writer_of")

_Convert: TypeAlias = Callable[[Any], Any]

_READERS: Final[Mapping[Any, _Convert]] = {
    str: as_text,
    int: as_whole,
    float: as_number,
    bool: as_boolean,
    bytes: text_as_bytes,
    Any: as_free,
}
_WRITERS: Final[Mapping[Any, _Convert]] = {**_READERS, bytes: bytes_as_text}


@cache
def reader_of(type_: Any) -> _Convert:
    """Make what reads values of a type.

    Raises:
        UsageError: it is not a type that can be read.
    """
    if type_ in _READERS:
        return _READERS[type_]
    if is_json_object(type_):
        return as_free_object
    if attrs.has(type_):
        return _class_reader(type_)
    if is_tuple_of_any_length(type_):
        return _tuple_reader(type_)
    origin = get_origin(type_)
    if origin in (Union, UnionType):
        return _union_reader(type_)
    if origin in (list, Sequence):
        return _several_reader(type_)
    return _literal(type_)


@cache
def writer_of(type_: Any) -> _Convert:
    """Make what writes values of a type.

    Raises:
        UsageError: it is not a type that can be written.
    """
    if type_ in _WRITERS:
        return _WRITERS[type_]
    if is_json_object(type_):
        return as_free_object
    if attrs.has(type_):
        return _class_writer(type_)
    origin = get_origin(type_)
    if is_tuple_of_any_length(type_) or origin in (list, Sequence):
        return _tuple_writer(type_)
    if origin in (Union, UnionType):
        return _union_writer(type_)
    return _literal(type_)


def _literal(type_: Any) -> _Convert:
    if get_origin(type_) is not Literal:
        _refuse(type_)
    return lambda value: as_word(value, get_args(type_))


def _refuse(type_: Any) -> NoReturn:
    raise UsageError(f"{type_!r} is not one of the types that can be written or read as JSON")


def _several_reader(type_: Any) -> _Convert:
    of = get_args(type_)[0]
    if not (attrs.has(of) or get_origin(of) in (Union, UnionType)):
        _refuse(type_)
    read = _tuple_reader(type_)
    return (lambda value: list(read(value))) if get_origin(type_) is list else read


def _tuple_reader(type_: Any) -> _Convert:
    read = reader_of(get_args(type_)[0])
    return lambda value: tuple(each(read, value))


def _tuple_writer(type_: Any) -> _Convert:
    write = writer_of(get_args(type_)[0])
    return lambda value: each(write, value)


# An event may hold an event: the arms of a union are looked up when a value comes.


def _union_reader(type_: Any) -> _Convert:
    arms, optional = arms_of(type_)
    tags = _tags_of(arms if len(arms) > 1 else ())

    def read(value: object) -> Any:
        if value is None and optional:
            return None
        arm = arms[0] if len(arms) == 1 else _arm_of(value, tags)
        return reader_of(arm)(value)

    return read


def _union_writer(type_: Any) -> _Convert:
    arms, optional = arms_of(type_)

    def write(value: object) -> Any:
        if value is None and optional:
            return None
        if len(arms) > 1 and type(value) not in arms:
            names = ", ".join(arm.__name__ for arm in arms)
            raise Misfit(f"expected one of {names}; got {kind_of(value)}")
        arm: Any = arms[0] if len(arms) == 1 else type(value)
        return writer_of(arm)(value)

    return write


def _tags_of(classes: Sequence[Any]) -> Mapping[str, Mapping[str, Any]]:
    """The classes by the name of their tag, and by the tag."""
    tags: dict[str, dict[str, Any]] = {}
    for cls in classes:
        for name, tag in (tag_of(cls) or _refuse(cls)).items():
            tags.setdefault(name, {})[tag] = cls
    return tags


def _arm_of(value: object, tags: Mapping[str, Mapping[str, Any]]) -> Any:
    """Find out by its tag which class of a union a value is of."""
    given = as_object(value)
    for name, classes in tags.items():
        if name in given:
            return classes[at(name, partial(as_word, known=classes), given[name])]
    expected = " or ".join(f"{name!r} ({listed(classes)})" for name, classes in tags.items())
    raise Misfit(f"the object has no {expected}")


def _class_reader(cls: type[Any]) -> _Convert:
    tags = {name: partial(as_word, known=(tag,)) for name, tag in tag_of(cls).items()}
    readers = {name: reader_of(type_) for name, type_ in field_types(cls).items()}
    optional = {field.name for field in attrs.fields(cls) if field.default is not attrs.NOTHING}
    names = [*tags, *readers]

    def read(value: object) -> Any:
        given = _object_with(names, optional, value)
        for name, check in tags.items():
            at(name, check, given[name])
        fields = {name: at(name, readers[name], given[name]) for name in readers if name in given}
        try:
            return cls(**fields)
        except ValueError as error:
            raise Misfit(str(error)) from None

    return read


def _object_with(names: Sequence[str], optional: Set[str], value: object) -> Mapping[str, Any]:
    """Check that a value is an object, and that its keys are the names, all but the optional."""
    given = as_object(value)
    for name in given:
        if name not in names:
            raise Misfit(f"unknown field; known are {listed(names)}", step(name))
    for name in names:
        if name not in given and name not in optional:
            raise Misfit("the field is missing", step(name))
    return given


def _class_writer(cls: type[Any]) -> _Convert:
    tag = tag_of(cls)
    writers = {name: writer_of(type_) for name, type_ in field_types(cls).items()}

    def write(value: object) -> dict[str, Any]:
        if type(value) is not cls:
            raise Misfit(f"expected {cls.__name__}, got {kind_of(value)}")
        fields = {
            name: at(name, convert, getattr(value, name)) for name, convert in writers.items()
        }
        return {**tag, **fields}

    return write
