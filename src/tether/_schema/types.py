"""Types, made into shapes. No I/O."""

import collections
import collections.abc as abc
import datetime
import decimal
import ipaddress
import os
import pathlib
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec
from attrs import define, evolve, field

from tether._schema.classes import Field, computed_names, field_of, fields_of, is_row
from tether._schema.docstrings import documentation_of
from tether._schema.faults import or_type_error
from tether._schema.foreign import adapter_of, described_by, is_mark, is_pydantic
from tether._schema.hints import UNIONS, Later, alias_value, substituted, unqualified, variables_of
from tether._schema.leaves import Anything, Foreign, Leaf, Texts, enum_of, literal_of
from tether._schema.marks import Bound, Marks, marks_of
from tether._schema.reading import Shape
from tether._schema.shapes import DEFINITIONS, Array, Marked, Named, Object, Row, Table
from tether._schema.unions import OneOf
from tether.messages import unique

__all__ = ("Shapes",)

_LEAVES: Final = {
    bool,
    int,
    float,
    str,
    bytes,
    bytearray,
    memoryview,
    type(None),
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
}
"""What msgspec reads, and has no parts; with UUIDs, whose module makes random ones, and is not imported here."""

_ANYTHING: Final = {Any, object, msgspec.Raw}

_OTHER_NAMES: Final[Mapping[Any, Any]] = {
    None: type(None),
    typing.LiteralString: str,
    typing.AnyStr: str,
    os.PathLike: pathlib.Path,
    tuple: tuple[Any, ...],
    typing.Tuple: tuple[Any, ...],  # noqa: UP006 - without items it equals the empty tuple else
}

_ARRAYS: Final[Mapping[Any, Callable[[list[Any]], Any]]] = {
    **dict.fromkeys(
        [list, abc.Iterable, abc.Collection, abc.Sequence, abc.MutableSequence, abc.Reversible],
        list,
    ),
    **dict.fromkeys([set, abc.Set, abc.MutableSet], set),
    frozenset: frozenset,
    collections.deque: collections.deque,
}
"""What is an array in JSON, and what makes one of it."""

_MAPPINGS: Final[Mapping[Any, Callable[[dict[Any, Any]], Any]]] = {
    **dict.fromkeys([dict, abc.Mapping, abc.MutableMapping], dict),
    collections.OrderedDict: collections.OrderedDict,
}

_TEXTS: Final[Mapping[type, str]] = {
    pathlib.PurePath: "path",
    ipaddress.IPv4Address: "ipv4",
    ipaddress.IPv6Address: "ipv6",
    str: "",
}
"""What is made by calling its class with a text, and the format of that, if it has one."""

_NOUNS: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
"""What faults call the types of JSON that have other names in Python."""


