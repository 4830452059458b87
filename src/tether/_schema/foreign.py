"""What is pydantic's: its models and types, its validators, its `Field`. No I/O.

A type is pydantic's only in a program that has imported it, so pydantic is not imported here. What is
pydantic's is read by pydantic, and means what it means there.
"""

import copy
import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
from attrs import frozen

from tether._schema.faults import joined
from tether._schema.reading import as_container
from tether.errors import ArgumentsError

__all__ = (
    "Default",
    "Peeled",
    "adapter_of",
    "described_by",
    "field_marks",
    "is_field",
    "is_mark",
    "is_pydantic",
    "peeled",
    "read_by",
    "written",
)

_OF_THE_TYPE: Final = frozenset(
    {"annotation", "metadata", "title", "description", "examples", "deprecated"}
)
_WANTS_A_CONTAINER: Final = frozenset(
    {
        "list_type",
        "tuple_type",
        "set_type",
        "frozen_set_type",
        "iterable_type",
        "dict_type",
        "mapping_type",
        "model_type",
        "model_attributes_type",
        "dataclass_type",
    }
)
"""Faults of pydantic's that may be those of a list or an object that was made a text."""

_OF_THE_FIELD: Final = (
    "default",
    "default_factory",
    "alias",
    "alias_priority",
    "validation_alias",
    "serialization_alias",
)
"""What a `Field` says of the parameter or field it stands at, and not of its type."""


def is_pydantic(kind: Any) -> bool:
    """Whether a type is read by pydantic."""
    known = hasattr(kind, "__get_pydantic_core_schema__") or hasattr(kind, "__pydantic_validator__")
    return known and isinstance(kind, type) and "pydantic" in sys.modules


def is_mark(mark: Any) -> bool:
    """Whether pydantic knows what a mark in `Annotated` says."""
    if "pydantic" not in sys.modules:
        return False
    names = ("__get_pydantic_core_schema__", "__get_pydantic_json_schema__")
    own = type(mark).__module__.split(".")[0] in {"pydantic", "annotated_types"}
    return own or is_field(mark) or any(hasattr(mark, name) for name in names)


def is_field(value: Any) -> bool:
    """Whether something is a `Field` of pydantic's, or of a library that derives its own from it."""
    pydantic = sys.modules.get("pydantic.fields")
    return pydantic is not None and isinstance(value, pydantic.FieldInfo)


def adapter_of(hint: Any) -> Any:
    """Have pydantic read a type.

    Raises:
        TypeError: it cannot.
    """
    try:
        return sys.modules["pydantic"].TypeAdapter(hint)
    except Exception as error:  # whatever a class of others raises while it is made into one
        raise TypeError(f"pydantic cannot read it: {_first_line(error)}") from error


def described_by(adapter: Any, ref_template: str) -> dict[str, Any]:
    """Have pydantic describe a type.

    Raises:
        TypeError: it cannot.
    """
    try:
        schema: dict[str, Any] = adapter.json_schema(ref_template=ref_template)
    except Exception as error:  # as above
        raise TypeError(f"pydantic cannot describe it: {_first_line(error)}") from error
    return schema


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def read_by(adapter: Any, value: object, path: str, *, careless: bool) -> Any:
    """Have pydantic read a value.

    Args:
        adapter: what reads it.
        value: what JSON holds.
        path: what to call it where it does not fit.
        careless: take numbers from texts as the model allows, and lists and objects from texts too.

    Raises:
        ArgumentsError: it does not fit.
    """
    while True:
        text = json.dumps(value)  # a strict model takes a string for a date only from JSON
        try:
            return adapter.validate_json(text, strict=None if careless else True)
        except Exception as error:  # whatever its checks raise, it refuses
            told = _told(error)
            taken_out = _taken_out(value, told) if careless else value
            if taken_out is value:
                faults = [f"{joined(path, *fault['loc'])}: {fault['msg']}" for fault in told]
                raise ArgumentsError(faults) from error
        value = taken_out


def _told(error: Any) -> Sequence[Mapping[str, Any]]:
    pydantic = sys.modules["pydantic"]
    found: Any = error.errors() if isinstance(error, pydantic.ValidationError) else ()
    return found or [{"loc": (), "msg": str(error)}]


