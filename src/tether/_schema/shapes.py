"""The shapes of what has parts, and of what has a name or marks. No I/O."""

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from tether._schema.classes import Field
from tether._schema.faults import gathered, joined, unknown_names
from tether._schema.marks import Bound
from tether._schema.reading import Level, Reading, Shape, container_in
from tether.errors import ArgumentsError
from tether.messages import JsonObject

__all__ = (
    "DEFINITIONS",
    "Array",
    "Marked",
    "Named",
    "Object",
    "Row",
    "Table",
    "read_fields",
)

DEFINITIONS: Final = "#/$defs/"
"""Where a schema refers to."""


@frozen
class Array:
    """A list, a set, and what else has items of one shape."""

    make: Callable[[list[Any]], Any]
    item: Shape
    noun: str = "array"
    bounds: Mapping[str, str] = field(
        factory=lambda: {"min_length": "minItems", "max_length": "maxItems"}
    )

    @property
    def schema(self) -> JsonObject:
        items = self.item.schema
        return {"type": "array", "items": items} if items else {"type": "array"}

    def read(self, value: object, path: str, reading: Reading) -> Any:
        items = container_in(value, list, path, reading)
        made = gathered(
            functools.partial(self.item.read, item, f"{path}[{number}]", reading)
            for number, item in enumerate(items)
        )
        try:
            return self.make(made)
        except TypeError as error:
            raise ArgumentsError([f"{path}: {error}"]) from error


@frozen
class Row:
    """An array whose items stand for fields: a tuple, a NamedTuple."""

    make: Callable[..., Any]
    items: Sequence[tuple[Field, Shape]]
    noun: str = "array"
    bounds: Mapping[str, str] = field(factory=dict[str, str])

    @property
    def schema(self) -> JsonObject:
        schemas = [part.schema(shape.schema) for part, shape in self.items]
        prefix = {"prefixItems": schemas} if schemas else {}
        return {
            "type": "array",
            **prefix,
            "items": False,
            "minItems": self._least,
            "maxItems": len(schemas),
        }

    @property
    def _least(self) -> int:
        return sum(part.required for part, _ in self.items)

    def read(self, value: object, path: str, reading: Reading) -> Any:
        given = container_in(value, list, path, reading)
        least, most = self._least, len(self.items)
        if not least <= len(given) <= most:
            count = f"{most}" if least == most else f"{least} to {most}"
            raise ArgumentsError([f"{path}: expected {count} items, got {len(given)}"])
        parts = zip(self.items, given, strict=False)
        made = gathered(
            functools.partial(shape.read, item, f"{path}[{number}]", reading)
            for number, ((_, shape), item) in enumerate(parts)
        )
        return _made(self.make, path, made)


@frozen
class Table:
    """A mapping from texts, or from what texts stand for."""

    make: Callable[[dict[Any, Any]], Any]
    key: Shape
    value: Shape
    noun: str = "object"
    bounds: Mapping[str, str] = field(
        factory=lambda: {"min_length": "minProperties", "max_length": "maxProperties"}
    )

    @property
    def schema(self) -> JsonObject:
        values = {"additionalProperties": self.value.schema} if self.value.schema else {}
        return {"type": "object", **values, **_names(self.key.schema)}

    def read(self, value: object, path: str, reading: Reading) -> Any:
        given: dict[str, Any] = container_in(value, dict, path, reading)
        # A key is a text, whatever it stands for.
        careless = reading.at(Level.LENIENT)
        keys = gathered(
            functools.partial(self.key.read, key, joined(path, key), careless) for key in given
        )
        values = gathered(
            functools.partial(self.value.read, item, joined(path, key), reading)
            for key, item in given.items()
        )
        return self.make(dict(zip(keys, values, strict=True)))


def _names(schema: JsonObject) -> dict[str, Any]:
    """What a schema of keys says of names."""
    if schema.get("type") == "integer":
        return {"propertyNames": {"pattern": "^(0|-?[1-9][0-9]*)$"}}
    says_more = schema.keys() - {"type", "description", "title"}
    of_texts = schema.get("type", "string") == "string"
    return {"propertyNames": dict(schema)} if says_more and of_texts else {}


