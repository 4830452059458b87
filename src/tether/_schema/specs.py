"""Types and lists of fields, as JSON Schema and as checks. No I/O."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, cast

from attrs import field, frozen

from tether._schema.classes import Field
from tether._schema.faults import at_any_depth, expected
from tether._schema.leaves import JSON_TYPES, Leaf
from tether._schema.reading import Reading, Shape
from tether._schema.shapes import Object, read_fields
from tether._schema.types import Shapes
from tether.messages import JsonObject

__all__ = ("ObjectSpec", "TypeSpec")


@frozen
class TypeSpec:
    """A type, as JSON Schema and as a check.

    Args:
        type: any type that a parameter of a tool may have.

    Raises:
        TypeError: JSON cannot hold it, or something in it is not honoured.
    """

    type: Any
    schema: JsonObject = field(init=False)
    """Self-contained: what it refers to is under its own `$defs`."""
    _shape: Shape = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        shapes = Shapes()
        object.__setattr__(self, "_shape", shapes.of(self.type))
        object.__setattr__(self, "schema", _with_definitions(self._shape.schema, shapes))

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
        return at_any_depth(lambda: self._shape.read(value, path, Reading()))


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
    _parts: Sequence[tuple[Field, Shape]] = field(init=False, repr=False)
    _plain: "_Plain" = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        shapes = Shapes()
        object.__setattr__(self, "_parts", shapes.of_fields(self.fields))
        object.__setattr__(self, "_plain", _Plain.of(self._parts))
        schema = Object(dict, self._parts).schema
        object.__setattr__(self, "schema", _with_definitions(schema, shapes))

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
        if type(arguments) is dict and self._plain.fits(arguments):
            return dict(arguments)
        if not isinstance(cast("object", arguments), Mapping):  # of a model that somebody wrote
            raise expected("arguments", "object", arguments)
        return at_any_depth(lambda: read_fields(self._parts, arguments, "", Reading()))


@frozen
class _Plain:
    """What most arguments are: texts and numbers, which are taken as they stand."""

    kinds: Mapping[str, type]
    """The class of each such field, by its name."""
    required: Set[str]

    @classmethod
    def of(cls, parts: Sequence[tuple[Field, Shape]]) -> "_Plain":
        kinds = {
            part.name: shape.hint
            for part, shape in parts
            if isinstance(shape, Leaf) and shape.hint in JSON_TYPES and not part.argument
        }
        return cls(kinds, {part.name for part, _ in parts if part.required or part.fill})

    def fits(self, arguments: JsonObject) -> bool:
        kinds = {name: type(value) for name, value in arguments.items()}
        return kinds.items() <= self.kinds.items() and self.required <= kinds.keys()


def _with_definitions(schema: JsonObject, shapes: Shapes) -> JsonObject:
    return {**schema, "$defs": shapes.definitions} if shapes.definitions else schema
