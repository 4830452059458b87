"""Single types: in the form that msgspec reads, as JSON Schema, and as what reads a value. No I/O."""

import collections.abc as abc
import functools
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import chain
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from tether._schema.foreign import DEFINITIONS, ForeignSchemas, from_json_types
from tether.errors import ArgumentsError

__all__ = (
    "ARRAYS",
    "MAPPINGS",
    "UNIONS",
    "annotated",
    "described",
    "in_msgspec_form",
    "or_type_error",
    "read_leaf",
)

T = TypeVar("T")

UNIONS: Final = {Union, types.UnionType}
MAPPINGS: Final = {dict, abc.Mapping, abc.MutableMapping}
ARRAYS: Final[Mapping[Any, Callable[[list[Any]], Any]]] = {
    **dict.fromkeys([list, abc.Collection, abc.Sequence, abc.MutableSequence], list),
    **dict.fromkeys([set, abc.Set, abc.MutableSet], set),
    frozenset: frozenset,
    tuple: tuple,
}
"""The generic types that are arrays in JSON, and what makes one of them."""

_QUALIFIERS: Final = {
    typing.Required,
    typing.NotRequired,
    typing.Final,
    getattr(typing, "ReadOnly", typing.Required),
}
"""They say something of a field, and nothing of its type."""

_BOUNDS: Final = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
"""What `msgspec.Meta`, the markers of annotated-types, and pydantic's call by the same names."""


def in_msgspec_form(hint: Any) -> Any:
    """Put what is written as plain strings, or in annotated-types, into msgspec's own form."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is object:
        return Any
    if isinstance(hint, typing.NewType):
        return in_msgspec_form(hint.__supertype__)
    if origin in _QUALIFIERS:
        return in_msgspec_form(arguments[0])
    if origin is Annotated:
        metas = [meta for mark in arguments[1:] if (meta := _meta(mark)) is not None]
        return annotated(in_msgspec_form(arguments[0]), metas)
    if origin is None or origin in {Literal, abc.Callable}:
        return hint
    changed = tuple(map(in_msgspec_form, arguments))
    if changed == arguments:
        return hint
    generic: Any = Union if origin in UNIONS else origin
    return generic[changed]


def annotated(hint: Any, metas: Iterable[msgspec.Meta]) -> Any:
    return functools.reduce(lambda inner, meta: Annotated[inner, meta], metas, hint)


def _meta(mark: object) -> msgspec.Meta | None:
    if isinstance(mark, msgspec.Meta):
        return mark
    if isinstance(mark, str):
        return msgspec.Meta(description=mark)
    told: dict[str, Any] = {}
    for source in [mark, *getattr(mark, "metadata", ())]:  # pydantic's Field holds markers
        found = {bound: getattr(source, bound, None) for bound in _BOUNDS}
        told |= {bound: value for bound, value in found.items() if value is not None}
    description = getattr(mark, "description", None) or getattr(mark, "documentation", None)
    if isinstance(description, str):
        told["description"] = description
    return msgspec.Meta(**told) if told else None


def read_leaf(hint: Any, value: object, path: str) -> Any:
    """Read what has no parts that we know of; as it is, else leniently."""
    reason: Exception | None = None
    for strict in (True, False):
        try:
            return msgspec.convert(
                value, hint, strict=strict, str_keys=True, dec_hook=from_json_types
            )
        except (msgspec.ValidationError, TypeError, UnicodeEncodeError) as error:
            reason = error
    text, _, place = str(reason).partition(" - at `$")
    text = text[:1].lower() + text[1:].replace("`", "")
    raise ArgumentsError([f"{path}{place.rstrip('`')}: {text}{_allowed(hint)}"])


def _allowed(hint: Any) -> str:
    values = [json.dumps(value, ensure_ascii=False) for value in _choices(hint)]
    return f"; allowed: {', '.join(values)}" if values else ""


def _choices(hint: Any) -> list[Any]:
    """All the values of a type, if it has but few."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [member.value for member in hint]
    if hint is types.NoneType:
        return [None]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return list(arguments)
    if origin is Annotated:
        return _choices(arguments[0])
    choices = [_choices(member) for member in arguments] if origin in UNIONS else []
    return list(chain.from_iterable(choices)) if all(choices) else []


def described(hints: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    found: dict[str, Any] = {}
    schemas, definitions = msgspec.json.schema_components(
        hints, schema_hook=ForeignSchemas(found), ref_template=DEFINITIONS + "{name}"
    )
    return list(schemas), {**definitions, **found}


def or_type_error(read: Callable[[Any], T], types_: Any) -> T:
    """Read types; however that fails, it is a TypeError."""
    try:
        return read(types_)
    except NameError as error:
        raise TypeError(
            f"an annotation names {error.name!r}, which is not to be found from its module"
        ) from error
    except (TypeError, ValueError, SyntaxError, RuntimeError) as error:
        text = str(error).replace("`", "")
        if "unions" in text:
            text += "; JSON cannot tell them apart: make each a parameter of its own"
        raise TypeError(text) from error
