"""Classes, taken apart into their fields. No I/O."""

import dataclasses
import inspect
import json
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar, get_origin

import attrs
import msgspec
from attrs import field, frozen

from tether._schema.docstrings import documentation_of
from tether._schema.foreign import is_pydantic, to_json_types
from tether._schema.types import in_msgspec_form
from tether.messages import JsonObject

__all__ = ("EMPTY", "Field", "computed_names", "fields_of", "object_schema")

EMPTY: Final[Any] = inspect.Parameter.empty
"""Stands for a default that is not there."""


@frozen
class Field:
    """A parameter of a function, or a field of a class."""

    name: str
    type: Any = field(converter=in_msgspec_form)
    default: Any = EMPTY
    """What to show as its default; nothing is shown of what JSON cannot hold."""
    required: bool = field(kw_only=True)
    description: str = field(default="", kw_only=True)
    """Used where the type has none of its own."""
    argument: str = field(default="", kw_only=True)
    """What its class calls it when it is made, where that is another name."""

    def schema(self, of_type: JsonObject) -> dict[str, Any]:
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


def fields_of(kind: Any) -> list[Field] | None:
    """Take a class apart; None if it has no parts, or they are left to msgspec or pydantic."""
    if is_pydantic(kind):
        return None
    if attrs.has(kind):
        read = _attrs_fields
    elif dataclasses.is_dataclass(kind):
        read = _dataclass_fields
    elif hasattr(kind, "__required_keys__"):
        read = _typed_dict_fields
    else:
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    if any(_has_variables(hint) for hint in hints.values()):
        return None
    told = documentation_of(kind).parameters
    return [attrs.evolve(part, description=told.get(part.name, "")) for part in read(kind, hints)]


def _has_variables(hint: Any) -> bool:
    return isinstance(hint, TypeVar) or bool(getattr(hint, "__parameters__", ()))


def _attrs_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for a in attrs.fields(kind):
        if a.init:
            hint = hints.get(a.name, a.type or Any)
            default = getattr(a.default, "factory", a.default)
            required = a.default is attrs.NOTHING
            yield Field(a.name, hint, _shown(default), required=required, argument=a.alias)


def _dataclass_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for f in dataclasses.fields(kind):
        if f.init:
            default = f.default_factory if f.default is dataclasses.MISSING else f.default
            required = default is dataclasses.MISSING
            yield Field(f.name, hints[f.name], _shown(default), required=required)


def _shown(default: Any) -> Any:
    """The default to show; of factories only those that give the same each time."""
    makes_empty = any(default is kind for kind in (list, dict, set, tuple, frozenset))
    return default() if makes_empty else default


def _typed_dict_fields(kind: Any, hints: Mapping[str, Any]) -> Iterator[Field]:
    for name, hint in hints.items():
        # `__required_keys__` knows nothing of what was said in a string annotation.
        said = {typing.Required: True, typing.NotRequired: False}.get(get_origin(hint))
        required = name in kind.__required_keys__ if said is None else said
        yield Field(name, hint, required=required)


def computed_names(kind: Any) -> set[str]:
    """What JSON made of an instance also has, though an instance is not made of it."""
    if attrs.has(kind):
        return {a.name for a in attrs.fields(kind) if not a.init}
    if dataclasses.is_dataclass(kind):
        return {f.name for f in dataclasses.fields(kind) if not f.init}
    return set()


def object_schema(fields: Sequence[Field], of_types: Iterable[JsonObject]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            part.name: part.schema(of_type) for part, of_type in zip(fields, of_types, strict=True)
        },
        "required": [part.name for part in fields if part.required],
        "additionalProperties": False,
    }