def _taken_out(value: Any, told: Sequence[Mapping[str, Any]]) -> Any:
    """Take lists and objects out of the texts that they were made, where pydantic wants one; else return the value."""
    root: Any = [copy.deepcopy(value)]
    changed = False
    for fault in told:
        if fault.get("type") in _WANTS_A_CONTAINER:
            steps: list[Any] = [0, *fault["loc"]]
            last = steps.pop()
            try:
                place: Any = functools.reduce(lambda inner, step: inner[step], steps, root)
                plain = as_container(place[last], list | dict)
            except (LookupError, TypeError):
                continue  # a name in it is that of a member of a union
            if plain is not place[last]:
                place[last], changed = plain, True
    return root[0] if changed else value


def written(value: Any) -> Any:
    """What JSON holds of an instance of a model.

    Raises:
        TypeError: JSON cannot hold it.
    """
    try:
        return adapter_of(type(value)).dump_python(value, mode="json")
    except Exception as error:  # as above
        raise TypeError(f"pydantic cannot write it: {_first_line(error)}") from error


# `Field`.


Default = Callable[[Mapping[str, Any]], Any]
"""Makes a default from the fields that were read before."""


@frozen
class Peeled:
    """A parameter or field without what pydantic's `Field` says of it, apart from its type."""

    hint: Any
    shown: Any
    """The default to show; what was given in place of one, if no `Field` has any."""
    fill: Default | None = None
    alias: str = ""


def peeled(hint: Any, default: Any, empty: Any) -> Peeled:
    """Take from a parameter or field what pydantic's `Field` says of it, be it its default or in `Annotated`.

    Args:
        hint: its type.
        default: its default.
        empty: stands for a default that is not there.

    Raises:
        TypeError: a `Field` says what is not honoured; the text names it.
    """
    base, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    marks += [default] if is_field(default) else []
    infos = [mark for mark in marks if is_field(mark)]
    if not infos:
        return Peeled(hint, default)
    alias = next(filter(None, map(_alias, reversed(infos))), "")
    kept = [_of_the_type(mark) if is_field(mark) else mark for mark in marks]
    annotated: Any = Annotated
    plain = annotated[(base, *kept)]
    if default is not empty and not is_field(default):
        return Peeled(plain, default, None, alias)
    info = next((info for info in reversed(infos) if not info.is_required()), None)
    if info is None:
        return Peeled(plain, empty, None, alias)
    if getattr(info, "default_factory_takes_validated_data", False):
        return Peeled(plain, ..., _from_data(info), alias)
    return Peeled(plain, _shown(info), _from_data(info), alias)


def _shown(info: Any) -> Any:
    """The default to show; of factories only those that give the same each time."""
    if info.default_factory is None:
        return info.default
    plain = info.default_factory in (list, dict, set, tuple, frozenset)
    return info.default_factory() if plain else ...


def _from_data(info: Any) -> Default:
    def fill(taken: Mapping[str, Any]) -> Any:
        return info.get_default(call_default_factory=True, validated_data=dict(taken))

    return fill


def _alias(info: Any) -> str:
    if info.serialization_alias != info.alias:
        raise TypeError("Field(serialization_alias=...) is not honoured; give it an alias")
    alias = info.validation_alias or info.alias
    if alias is not None and not isinstance(alias, str):
        raise TypeError(f"Field(validation_alias={alias!r}) is not honoured; give it one name")
    return alias or ""


def _of_the_type(info: Any) -> Any:
    plain, kept = _plain_field(), copy.copy(info)
    for name in _OF_THE_FIELD:
        setattr(kept, name, getattr(plain, name))
    return kept


def field_marks(info: Any) -> Sequence[object] | None:
    """What a `Field` says of a type, as marks; None where only pydantic knows what that means.

    Raises:
        TypeError: it says what is not honoured here; the text names it.
    """
    plain = _plain_field()
    said = {
        name: value
        for name in plain.__slots__
        if not name.startswith("_") and (value := getattr(info, name)) != getattr(plain, name)
    }
    extra = said.pop("json_schema_extra", {})
    if "discriminator" in said:
        return None
    for name in said:
        if name in _OF_THE_FIELD:
            raise TypeError(
                f"Field({name}=...) says something of a parameter; this is a type in it"
            )
        if name not in _OF_THE_TYPE:
            raise TypeError(f"Field({name}=...) is not honoured here; leave it out")
    if not isinstance(extra, dict):
        raise TypeError("Field(json_schema_extra=...) is honoured as a dict alone")
    if said.get("deprecated"):
        extra = {"deprecated": True, **extra}
    about = msgspec.Meta(
        title=info.title,
        description=info.description,
        examples=info.examples,
        extra_json_schema=extra or None,
    )
    return [about, *info.metadata]


def _plain_field() -> Any:
    return sys.modules["pydantic.fields"].FieldInfo()
