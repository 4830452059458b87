"""Unions: which member of one is meant. No I/O.

A tag decides, where the members that are objects have one: a property that each of them has, with other values in
each. Else it is the first that fits. A value that fits one member as it stands is not read carelessly for another
before it. An object is rather a member that knows all its names than one that passes over some.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from tether._schema.faults import excerpt, expected, joined
from tether._schema.reading import Level, Reading, Shape, as_container
from tether._schema.shapes import DEFINITIONS
from tether.errors import ArgumentsError
from tether.messages import JsonObject

__all__ = ("OneOf",)

_KINDS: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_KIND_OF: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


@frozen(eq=False)
class OneOf:
    """A union."""

    members: Sequence[Shape]
    definitions: Mapping[str, JsonObject] = field(repr=False)
    """What the schemas of the members refer to; complete when the first value is read."""
    bounds: Mapping[str, str] = field(factory=dict[str, str])

    @property
    def schema(self) -> JsonObject:
        return {"anyOf": [member.schema for member in self.members]}

    @property
    def noun(self) -> str:
        return " | ".join(dict.fromkeys(member.noun for member in self.members))

    def read(self, value: object, path: str, reading: Reading) -> Any:
        if isinstance(value, str) and reading.level is Level.LENIENT and not self._takes("string"):
            value = as_container(value, list | dict)
        if not isinstance(value, list | dict):
            return self._read(value, path, reading)
        key = (id(self), id(value), reading.level)
        if key not in reading.seen:
            try:
                result, error = self._read(value, path, reading), None
            except ArgumentsError as raised:
                result, error = None, raised
            # The value is kept, since another could have its id once it is gone.
            reading.seen[key] = (result, error, value)
        result, error, _ = reading.seen[key]
        if error is not None:
            raise ArgumentsError(error.faults)
        return result

    def _read(self, value: object, path: str, reading: Reading) -> Any:
        members = self._meant(value)
        for level in Level:
            if level <= reading.level:
                for member in members:
                    try:
                        return member.read(value, path, reading.at(level))
                    except ArgumentsError:
                        pass
        raise self._error(members, value, path, reading)

    def _meant(self, value: object) -> Sequence[Shape]:
        """The members that may be meant, the likeliest first."""
        if not isinstance(value, dict):
            return self.members
        for tag, values in self._tags.items():
            if tag in value:
                meant = [member for member, allowed in values if _is_among(value[tag], allowed)]
                others = [one for one in self.members if one not in [m for m, _ in values]]
                return [*meant, *others] if meant else self.members
        return sorted(self.members, key=lambda member: self._unknown_names(member, value))

    def _error(
        self, members: Sequence[Shape], value: object, path: str, reading: Reading
    ) -> ArgumentsError:
        kind = _KIND_OF.get(type(value), "")
        meant = [member for member in members if kind in _kinds(member.schema, self.definitions)]
        if not meant:
            allowed = ", ".join(map(_json, self._allowed or ()))
            fault = expected(path, self.noun, value).faults[0]
            return ArgumentsError([f"{fault}; allowed: {allowed}" if allowed else fault])
        if len(meant) > 1 and isinstance(value, dict) and (fault := self._tag_fault(value, path)):
            return ArgumentsError([fault])
        faults = [(self._name(member), _faults(member, value, path, reading)) for member in meant]
        if len(faults) == 1:
            return ArgumentsError(faults[0][1])
        # Only the first of each: unions within unions would say everything many times over.
        told = "; ".join(f"as {name}: {excerpt(found[0])}" for name, found in faults)
        names = ", ".join(dict.fromkeys(name for name, _ in faults))
        return ArgumentsError([f"{path}: fits none of {names} ({told})"])

    def _tag_fault(self, value: Mapping[str, Any], path: str) -> str:
        """What is wrong with the tag, where there is one."""
        for tag, values in self._tags.items():
            allowed = ", ".join(_json(one) for _, those in values for one in those)
            if tag not in value:
                return f"{joined(path, tag)}: is missing; allowed: {allowed}"
            if not any(_is_among(value[tag], those) for _, those in values):
                return (
                    f"{joined(path, tag)}: {_json(value[tag])} is none of them; allowed: {allowed}"
                )
        return ""

    # What the schemas of the members say.

    @functools.cached_property
    def _tags(self) -> Mapping[str, Sequence[tuple[Shape, Sequence[Any]]]]:
        """The properties that tell the members apart that are objects, with the values in each."""
        objects = [
            (member, _properties(member.schema, self.definitions))
            for member in self.members
            if "object" in _kinds(member.schema, self.definitions)
        ]
        if len(objects) < 2:
            return {}
        found: dict[str, Sequence[tuple[Shape, Sequence[Any]]]] = {}
        for name in objects[0][1]:
            values = [
                (member, _values(properties.get(name, {}), self.definitions) or ())
                for member, properties in objects
            ]
            every = [value for _, those in values for value in those]
            apart = all(value not in every[:number] for number, value in enumerate(every))
            if apart and all(those for _, those in values):
                found[name] = values
        return found

    @functools.cached_property
    def _allowed(self) -> Sequence[Any] | None:
        return _values(self.schema, self.definitions)

    def _takes(self, kind: str) -> bool:
        return kind in _kinds(self.schema, self.definitions)

    def _unknown_names(self, member: Shape, value: Mapping[str, Any]) -> int:
        properties = _properties(member.schema, self.definitions)
        return len(value.keys() - properties.keys()) if properties else 0

    def _name(self, member: Shape) -> str:
        title = _resolved(member.schema, self.definitions).get("title")
        return title if isinstance(title, str) else member.noun


def _faults(member: Shape, value: object, path: str, reading: Reading) -> Sequence[str]:
    try:
        member.read(value, path, reading)
    except ArgumentsError as error:
        return error.faults
    raise AssertionError("it fits at this level, and was taken")


def _is_among(value: object, values: Sequence[Any]) -> bool:
    return any(type(value) is type(one) and value == one for one in values)


def _json(value: object) -> str:
    return excerpt(json.dumps(value, ensure_ascii=False, default=str))


def _resolved(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> JsonObject:
    """A schema without the references that it begins with."""
    for _ in definitions:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            break
        own = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**definitions.get(reference.removeprefix(DEFINITIONS), {}), **own}
    return schema


def _alternatives(
    schema: JsonObject, definitions: Mapping[str, JsonObject], depth: int = 16
) -> Iterator[JsonObject]:
    """What a schema stands for, be it a union."""
    schema = _resolved(schema, definitions)
    inner = schema.get("anyOf") or schema.get("oneOf")
    if inner and depth:
        for one in inner:
            yield from _alternatives(one, definitions, depth - 1)
    else:
        yield schema


def _kinds(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> frozenset[str]:
    """The kinds of JSON that a schema takes."""
    found: set[str] = set()
    for one in _alternatives(schema, definitions):
        values = one.get("enum", [one["const"]] if "const" in one else None)
        if values is not None:
            found |= {_KIND_OF.get(type(value), "") for value in values}
        elif isinstance(kind := one.get("type"), str):
            found |= {kind} | ({"integer"} if kind == "number" else set())
        elif isinstance(kind, list):
            found |= set(kind)
        else:
            return _KINDS
    return frozenset(found)


def _values(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> Sequence[Any] | None:
    """All the values that a schema allows; None if it does not name them."""
    found: list[Any] = []
    for one in _alternatives(schema, definitions):
        if "const" in one or one.get("type") == "null":
            found.append(one.get("const"))
        elif "enum" in one:
            found += one["enum"]
        else:
            return None
    return found


def _properties(schema: JsonObject, definitions: Mapping[str, JsonObject]) -> JsonObject:
    """The properties of an object; none where it is none, or takes any."""
    properties = _resolved(schema, definitions).get("properties", {})
    return properties if isinstance(properties, Mapping) else {}
