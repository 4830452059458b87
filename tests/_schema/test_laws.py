"""Laws of schemas and readers, over types that are made up: what one of them takes, the other takes too."""

import dataclasses
import datetime
import enum
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict, Union

import annotated_types as at
import attrs
import jsonschema
import msgspec
import pydantic
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from tether._schema.reading import Level, Reading
from tether._schema.results import to_json_types
from tether._schema.specs import TypeSpec
from tether._schema.types import Shapes
from tether.errors import ArgumentsError


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Words(TypedDict):
    text: str
    count: NotRequired[int]


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    name: str
    age: int = 3


class Struct(msgspec.Struct, tag="struct", forbid_unknown_fields=True):
    x: int
    more: str | None = None


class Row(NamedTuple):
    left: int
    right: str = "r"


@attrs.frozen
class Tree:
    name: str
    children: list["Tree"] = attrs.field(factory=list)


FITTING: list[tuple[Any, Any]] = [
    (str, st.sampled_from(["a", "1", "null", "[1]"])),
    (int, st.integers(-1, 5)),
    (float, st.sampled_from([0.5, 1.0, 2])),
    (bool, st.booleans()),
    (None, st.none()),
    (Any, st.sampled_from([None, "a", [1], {"x": 1}])),
    (Colour, st.sampled_from(["red", 2])),
    (Words, st.sampled_from([{"text": "a"}, {"text": "a", "count": 1}])),
    (Person, st.sampled_from([{"name": "a"}, {"name": "a", "age": 4}])),
    (Struct, st.just({"type": "struct", "x": 1})),
    (Row, st.sampled_from([[1], [1, "a"]])),
    (Tree, st.just({"name": "a", "children": [{"name": "b", "children": []}]})),
    (Literal["a", 1, None, True], st.sampled_from(["a", 1, None, True])),
    (Literal[Colour.RED], st.just("red")),
    (Annotated[int, at.Interval(ge=0, lt=4)], st.integers(0, 3)),
    (Annotated[str, at.Len(1, 3), "short"], st.text("ab", min_size=1, max_size=3)),
    (Annotated[int, Field(ge=2, multiple_of=2)], st.sampled_from([2, 4])),
    (datetime.date, st.just("2026-01-02")),
    (Path, st.just("a/b")),
]
"""Types, and values that fit them."""

ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        1,
        1.0,
        0.5,
        "a",
        "1",
        "true",
        "[1]",
        '{"name": "a"}',
        [],
        [1, "a"],
        {},
        {"f0": 1},
        {"x": 1},
    ]
)
"""Values that fit some types, or fit them if they are read carelessly."""


# As values, since what stands in the brackets is drawn.
Array: Any = list
Fixed: Any = tuple
Table: Any = dict
OneOf: Any = Union


@st.composite
def typed_values(draw: st.DrawFn, depth: int = 2) -> tuple[Any, Any]:
    """A type, and a value that mostly fits it."""
    kind = draw(st.integers(0, 9)) if depth else 0
    if kind < 2:
        hint, values = draw(st.sampled_from(FITTING))
        return hint, draw(values if draw(st.integers(0, 3)) else ODD)
    inner = [draw(typed_values(depth - 1)) for _ in range(draw(st.integers(1, 3)))]
    hints, values = [hint for hint, _ in inner], [value for _, value in inner]
    first, count = hints[0], draw(st.integers(0, 2))
    match kind:
        case 2:
            return Array[first], [values[0]] * count
        case 3:
            return Fixed[tuple(hints)], values[: len(values) - (count == 2)]
        case 4:
            return Table[str, first], {str(number): values[0] for number in range(count)}
        case 5:
            return Table[int, first], {str(number): values[0] for number in range(count)}
        case 6:
            return OneOf[tuple(hints)], draw(st.sampled_from([*values, draw(ODD)]))
        case _:
            optional = draw(st.integers(0, len(hints)))
            made = draw(st.sampled_from(["attrs", "dataclass", "keys"]))
            given = {f"f{number}": value for number, value in enumerate(values)}
            for number in range(optional, len(hints)):
                if draw(st.booleans()):
                    del given[f"f{number}"]
            if draw(st.integers(0, 3)) == 0:
                given = draw(st.sampled_from([{**given, "f9": 1}, dict(list(given.items())[1:])]))
            return _class(made, hints, optional), given


def _class(made: str, hints: Sequence[Any], optional: int) -> Any:
    """A class with these fields, which have a default from one of them on."""
    fields = [(f"f{number}", hint, number >= optional) for number, hint in enumerate(hints)]
    match made:
        case "attrs":
            return attrs.make_class(
                "Made",
                {
                    name: attrs.field(type=hint, default=None if has else attrs.NOTHING)
                    for name, hint, has in fields
                },
            )
        case "dataclass":
            return dataclasses.make_dataclass(
                "Made",
                [(name, hint, None) if has else (name, hint) for name, hint, has in fields],
            )
        case _:
            keys = {name: NotRequired[hint] if has else hint for name, hint, has in fields}
            return TypedDict("Made", keys)  # type: ignore[operator]  # the names are made up


def read(hint: Any, value: object, level: Level) -> Any:
    """Read a value at a level of carelessness; an error is returned."""
    try:
        return Shapes().of(hint).read(value, "$", Reading(level))
    except ArgumentsError as error:
        return error


@settings(max_examples=100)
@given(typed_values())
def test_schema_and_reader_take_the_same(both: tuple[Any, Any]) -> None:
    """What the schema takes is read. What is read as it stands is what the schema takes."""
    hint, value = both
    schema = dict(TypeSpec(hint).schema)
    kind = jsonschema.Draft202012Validator
    if kind(schema, format_checker=kind.FORMAT_CHECKER).is_valid(value):
        TypeSpec(hint).check(value)
    else:
        assert isinstance(read(hint, value, Level.EXACT), ArgumentsError)


@settings(max_examples=50)
@given(typed_values())
def test_what_was_read_is_written_as_what_is_read_to_the_same(both: tuple[Any, Any]) -> None:
    hint, value = both
    made = read(hint, value, Level.LENIENT)
    if isinstance(made, ArgumentsError):
        assert all(fault.startswith("$") for fault in made.faults)
        return
    again = json.loads(msgspec.json.encode(made, enc_hook=to_json_types))
    assert TypeSpec(hint).check(again) == made


@settings(max_examples=50)
@given(typed_values())
def test_a_value_that_fits_as_it_stands_is_never_changed(both: tuple[Any, Any]) -> None:
    hint, value = both
    exact = read(hint, value, Level.EXACT)
    if not isinstance(exact, ArgumentsError):
        assert TypeSpec(hint).check(value) == exact
        assert read(hint, value, Level.STRICT) == exact
