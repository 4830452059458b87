"""Type hints as they are written, put into the form that the rest reads: names found, variables filled in. No I/O."""

import typing
from collections.abc import Mapping, Sequence
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Final, ForwardRef, Literal, TypeVar, Union, get_args, get_origin

from attrs import frozen

__all__ = (
    "UNIONS",
    "Later",
    "alias_value",
    "found_in",
    "is_required",
    "substituted",
    "unqualified",
    "variables_of",
)

UNIONS: Final = {Union, UnionType}

_REQUIRED: Final[Mapping[Any, bool]] = {typing.Required: True, typing.NotRequired: False}
_QUALIFIERS: Final = {
    *_REQUIRED,
    typing.Final,
    typing.ClassVar,
    getattr(typing, "ReadOnly", typing.Required),
}
"""They say something of a field, and nothing of its type."""


@frozen
class Later:
    """A name that stands for a type that holds itself, and is looked up when it is read."""

    name: str
    names: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Later) and (self.name, id(self.names)) == (
            other.name,
            id(other.names),
        )

    def __call__(self) -> None:
        """Unions hold only what can be called."""
        raise TypeError(f"{self.name} is the name of a type")

    def value(self) -> Any:
        """Look the type up."""
        holder = SimpleNamespace(__annotations__={"it": self.name})
        hint = typing.get_type_hints(holder, dict(self.names), include_extras=True)["it"]
        return found_in(hint, self.names)


def found_in(hint: Any, names: Mapping[str, Any]) -> Any:
    """Keep where to look up the names that `typing.get_type_hints` leaves: those of types within themselves."""
    if isinstance(hint, ForwardRef):
        return Later(hint.__forward_arg__, names)
    return _with_arguments(hint, lambda argument: found_in(argument, names))


def substituted(hint: Any, variables: Mapping[Any, Any]) -> Any:
    """Fill in the type variables of a generic type."""
    if not variables:
        return hint
    if isinstance(hint, TypeVar):
        return variables.get(hint, hint)
    return _with_arguments(hint, lambda argument: substituted(argument, variables))


def _with_arguments(hint: Any, change: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if not arguments or origin is Literal or any(isinstance(one, list) for one in arguments):
        return hint
    if origin is Annotated:
        return _annotated(change(arguments[0]), arguments[1:])
    changed = tuple(change(one) for one in arguments)
    if changed == arguments:
        return hint
    generic: Any = Union if origin in UNIONS else origin
    return generic[changed]


def _annotated(base: Any, marks: Sequence[Any]) -> Any:
    made: Any = Annotated
    return made[(base, *marks)]


def variables_of(kind: Any, arguments: Sequence[Any]) -> dict[Any, Any]:
    """What the type variables of a class stand for, those of the classes it is derived from included."""
    variables = dict(zip(getattr(kind, "__parameters__", ()), arguments, strict=False))
    for base in vars(kind).get("__orig_bases__", getattr(kind, "__bases__", ())):
        origin = get_origin(base) or base
        if isinstance(origin, type) and origin not in {object, typing.Generic}:
            given = [substituted(argument, variables) for argument in get_args(base)]
            variables = {**variables_of(origin, given), **variables}
    return variables


def alias_value(hint: Any) -> Any:
    """The type that an alias (`type X = ...`) stands for; None if it is not an alias."""
    alias = get_origin(hint) or hint
    if type(alias).__name__ != "TypeAliasType":
        return None
    variables = dict(zip(alias.__type_params__, get_args(hint), strict=False))
    return substituted(alias.__value__, variables)


def unqualified(hint: Any) -> Any:
    """A type without what says something of the field it stands at."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is typing.Final or hint is typing.ClassVar:
        return Any
    if origin in _QUALIFIERS:
        return unqualified(arguments[0])
    if origin is Annotated and get_origin(arguments[0]) in _QUALIFIERS:
        return unqualified(_annotated(unqualified(arguments[0]), arguments[1:]))
    return hint


def is_required(hint: Any) -> bool | None:
    """What a type says of its key in a TypedDict; None if nothing."""
    origin = get_origin(hint)
    if origin in _REQUIRED:
        return _REQUIRED[origin]
    return is_required(get_args(hint)[0]) if origin in _QUALIFIERS | {Annotated} else None