@define
class Shapes:
    """Makes shapes of types, and keeps those that have a name: classes, enums, and what holds itself.

    A class is defined once, however often it is named; so a shape within itself is a reference.
    """

    definitions: dict[str, Mapping[str, Any]] = field(factory=dict[str, Mapping[str, Any]])
    """The schemas of what has a name, for the `$defs` of a schema."""
    _named: dict[str, Shape] = field(factory=dict[str, Shape])
    _known: dict[Any, Named] = field(factory=dict[Any, Named])
    _referred: set[str] = field(factory=set[str])
    _foreigners: dict[Any, Shape] = field(factory=dict[Any, Shape])
    _prefixes: set[str] = field(factory=set[str])

    def of(self, hint: Any) -> Shape:
        """Make the shape of a type.

        Raises:
            TypeError: JSON cannot hold it, or something in it is not honoured.
        """
        return or_type_error(self._of, hint)

    def of_fields(self, fields: Sequence[Field]) -> Sequence[tuple[Field, Shape]]:
        """Make the shapes of fields.

        Raises:
            TypeError: as for `of`.
        """
        return [(part, self.of(part.type)) for part in fields]

    def _of(self, hint: Any) -> Shape:
        hint = unqualified(hint)
        hint = _OTHER_NAMES.get(hint, hint) if _is_hashable(hint) else hint
        origin = get_origin(hint)
        if origin is Annotated:
            return self._annotated(hint)
        if origin is Literal:
            return literal_of(get_args(hint))
        if origin in UNIONS:
            return self._union(get_args(hint))
        if (value := alias_value(hint)) is not None:
            return self._alias(hint, (get_origin(hint) or hint).__name__, lambda: value)
        if isinstance(hint, Later):
            return self._alias(hint, hint.name, hint.value)
        if isinstance(hint, typing.NewType):
            return self._of(hint.__supertype__)
        if isinstance(hint, TypeVar):
            return self._variable(hint)
        if hint in _ANYTHING:
            return Anything()
        return self._class(hint, origin or hint, get_args(hint))

    # What has arguments.

    def _class(self, hint: Any, kind: Any, arguments: Sequence[Any]) -> Shape:
        kind = _OTHER_NAMES.get(kind, kind) if kind is os.PathLike else kind
        if not isinstance(kind, type):
            raise _unheld(hint)
        if kind in _LEAVES or (kind.__module__, kind.__name__) == ("uuid", "UUID"):
            return Leaf.of(kind)
        if kind in _ARRAYS:
            return Array(_ARRAYS[kind], self._of(arguments[0] if arguments else Any))
        if kind in _MAPPINGS:
            key, value = arguments or (Any, Any)
            return Table(_MAPPINGS[kind], self._key(key), self._of(value))
        if kind is tuple:
            return self._tuple(arguments)
        if is_pydantic(kind):
            return self._foreign(hint)
        if issubclass(kind, Enum):
            return self._defined(kind, (), kind.__name__, lambda: enum_of(kind))
        for base, form in _TEXTS.items():
            if issubclass(kind, base):
                return Texts(kind, {"type": "string", **({"format": form} if form else {})})
        return self._with_fields(hint, kind, arguments)

    def _key(self, hint: Any) -> Shape:
        shape = self._of(hint)
        if isinstance(shape, Array | Row | Table | Object | Foreign):
            raise TypeError(f"the keys of an object are texts, not {_name(hint)}")
        return shape

    def _tuple(self, arguments: Sequence[Any]) -> Shape:
        match arguments:
            case (item, types.EllipsisType()):
                return Array(tuple, self._of(item))
            case _:
                items = [
                    Field(f"{number}", one, required=True) for number, one in enumerate(arguments)
                ]
                return Row(lambda *made: made, self.of_fields(items))

    def _union(self, members: Sequence[Any]) -> Shape:
        shapes = [self._of(member) for member in members if member is not msgspec.UnsetType]
        return shapes[0] if len(shapes) == 1 else OneOf(shapes, self.definitions)

    def _variable(self, variable: Any) -> Shape:
        if hasattr(variable, "has_default") and variable.has_default():  # from Python 3.13 on
            return self._of(variable.__default__)
        if variable.__constraints__:
            return self._union(variable.__constraints__)
        return self._of(Any if variable.__bound__ is None else variable.__bound__)

    # What has a name.

    def _with_fields(self, hint: Any, kind: Any, arguments: Sequence[Any]) -> Shape:
        fields = fields_of(kind)
        if fields is None:
            raise _unheld(hint)
        variables = variables_of(kind, arguments)
        name = "_".join(map(_name, [kind, *arguments]))
        return self._defined(
            kind, arguments, name, lambda: self._object(kind, name, fields, variables)
        )

    def _object(
        self, kind: Any, name: str, fields: Sequence[Field], variables: Mapping[Any, Any]
    ) -> Shape:
        parts: list[tuple[Field, Shape]] = []
        for part in fields:
            try:
                parts.append((part, self._of(substituted(part.type, variables))))
            except TypeError as error:
                raise TypeError(f"{kind.__name__}.{part.name}: {error}") from error
        about = documentation_of(kind).description
        told: dict[str, Any] = {"title": name, **({"description": about} if about else {})}
        tag = _tag_of(kind)
        if not is_row(kind):
            return Object(kind, parts, computed_names(kind), tag, told)
        items = [field_of("", Literal[value]) for value in tag.values()]
        rows = [*self.of_fields(items), *parts]
        return Marked(Row(_from_row(kind, [part for part, _ in rows]), rows), told)

    def _defined(
        self, kind: Any, arguments: Sequence[Any], name: str, make: Callable[[], Shape]
    ) -> Shape:
        """Define a shape under a name, and refer to it; those within it may refer to it already."""
        key = (
            (kind, tuple(arguments))
            if all(map(_is_hashable, arguments))
            else (kind, repr(arguments))
        )
        if key not in self._known:
            own = unique(_safe(name), self.definitions)
            self.definitions[own] = {}
            self._known[key] = Named(own, self._named)
            shape = make()
            self._named[own], self.definitions[own] = shape, shape.schema
        self._referred.add(self._known[key].name)
        return self._known[key]

    def _alias(self, hint: Any, name: str, value: Callable[[], Any]) -> Shape:
        """The shape that an alias stands for: a reference if it holds itself, else what it stands for."""
        if hint in self._known:
            self._referred.add(self._known[hint].name)
            return self._known[hint]
        own = unique(_safe(name), self.definitions)
        self.definitions[own] = {}
        self._known[hint] = Named(own, self._named)
        shape = self._of(value())
        members = shape.members if isinstance(shape, OneOf) else [shape]
        if self._known[hint] in members:
            raise TypeError(f"{name} is itself; name what it may be")
        if own not in self._referred:
            del self.definitions[own], self._known[hint]
            return shape
        self._named[own], self.definitions[own] = shape, shape.schema
        return self._known[hint]

    # What others say.

    def _foreign(self, hint: Any) -> Shape:
        if not _is_hashable(hint):
            return self._described(hint)
        if hint not in self._foreigners:
            self._foreigners[hint] = self._described(hint)
        return self._foreigners[hint]

    def _described(self, hint: Any) -> Shape:
        adapter = adapter_of(hint)
        # The dash keeps the names of pydantic's definitions apart from all that are names of classes.
        prefix = unique(f"{_safe(_name(hint))}-", self._prefixes)
        self._prefixes.add(prefix)
        schema = described_by(adapter, f"{DEFINITIONS}{prefix}{{model}}")
        for name, inner in schema.pop("$defs", {}).items():
            self.definitions[prefix + name] = inner
        kind = schema.get("type")
        return Foreign(
            adapter, schema, _NOUNS.get(kind, kind) if isinstance(kind, str) else "value"
        )

    def _annotated(self, hint: Any) -> Shape:
        base, *marks = get_args(hint)
        base = unqualified(base)
        said = marks_of(marks)
        if said.others or is_pydantic(base):
            for mark in said.others:
                if not is_mark(mark):
                    raise TypeError(f"{mark!r} in Annotated is not honoured; leave it out")
            theirs = [mark for mark in marks if is_mark(mark)]
            ours = marks_of([mark for mark in marks if not is_mark(mark)])
            annotated: Any = Annotated
            return _marked(self._foreign(annotated[(base, *theirs)]), ours)
        return _marked(self._of(base), said)


