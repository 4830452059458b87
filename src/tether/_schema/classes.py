"""Classes, taken apart into their fields. No I/O."""

import dataclasses
import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import msgspec
from attrs import field, frozen

from tether._schema.docstrings import documentation_of
from tether._schema.foreign import Default, is_pydantic, peeled
from tether._schema.hints import found_in, is_required
from tether._schema.results import to_json_types

__all__ = (
    "EMPTY",
    "Field",
    "computed_names",
    "field_of",
    "fields_of",
    "hints_of_class",
    "is_row",
)

EMPTY: Final[Any] = inspect.Parameter.empty
"""Stands for a default that is not there."""

_UNSHOWN: Final[Any] = ...
"""Stands for a default that cannot be shown."""

_OTHERS_FIELDS: Final = (dataclasses.Field, type(attrs.field()), type(msgspec.field()))
"""What stands for a default in a class, and means nothing elsewhere."""


@frozen
class Field:
    """A parameter of a function, or a field of a class."""

    name: str
    type: Any
    default: Any = EMPTY
    """What to show as its default; nothing is shown of what JSON cannot hold."""
    required: bool = field(kw_only=True)
    description: str = field(default="", kw_only=True)
    """Used where the type has none of its own."""
    argument: str = field(default="", kw_only=True)
    """What it is called where it is made, if that is another name."""
    fill: Default | None = field(default=None, kw_only=True)
    """Makes its default, where what is called has another, or none."""

    def schema(self, of_type: Mapping[str, Any]) -> dict[str, Any]:
        """The schema of its type, with what is known of the field itself."""
        told = {"description": self.description} if self.description else {}
        return {**told, **of_type, **_default(self.default)}


def _default(value: object) -> dict[str, Any]:
    try:
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=to_json_types)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        return {}
    return {"default": plain}


def field_of(name: str, hint: Any, default: Any = EMPTY, *, argument: str = "") -> Field:
    """Make a field of what is written: its type, and its default or what stands for it.

    Raises:
        TypeError: something in it is not honoured; the text names it.
    """
    if isinstance(default, _OTHERS_FIELDS):
        kind = type(default).__module__.split(".")[0]
        raise TypeError(f"its default is a field of {kind}; write the default itself: `= 3`")
    own = peeled(hint, default, EMPTY)
    return Field(
        own.alias or name,
        own.hint,
        own.shown,
        required=own.shown is EMPTY,
        argument=argument or (name if own.alias else ""),
        fill=own.fill,
    )


def fields_of(kind: Any) -> list[Field] | None:
    """Take a class apart; None if it has no parts that are known here.

    Raises:
        Exception: its annotations cannot be read.
    """
    if not isinstance(kind, type) or is_pydantic(kind):
        return None
    read = _reader_of(kind)
    if read is None:
        return None
    told = documentation_of(kind).parameters
    parts = read(kind, hints_of_class(kind))
    return [attrs.evolve(part, description=told.get(part.name, "")) for part in parts]


def _reader_of(kind: Any) -> Any:
    if attrs.has(kind):
        return _attrs_fields
    if dataclasses.is_dataclass(kind):
        return _dataclass_fields
    if issubclass(kind, msgspec.Struct):
        return _struct_fields
    if hasattr(kind, "__required_keys__"):
        return _typed_dict_fields
    return _named_tuple_fields if issubclass(kind, tuple) and hasattr(kind, "_fields") else None


def is_row(kind: Any) -> bool:
    """Whether a class with fields is an array in JSON, and not an object."""
    if issubclass(kind, msgspec.Struct):
        return bool(kind.__struct_config__.array_like)
    return issubclass(kind, tuple)


def hints_of_class(kind: Any) -> dict[str, Any]:
    """The types of what a class has, by name."""
    module: Any = sys.modules.get(kind.__module__, types.ModuleType(""))
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError:
        # Classes in functions know their own names, and those of the classes in them.
        own = {**vars(kind), kind.__name__: kind}
        hints = typing.get_type_hints(kind, localns=own, include_extras=True)
    names = {**vars(module), kind.__name__: kind}
    return {name: found_in(hint, names) for name, hint in hints.items()}


def _attrs_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for a in attrs.fields(kind):
        if a.init:
            default = a.default
            if default is attrs.NOTHING:
                default = EMPTY
            elif isinstance(default, attrs.Factory):  # type: ignore[arg-type]
                default = _UNSHOWN if default.takes_self else _shown(default.factory)
            yield field_of(a.name, hints.get(a.name, a.type or Any), default, argument=a.alias)


def _dataclass_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for f in dataclasses.fields(kind):
        if f.init:
            default = EMPTY if f.default is dataclasses.MISSING else f.default
            if f.default_factory is not dataclasses.MISSING:
                default = _shown(f.default_factory)
            yield field_of(f.name, hints[f.name], default)
    for name, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar):
            yield field_of(name, hint.type, getattr(kind, name, EMPTY))


def _struct_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for f in msgspec.structs.fields(kind):
        default = EMPTY if f.default is msgspec.NODEFAULT else f.default
        if f.default_factory is not msgspec.NODEFAULT:
            default = _shown(f.default_factory)
        yield field_of(f.encode_name, hints.get(f.name, f.type), default, argument=f.name)


def _shown(factory: Any) -> Any:
    """The default to show of a factory: of those only that give the same each time."""
    makes_empty = any(factory is kind for kind in (list, dict, set, tuple, frozenset))
    return factory() if makes_empty else _UNSHOWN


def _typed_dict_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for name, hint in hints.items():
        # `__required_keys__` knows nothing of what was said in a string annotation.
        said = is_required(hint)
        required = name in kind.__required_keys__ if said is None else said
        made = field_of(name, hint)
        yield attrs.evolve(made, required=required and made.required)


def _named_tuple_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for name in kind._fields:
        yield field_of(name, hints.get(name, Any), kind._field_defaults.get(name, EMPTY))


def computed_names(kind: Any) -> list[str]:
    """What JSON made of an instance also has, though an instance is not made of it."""
    if attrs.has(kind):
        return [a.name for a in attrs.fields(kind) if not a.init]
    if dataclasses.is_dataclass(kind):
        return [f.name for f in dataclasses.fields(kind) if not f.init]
    return []