@frozen
class Object:
    """A class, or what else has named fields."""

    make: Callable[..., Any]
    fields: Sequence[tuple[Field, Shape]]
    passed_over: Sequence[str] = ()
    """What JSON made of an instance also has, though an instance is not made of it."""
    tag: Mapping[str, Any] = field(factory=dict[str, Any])
    """What stands in it to tell its class."""
    about: JsonObject = field(factory=dict[str, Any])
    noun: str = "object"
    bounds: Mapping[str, str] = field(factory=dict[str, str])

    @property
    def schema(self) -> JsonObject:
        return {
            **self.about,
            "type": "object",
            "properties": {
                **{name: {"enum": [value]} for name, value in self.tag.items()},
                **{part.name: part.schema(shape.schema) for part, shape in self.fields},
            },
            "required": [*self.tag, *(part.name for part, _ in self.fields if part.required)],
            "additionalProperties": False,
        }

    def read(self, value: object, path: str, reading: Reading) -> Any:
        given: dict[str, Any] = dict(container_in(value, dict, path, reading))
        for name, wanted in self.tag.items():
            if (found := given.pop(name, None)) != wanted:
                allowed = json.dumps(wanted)
                raise ArgumentsError([f"{joined(path, name)}: {found!r} is not {allowed}"])
        taken = read_fields(self.fields, given, path, reading, self.passed_over)
        return _made(self.make, path, (), taken)


def _made(
    make: Callable[..., Any],
    path: str,
    items: Iterable[Any],
    taken: Mapping[str, Any] | None = None,
) -> Any:
    try:
        return make(*items, **(taken or {}))
    except Exception as error:  # whatever its checks raise, it refuses
        reason = error.args[0] if error.args else type(error).__name__
        raise ArgumentsError([f"{path}: {reason}"]) from error


def read_fields(
    fields: Sequence[tuple[Field, Shape]],
    given: Mapping[str, Any],
    path: str,
    reading: Reading,
    passed_over: Iterable[str] = (),
) -> dict[str, Any]:
    """Read fields; what is named in none of them is a fault.

    Careless reading takes a null for a field that has a default as if it were not there, and passes over some names.

    Raises:
        ArgumentsError: with every fault, each with its path.
    """
    taken: dict[str, Any] = {}
    faults: list[str] = []
    careless = reading.level is Level.LENIENT
    for part, shape in fields:
        place = joined(path, part.name)
        if part.name not in given:
            faults += [f"{place}: is missing"] if part.required else []
            continue
        value = given[part.name]
        try:
            taken[part.argument or part.name] = shape.read(value, place, reading)
        except ArgumentsError as error:
            as_if_missing = value is None and not part.required and careless
            faults += [] if as_if_missing else error.faults
    known = [part.name for part, _ in fields]
    faults += unknown_names(given, [*known, *(passed_over if careless else ())], path)
    if faults:
        raise ArgumentsError(faults)
    for part, _ in fields:
        name = part.argument or part.name
        if part.fill is not None and name not in taken:
            taken[name] = part.fill(taken)
    return taken


@frozen
class Named:
    """A shape that is defined elsewhere in the schema, be it around this place."""

    name: str
    shapes: Mapping[str, Shape] = field(repr=False, eq=False)
    """Complete when the first value is read."""

    @property
    def noun(self) -> str:
        return self.shapes[self.name].noun if self.name in self.shapes else "value"

    @property
    def bounds(self) -> Mapping[str, str]:
        return self.shapes[self.name].bounds if self.name in self.shapes else {}

    @property
    def schema(self) -> JsonObject:
        return {"$ref": f"{DEFINITIONS}{self.name}"}

    def read(self, value: object, path: str, reading: Reading) -> Any:
        return self.shapes[self.name].read(value, path, reading)


@frozen
class Marked:
    """A shape with what stands beside it in `Annotated`."""

    shape: Shape
    about: JsonObject
    checks: Sequence[Bound] = ()

    @property
    def noun(self) -> str:
        return self.shape.noun

    @property
    def bounds(self) -> Mapping[str, str]:
        return self.shape.bounds

    @property
    def schema(self) -> JsonObject:
        keywords = ((self.shape.bounds.get(check.name), check.limit) for check in self.checks)
        said = {keyword: getattr(limit, "pattern", limit) for keyword, limit in keywords if keyword}
        return {**self.shape.schema, **said, **self.about}

    def read(self, value: object, path: str, reading: Reading) -> Any:
        made = self.shape.read(value, path, reading)
        faults = [fault for check in self.checks if (fault := self._fault(check, made))]
        if faults:
            raise ArgumentsError([f"{path}: {fault}" for fault in faults])
        return made

    def _fault(self, check: Bound, made: Any) -> str:
        try:
            return "" if check.passes(made) else f"expected {check.wanted(self.noun)}"
        except Exception as error:  # noqa: BLE001 - whatever a check of the program's own raises, it refuses
            return str(error) or type(error).__name__
