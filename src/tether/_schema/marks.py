"""What stands in `Annotated` beside a type: descriptions, bounds, checks. No I/O.

Taken are plain strings, `msgspec.Meta`, annotated-types, `Doc`, and pydantic's `Field`, each told by the names of its
attributes, so that none of these libraries need be there. What says anything else is given back: nothing is
passed over.
"""

import dataclasses
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from attrs import frozen

from tether._schema.foreign import field_marks, is_field

__all__ = ("LENGTHS", "NUMBERS", "ORDER", "TEXTS", "Bound", "Marks", "marks_of")

NUMBERS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}
"""Bounds of numbers, by what JSON Schema calls them."""
ORDER: Final = dict.fromkeys(NUMBERS, "")
"""Bounds of what is a text in JSON, where a schema cannot say them."""
TEXTS: Final = {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"}
LENGTHS: Final = {"min_length": "", "max_length": ""}

_TESTS: Final[Mapping[str, tuple[Callable[[Any, Any], Any], str]]] = {
    "ge": (operator.ge, "{noun} >= {limit}"),
    "gt": (operator.gt, "{noun} > {limit}"),
    "le": (operator.le, "{noun} <= {limit}"),
    "lt": (operator.lt, "{noun} < {limit}"),
    "multiple_of": (
        lambda value, limit: value % limit == 0,
        "{noun} that is a multiple of {limit}",
    ),
    "min_length": (lambda value, limit: len(value) >= limit, "{noun} of length >= {limit}"),
    "max_length": (lambda value, limit: len(value) <= limit, "{noun} of length <= {limit}"),
    "pattern": (lambda value, limit: re.search(limit, value), "{noun} matching regex {limit!r}"),
    "tz": (lambda value, limit: _has_zone(value, limit), "{noun} with timezone {limit!r}"),
}
_ABOUT: Final = ("title", "description", "examples", "deprecated")
_META: Final = (*_TESTS, "title", "description", "examples", "extra_json_schema", "extra")
_DESCRIPTIONS: Final = {"documentation": "{}", "unit": "unit: {}"}


@frozen
class Bound:
    """A bound of a value, or what else it has to pass."""

    name: str
    limit: Any
    negated: bool = False

    def passes(self, value: Any) -> bool:
        """Look at a value that was made; raises what a check of the program's own raises."""
        if self.name == "func":
            return bool(self.limit(value)) is not self.negated
        return bool(_TESTS[self.name][0](value, self.limit))

    def wanted(self, noun: str) -> str:
        """What a value should be."""
        if self.name == "func":
            name = getattr(self.limit, "__name__", repr(self.limit))
            return f"{noun} that {'does not pass' if self.negated else 'passes'} {name}"
        return _TESTS[self.name][1].format(noun=noun, limit=self.limit)


def _has_zone(value: Any, wanted: Any) -> bool:
    if wanted is None or wanted is False:
        return value.tzinfo is None
    if wanted is True or wanted is ...:
        return value.tzinfo is not None
    return str(value.tzinfo) == str(wanted)


@frozen
class Marks:
    """All that stands beside a type."""

    about: Mapping[str, Any]
    """What JSON Schema says of it without bounding it."""
    bounds: Sequence[Bound]
    others: Sequence[object]
    """What is none of these."""


def marks_of(marks: Iterable[object]) -> Marks:
    """Read what stands beside a type, in order."""
    about: dict[str, Any] = {}
    bounds: list[Bound] = []
    others: list[object] = []
    for mark in _flat(marks):
        told = _told(mark)
        if told is None:
            others.append(mark)
            continue
        about |= _about(told)
        bounds += [
            Bound(name, told[name], type(mark).__name__ == "Not")
            for name in (*_TESTS, "func")
            if name in told
        ]
    return Marks(about, bounds, others)


def _flat(marks: Iterable[object]) -> Iterator[object]:
    for mark in marks:
        said = field_marks(mark) if is_field(mark) else None
        if said is not None:
            yield from said
        elif mark is not None:  # pydantic's `conint` holds a None for each bound it was not given
            yield mark


def _told(mark: object) -> dict[str, Any] | None:
    """What a mark says, by the names of its attributes; None if one of them is not known here."""
    if isinstance(mark, str):
        return {"description": mark}
    if is_field(mark) or hasattr(mark, "__get_pydantic_core_schema__"):
        return None
    names = _META if isinstance(mark, msgspec.Meta) else _attributes(mark)
    kind = type(mark).__name__ if type(mark).__module__ == "annotated_types" else ""
    known = {*_META, *_DESCRIPTIONS} | ({"func"} if kind else set())
    if not names or not known.issuperset(names):
        return None
    told = {name: getattr(mark, name) for name in names}
    return {name: value for name, value in told.items() if value is not None or kind == "Timezone"}


def _attributes(mark: object) -> Sequence[str]:
    if dataclasses.is_dataclass(mark) and not isinstance(mark, type):
        return [part.name for part in dataclasses.fields(mark)]
    return list(getattr(mark, "__dict__", ()))


def _about(told: Mapping[str, Any]) -> dict[str, Any]:
    about = {name: told[name] for name in _ABOUT if name in told}
    for name, form in _DESCRIPTIONS.items():
        if name in told:
            about["description"] = form.format(told[name])
    return about | dict(told.get("extra_json_schema", {}))
