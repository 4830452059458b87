"""Type hints and docstrings to JSON Schema, and arguments back to Python values, every fault named.

msgspec knows how types look as JSON Schema, which of them JSON can tell apart, and how to read what has no
parts. What has parts (parameters, classes, lists, mappings, unions) is read here, part by part, because

- a model wants to hear of all faults at once, and of what would be allowed; msgspec stops at the first;
- a part is taken as it is, and leniently ("42" for 42) only where that fails: what is right never changes;
- descriptions and bounds may stand in docstrings, in plain strings and in annotated-types, in classes too;
- a class is made by calling it, with its converters and checks, and what it does not know is refused.

No I/O.
"""

import collections.abc as abc
import dataclasses
import functools
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import chain, count, islice
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import attrs
import msgspec
from attrs import field, frozen

from tether.errors import ArgumentsError
from tether.messages import JsonObject

__all__ = (
    "EMPTY",
    "Documentation",
    "Field",
    "ObjectSpec",
    "TypeSpec",
    "at_any_depth",
    "documentation_of",
    "joined",
    "to_json_types",
    "unknown_names",
)

T = TypeVar("T")

EMPTY: Final[Any] = inspect.Parameter.empty
"""Stands for a default that is not there."""

_UNIONS: Final = {Union, types.UnionType}
_MAPPINGS: Final = {dict, abc.Mapping, abc.MutableMapping}
_ARRAYS: Final[Mapping[Any, Callable[[list[Any]], Any]]] = {
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

_DEFINITIONS: Final = "#/$defs/"


def _in_msgspec_form(hint: Any) -> Any:
    return _translated(hint)


@frozen
class TypeSpec:
    """A type, as JSON Schema and as a check.

    Args:
        type: any type that a parameter of a tool may have.

    Raises:
        TypeError: JSON cannot hold it, or cannot tell which member of a union is meant.
    """

    type: Any = field(converter=_in_msgspec_form)
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
class Field:
    """A parameter of a function, or a field of a class."""

    name: str
    type: Any = field(converter=_in_msgspec_form)
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
        schema = _with_definitions(_object_schema(self.fields, schemas), definitions)
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


# Docstrings


@frozen
class Documentation:
    """What a docstring says."""

    description: str = ""
    parameters: Mapping[str, str] = field(factory=dict)


def documentation_of(documented: Any) -> Documentation:
    """Read the docstring of a function or class, in Google, NumPy or Sphinx style."""
    text = _docstring(documented)
    if not text:
        return Documentation()
    import docstring_parser  # noqa: PLC0415 - only programs that define tools pay for it

    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return Documentation(text)
    told = (parsed.short_description, parsed.long_description)
    parameters = {
        name.strip(): parameter.description or ""
        for parameter in parsed.params
        for name in parameter.arg_name.split(",")
    }
    return Documentation("\n\n".join(part for part in told if part), parameters)


def _docstring(documented: Any) -> str:
    if isinstance(documented, functools.partial):
        return _docstring(documented.func)
    if isinstance(documented, type):
        # Not by inspect.getdoc: that gives a class without one what `dict` says of itself.
        text = inspect.cleandoc(documented.__doc__ or "")
        return "" if text.startswith(f"{documented.__name__}(") else text  # a dataclass made it
    if isinstance(documented, types.FunctionType | types.MethodType):
        return inspect.getdoc(documented) or ""
    kind = type(documented)
    return inspect.getdoc(kind.__call__) or _docstring(kind)


# Hints, in the form that msgspec reads


def _translated(hint: Any) -> Any:
    """Put what is written as plain strings, or in annotated-types, into msgspec's own form."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is object:
        return Any
    if isinstance(hint, typing.NewType):
        return _translated(hint.__supertype__)
    if origin in _QUALIFIERS:
        return _translated(arguments[0])
    if origin is Annotated:
        metas = [meta for mark in arguments[1:] if (meta := _meta(mark)) is not None]
        return _annotated(_translated(arguments[0]), metas)
    if origin is None or origin in {Literal, abc.Callable}:
        return hint
    changed = tuple(map(_translated, arguments))
    if changed == arguments:
        return hint
    generic: Any = Union if origin in _UNIONS else origin
    return generic[changed]


def _annotated(hint: Any, metas: Iterable[msgspec.Meta]) -> Any:
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


# Classes, taken apart


def _fields_of(kind: Any) -> list[Field] | None:
    """Take a class apart; None if it has no parts, or they are left to msgspec or pydantic."""
    if _is_pydantic(kind):
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


def _computed(kind: Any) -> set[str]:
    """What JSON made of an instance also has, though an instance is not made of it."""
    if attrs.has(kind):
        return {a.name for a in attrs.fields(kind) if not a.init}
    if dataclasses.is_dataclass(kind):
        return {f.name for f in dataclasses.fields(kind) if not f.init}
    return set()


def _object_schema(fields: Sequence[Field], of_types: Iterable[JsonObject]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            part.name: part.schema(of_type) for part, of_type in zip(fields, of_types, strict=True)
        },
        "required": [part.name for part in fields if part.required],
        "additionalProperties": False,
    }


def _default(value: object) -> dict[str, Any]:
    try:
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=to_json_types)
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        return {}
    return {"default": plain}


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
            if isinstance(hint, type) and hint not in found and (fields := _read(_fields_of, hint)):
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
        schemas, definitions = _read(_described, [*hints, *self.fields, *of_fields])
        parts = iter(schemas)
        own = list(islice(parts, len(hints)))
        places = list(islice(parts, len(self.fields)))
        for place, (kind, fields) in zip(places, self.fields.items(), strict=True):
            about = documentation_of(kind).description
            definitions[place["$ref"].removeprefix(_DEFINITIONS)] = {
                "title": kind.__name__,
                **({"description": about} if about else {}),
                **_object_schema(fields, islice(parts, len(fields))),
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
        if _is_pydantic(base):
            return _read_pydantic(base, value, path)
        if origin in _UNIONS and (member := self._member(arguments, value)) is not EMPTY:
            return self.read(_annotated(member, metas), value, path)
        if origin in _ARRAYS and arguments:
            made = self._read_array(origin, arguments, value, path)
        elif origin in _MAPPINGS:
            made = self._read_mapping(arguments, value, path)
        else:
            return _read_leaf(hint, value, path)
        return _read_leaf(_annotated(type(made), metas), made, path) if metas else made

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
        given = _read_leaf(dict, value, path)
        taken = self.read_fields(self.fields[kind], given, path, _computed(kind))
        try:
            return kind(**taken)
        except Exception as error:  # whatever its checks raise, it refuses
            reason = error.args[0] if error.args else type(error).__name__
            raise ArgumentsError([f"{path}: {reason}"]) from error

    def _read_array(self, origin: Any, arguments: Any, value: object, path: str) -> Any:
        items: list[Any] = _read_leaf(list, value, path)
        if origin is not tuple or arguments[1:] == (...,):
            arguments = arguments[:1] * len(items)
        if len(items) != len(arguments):
            raise ArgumentsError([f"{path}: expected {len(arguments)} items, got {len(items)}"])
        made = _gathered(
            functools.partial(self.read, hint, item, f"{path}[{number}]")
            for number, (hint, item) in enumerate(zip(arguments, items, strict=True))
        )
        try:
            return _ARRAYS[origin](made)
        except TypeError as error:
            raise ArgumentsError([f"{path}: {error}"]) from error

    def _read_mapping(self, arguments: Any, value: object, path: str) -> Any:
        key_type, value_type = arguments or (Any, Any)
        given: dict[str, Any] = _read_leaf(dict, value, path)
        keys = _gathered(
            functools.partial(_read_leaf, key_type, key, joined(path, key)) for key in given
        )
        values = _gathered(
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
            if isinstance(value, dict) and (base in self.fields or get_origin(base) in _MAPPINGS):
                return member
            if isinstance(value, list) and get_origin(base) in _ARRAYS:
                return member
            if value is not None and _is_pydantic(base):
                return member
        return EMPTY


def unknown_names(given: Iterable[str], known: Sequence[str], path: str = "") -> list[str]:
    """Name what was given and is not known, with what is."""
    there_are = ", ".join(known) or "none"
    return [
        f"{joined(path, name)}: there is no such parameter; there are: {there_are}"
        for name in given
        if name not in known
    ]


def joined(path: str, *keys: str | int) -> str:
    """A path into JSON, as people write it."""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        elif not key.isidentifier():
            path += f"[{key!r}]"
        else:
            path += f".{key}" if path else key
    return path


def _gathered(parts: Iterable[Callable[[], T]]) -> list[T]:
    """Read all parts, and raise the faults of all."""
    taken: list[T] = []
    faults: list[str] = []
    for part in parts:
        try:
            taken.append(part())
        except ArgumentsError as error:
            faults += error.faults
    if faults:
        raise ArgumentsError(faults)
    return taken


def at_any_depth(read: Callable[[], T]) -> T:
    try:
        return read()
    except RecursionError:
        raise ArgumentsError(["arguments: are nested too deeply"]) from None


# What msgspec reads


def _read_leaf(hint: Any, value: object, path: str) -> Any:
    """Read what has no parts that we know of; as it is, else leniently."""
    reason: Exception | None = None
    for strict in (True, False):
        try:
            return msgspec.convert(value, hint, strict=strict, str_keys=True, dec_hook=_decoded)
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
    choices = [_choices(member) for member in arguments] if origin in _UNIONS else []
    return list(chain.from_iterable(choices)) if all(choices) else []


def _read(read: Callable[[Any], T], types_: Any) -> T:
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


def _described(hints: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    found: dict[str, Any] = {}
    schemas, definitions = msgspec.json.schema_components(
        hints, schema_hook=_ForeignSchemas(found), ref_template=_DEFINITIONS + "{name}"
    )
    return list(schemas), {**definitions, **found}


def _with_definitions(schema: JsonObject, definitions: JsonObject) -> JsonObject:
    return {**schema, "$defs": definitions} if definitions else schema


# What msgspec does not know: paths, and what pydantic knows. A type is pydantic's only in a program that has
# imported it, so it is not imported here.


def to_json_types(value: object) -> object:
    """Tell msgspec how to write what it does not know: paths, and pydantic's models.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, PurePath):
        return str(value)
    if _is_pydantic(type(value)):
        return _adapter(type(value)).dump_python(value, mode="json")
    raise TypeError(f"JSON cannot hold {type(value).__name__}")


def _is_pydantic(kind: Any) -> bool:
    known = hasattr(kind, "__get_pydantic_core_schema__") or hasattr(kind, "__pydantic_validator__")
    return known and isinstance(kind, type) and "pydantic" in sys.modules


def _adapter(kind: Any) -> Any:
    return sys.modules["pydantic"].TypeAdapter(kind)


@frozen
class _ForeignSchemas:
    """Describes types to msgspec, and gathers what pydantic refers to."""

    definitions: dict[str, Any]

    def __call__(self, kind: Any) -> dict[str, Any]:
        if isinstance(kind, type) and issubclass(kind, PurePath):
            return {"type": "string", "format": "path"}
        if not _is_pydantic(kind):
            name = getattr(kind, "__qualname__", kind)
            raise TypeError(f"JSON cannot hold {name}; take str, list[str] or a dataclass, say")
        # The dash keeps the names of pydantic's definitions apart from all that are names of classes.
        for number in count():
            prefix = f"{kind.__name__}{number or ''}-"
            schema: dict[str, Any] = _adapter(kind).json_schema(
                ref_template=_DEFINITIONS + prefix + "{model}"
            )
            own = {prefix + name: inner for name, inner in schema.pop("$defs", {}).items()}
            if all(self.definitions.get(name, inner) == inner for name, inner in own.items()):
                self.definitions.update(own)
                return schema
        raise AssertionError("counting never ends")


def _decoded(kind: Any, value: object) -> Any:
    if not _is_pydantic(kind):
        if isinstance(value, str):
            return kind(value)
        raise TypeError(f"expected str, got {type(value).__name__}")
    try:
        return _read_pydantic(kind, value, "")
    except ArgumentsError as error:
        raise ValueError(str(error)) from None


def _read_pydantic(kind: Any, value: object, path: str) -> Any:
    text = json.dumps(value)  # a strict model takes a string for a date only from JSON
    try:
        return _adapter(kind).validate_json(text)
    except Exception as error:  # whatever its checks raise, it refuses
        plain = [{"loc": (), "msg": str(error)}]
        told = getattr(error, "errors", lambda: plain)()
        faults = [f"{joined(path, *fault['loc'])}: {fault['msg']}" for fault in told]
        raise ArgumentsError(faults) from error
