"""Types and lists of fields, as JSON Schema and as checks. No I/O."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Literal, get_args, get_origin

from attrs import field, frozen

from tether._schema.classes import EMPTY, Field, computed_names, fields_of, object_schema
from tether._schema.docstrings import documentation_of
from tether._schema.faults import at_any_depth, gathered, joined, unknown_names
from tether._schema.foreign import DEFINITIONS, is_pydantic, read_pydantic
from tether._schema.types import (
    ARRAYS,
    MAPPINGS,
    UNIONS,
    annotated,
    described,
    in_msgspec_form,
    or_type_error,
    read_leaf,
)
from tether.errors import ArgumentsError
from tether.messages import JsonObject

__all__ = ("ObjectSpec", "TypeSpec")


@frozen
class TypeSpec:
    """A type, as JSON Schema and as a check.

    Args:
        type: any type that a parameter of a tool may have.

    Raises:
        TypeError: JSON cannot hold it, or cannot tell which member of a union is meant.
    """

    type: Any = field(converter=in_msgspec_form)
    schema: JsonObject = field(init=False)
    """Self-contained: what it refers to is under its own `$defs`."""
    _classes: "_Classes" = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        classes = _Classes.within([self.type])
        (schema,), definitions = classes.schemas([self.type])
        object.__setattr__(self, "_classes", classes)
        object.__setattr__(self, "schema", _with_definitions(schema, definitions))

    def check(self, value: object, path: str = "$") -> Any:
        """Make an instance of the type.

        Args:
            value: what JSON can hold.
            path: what to call the value where it does not fit.

        Returns:
            The instance.

        Raises:
            ArgumentsError: it does not fit; each fault begins with its path.
        """
        return at_any_depth(lambda: self._classes.read(self.type, value, path))


@frozen
class ObjectSpec:
    """Named fields, as JSON Schema and as a check.

    Args:
        fields: what it has.

    Raises:
        TypeError: as for `TypeSpec`.
    """

    fields: Sequence[Field]
    schema: JsonObject = field(init=False)
    """Self-contained."""
    _classes: "_Classes" = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        hints = [part.type for part in self.fields]
        classes = _Classes.within(hints)
        schemas, definitions = classes.schemas(hints)
        schema = _with_definitions(object_schema(self.fields, schemas), definitions)
        object.__setattr__(self, "_classes", classes)
        object.__setattr__(self, "schema", schema)

    def check(self, arguments: JsonObject) -> dict[str, Any]:
        """Read arguments as a model gives them.

        Args:
            arguments: what JSON can hold. A null for a field that has a default and takes no null is as if it
                were not there: models that must name every field write it.

        Returns:
            What was given, by name.

        Raises:
            ArgumentsError: they do not fit; each fault begins with its path.
        """
        given = dict(arguments)
        return at_any_depth(lambda: self._classes.read_fields(self.fields, given, ""))


@frozen
class _Classes:
    """The classes that some types are made of, and all that can be done with the types then."""

    fields: Mapping[Any, Sequence[Field]]

    @classmethod
    def within(cls, hints: Iterable[Any]) -> "_Classes":
        """Find the classes in some types, and in those classes' own types.

        Raises:
            TypeError: a class cannot be read.
        """
        found: dict[Any, Sequence[Field]] = {}
        waiting = list(hints)
        while waiting:
            hint = waiting.pop()
            if (
                isinstance(hint, type)
                and hint not in found
                and (fields := or_type_error(fields_of, hint))
            ):
                found[hint] = fields
                waiting += [part.type for part in fields]
            elif get_origin(hint) is not Literal:
                waiting += get_args(hint)
        return cls(found)

    def schemas(self, hints: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Describe types.

        Returns:
            A schema for each; and the definitions that these refer to.

        Raises:
            TypeError: one cannot be described.
        """
        of_fields = [part.type for fields in self.fields.values() for part in fields]
        schemas, definitions = or_type_error(described, [*hints, *self.fields, *of_fields])
        parts = iter(schemas)
        own = list(islice(parts, len(hints)))
        places = list(islice(parts, len(self.fields)))
        for place, (kind, fields) in zip(places, self.fields.items(), strict=True):
            about = documentation_of(kind).description
            definitions[place["$ref"].removeprefix(DEFINITIONS)] = {
                "title": kind.__name__,
                **({"description": about} if about else {}),
                **object_schema(fields, islice(parts, len(fields))),
            }
        return own, definitions

    def read(self, hint: Any, value: object, path: str) -> Any:
        """Make an instance of a type of what JSON holds.

        Raises:
            ArgumentsError: with every fault, each with its path.
        """
        base, *metas = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        origin, arguments = get_origin(base), get_args(base)
        if base in self.fields:
            return self._read_class(base, value, path)
        if is_pydantic(base):
            return read_pydantic(base, value, path)
        if origin in UNIONS and (member := self._member(arguments, value)) is not EMPTY:
            return self.read(annotated(member, metas), value, path)
        if origin in ARRAYS and arguments:
            made = self._read_array(origin, arguments, value, path)
        elif origin in MAPPINGS:
            made = self._read_mapping(arguments, value, path)
        else:
            return read_leaf(hint, value, path)
        return read_leaf(annotated(type(made), metas), made, path) if metas else made

    def read_fields(
        self,
        fields: Sequence[Field],
        given: Mapping[str, Any],
        path: str,
        passed_over: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Read fields; what is named in none of them is a fault, unless it is passed over.

        Raises:
            ArgumentsError: with every fault, each with its path.
        """
        taken: dict[str, Any] = {}
        faults: list[str] = []
        for part in fields:
            place = joined(path, part.name)
            if part.name not in given:
                faults += [f"{place}: is missing"] if part.required else []
                continue
            value = given[part.name]
            try:
                taken[part.argument or part.name] = self.read(part.type, value, place)
            except ArgumentsError as error:
                if value is not None or part.required:
                    faults += error.faults
        known = [part.name for part in fields]
        faults += unknown_names(given, [*known, *passed_over], path)
        if faults:
            raise ArgumentsError(faults)
        return taken

    def _read_class(self, kind: Any, value: object, path: str) -> Any:
        given = read_leaf(dict, value, path)
        taken = self.read_fields(self.fields[kind], given, path, computed_names(kind))
        try:
            return kind(**taken)
        except Exception as error:  # whatever its checks raise, it refuses
            reason = error.args[0] if error.args else type(error).__name__
            raise ArgumentsError([f"{path}: {reason}"]) from error

    def _read_array(self, origin: Any, arguments: Any, value: object, path: str) -> Any:
        items: list[Any] = read_leaf(list, value, path)
        if origin is not tuple or arguments[1:] == (...,):
            arguments = arguments[:1] * len(items)
        if len(items) != len(arguments):
            raise ArgumentsError([f"{path}: expected {len(arguments)} items, got {len(items)}"])
        made = gathered(
            functools.partial(self.read, hint, item, f"{path}[{number}]")
            for number, (hint, item) in enumerate(zip(arguments, items, strict=True))
        )
        try:
            return ARRAYS[origin](made)
        except TypeError as error:
            raise ArgumentsError([f"{path}: {error}"]) from error

    def _read_mapping(self, arguments: Any, value: object, path: str) -> Any:
        key_type, value_type = arguments or (Any, Any)
        given: dict[str, Any] = read_leaf(dict, value, path)
        keys = gathered(
            functools.partial(read_leaf, key_type, key, joined(path, key)) for key in given
        )
        values = gathered(
            functools.partial(self.read, value_type, item, joined(path, key))
            for key, item in given.items()
        )
        return dict(zip(keys, values, strict=True))

    def _member(self, members: Sequence[Any], value: object) -> Any:
        """The member of a union that has parts and is meant; EMPTY if there is none.

        There is one at most: JSON could not tell two apart, so msgspec refuses such a union.
        """
        for member in members:
            base = get_args(member)[0] if get_origin(member) is Annotated else member
            if isinstance(value, dict) and (base in self.fields or get_origin(base) in MAPPINGS):
                return member
            if isinstance(value, list) and get_origin(base) in ARRAYS:
                return member
            if value is not None and is_pydantic(base):
                return member
        return EMPTY


def _with_definitions(schema: JsonObject, definitions: JsonObject) -> JsonObject:
    return {**schema, "$defs": definitions} if definitions else schema