def _marked(shape: Shape, said: Marks) -> Shape:
    """A shape with what stands beside it; a union's bounds are those of the members that can have them."""
    shape, about = _bounded(shape, said.bounds), dict(said.about)
    return Marked(shape, about) if about else shape


def _bounded(shape: Shape, bounds: Sequence[Bound]) -> Shape:
    for bound in bounds:
        shape = _with_bound(shape, bound)
    return shape


def _with_bound(shape: Shape, bound: Bound) -> Shape:
    if bound.name == "func":
        return Marked(shape, {}, [bound])
    if isinstance(shape, OneOf):
        able = [_takes(member, bound) for member in shape.members]
        if any(able):
            pairs = zip(shape.members, able, strict=True)
            return evolve(
                shape, members=[_with_bound(one, bound) if takes else one for one, takes in pairs]
            )
    if not _takes(shape, bound):
        raise TypeError(f"{bound.name} says nothing of {shape.noun}; leave it out")
    return Marked(shape, {}, [bound])


def _takes(shape: Shape, bound: Bound) -> bool:
    if isinstance(shape, OneOf):
        return any(_takes(member, bound) for member in shape.members)
    return bound.name in shape.bounds


def _tag_of(kind: Any) -> dict[str, Any]:
    config = getattr(kind, "__struct_config__", None)
    return {} if config is None or config.tag is None else {config.tag_field: config.tag}


def _from_row(kind: Any, fields: Sequence[Field]) -> Callable[..., Any]:
    def make(*items: Any) -> Any:
        named = {
            part.argument or part.name: item for part, item in zip(fields, items, strict=False)
        }
        named.pop("", None)  # the tag
        return kind(**named)

    return make


def _name(hint: Any) -> str:
    return str(getattr(hint, "__name__", None) or re.sub(r"[\w.]*\.", "", str(hint)))


def _safe(name: str) -> str:
    """A name that may stand in a reference."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _unheld(hint: Any) -> TypeError:
    name = getattr(hint, "__qualname__", hint)
    return TypeError(f"JSON cannot hold {name}; take str, list[str] or a dataclass, say")
