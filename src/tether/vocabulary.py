"""The shapes of what is written as JSON: read off the types, for `tether.serialize` and for JSON Schema.

A class is an object: its tag (`role` for a message, `type` for everything else), then its fields. A union is one of
its classes, told apart by the tag. `json_schema` says the same to programs in other languages.

No I/O.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from tether.deltas import BlockDelta, Delta
from tether.errors import UsageError
from tether.events import Event
from tether.messages import AssistantBlock, Block, JsonObject, Message, UserBlock

__all__ = (
    "arms_of",
    "field_types",
    "is_json_object",
    "is_tuple_of_any_length",
    "json_schema",
    "tag_of",
)

_TAG_NAMES: Final = ("role", "type")

_NAMED: Final[Mapping[str, Any]] = {
    "Message": Message,
    "Event": Event,
    "Delta": Delta,
    "BlockDelta": BlockDelta,
    "Block": Block,
    "UserBlock": UserBlock,
    "AssistantBlock": AssistantBlock,
}
"""Unions that have a name in the schema too."""

_BASE64: Final = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def json_schema(of: Any = Message | Event, *, may_be_partial: bool = False) -> dict[str, Any]:
    """Describe as JSON Schema (2020-12) what `to_json` writes, for programs in other languages.

    Args:
        of: one of the classes that can be written, or a union of them, such as `Message` or `Event`.
        may_be_partial: whether fields that have a default may be missing: `from_json` reads such objects, and `to_json`
            writes none.

    Returns:
        The schema. Each class and each union that has a name, such as `Message`, is under that name in `$defs`.

    Raises:
        UsageError: these types cannot be written.
    """
    definitions = _Definitions(may_be_partial)
    described = definitions.schema_of(of)
    for union in _NAMED.values() if of == Message | Event else ():
        definitions.schema_of(union)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Messages and events of tether",
        **described,
        "$defs": dict(sorted(definitions.made.items())),
    }


def is_tuple_of_any_length(type_: Any) -> bool:
    """Whether a type is `tuple[..., ...]` with one type of items."""
    return get_origin(type_) is tuple and get_args(type_)[1:] == (...,)


def is_json_object(type_: Any) -> bool:
    """Whether a type is `JsonObject`."""
    return bool(type_ == JsonObject)


def arms_of(union: Any) -> tuple[Sequence[Any], bool]:
    """Return the types in a union but None, and whether None is in it too."""
    arms = [arm for arm in get_args(union) if arm is not NoneType]
    return arms, len(arms) < len(get_args(union))


def tag_of(cls: Any) -> Mapping[str, str]:
    """Return the tag of a class under its name; empty for one that has none."""
    return {name: tag for name in _TAG_NAMES if isinstance(tag := cls.__dict__.get(name), str)}


def field_types(cls: type[Any]) -> Mapping[str, Any]:
    """Return the types of the fields of a class, by name."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in attrs.fields(cls)}


class _Definitions:
    """What has been described so far: the `$defs` of one schema."""

    def __init__(self, may_be_partial: bool) -> None:  # noqa: FBT001 - its one argument
        self._may_be_partial = may_be_partial
        self.made: dict[str, dict[str, Any]] = {}

    def schema_of(self, type_: Any) -> dict[str, Any]:
        """Describe a type; what has a name is defined, and referred to."""
        if type_ in _LEAVES:
            return dict(_LEAVES[type_])
        if is_json_object(type_):
            return {"type": "object"}
        if get_origin(type_) is Literal:
            return {"enum": list(get_args(type_))}
        if is_tuple_of_any_length(type_):
            return {"type": "array", "items": self.schema_of(get_args(type_)[0])}
        if get_origin(type_) in {Union, UnionType}:
            return self._union(type_)
        if attrs.has(type_):
            return self._referred(type_.__name__, lambda: self._object(type_))
        raise UsageError(f"{type_!r} is not one of the types that can be written as JSON")

    def _referred(self, name: str, describe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in self.made:
            self.made[name] = {}  # its own parts may refer to it
            self.made[name].update(describe())
        return {"$ref": f"#/$defs/{name}"}

    def _union(self, union: Any) -> dict[str, Any]:
        arms, is_optional = arms_of(union)
        names = [name for name, known in _NAMED.items() if set(get_args(known)) == set(arms)]
        if names:
            described = [self._referred(names[0], lambda: self._any_of(arms))]
        else:
            described = [self.schema_of(arm) for arm in arms]
        if is_optional:
            described.append({"type": "null"})
        return described[0] if len(described) == 1 else {"anyOf": described}

    def _any_of(self, arms: Sequence[Any]) -> dict[str, Any]:
        return {"anyOf": [self.schema_of(arm) for arm in arms]}

    def _object(self, cls: type[Any]) -> dict[str, Any]:
        tag = tag_of(cls)
        fields = {name: self.schema_of(type_) for name, type_ in field_types(cls).items()}
        optional = {field.name for field in attrs.fields(cls) if field.default is not attrs.NOTHING}
        may_be_missing = optional if self._may_be_partial else set[str]()
        return {
            "description": inspect.cleandoc(cls.__doc__ or "").partition("\n")[0],
            "type": "object",
            "properties": {**{name: {"const": word} for name, word in tag.items()}, **fields},
            "required": [*tag, *(name for name in fields if name not in may_be_missing)],
            "additionalProperties": False,
        }


_LEAVES: Final[Mapping[Any, Mapping[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
    Any: {},
}
