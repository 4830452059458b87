"""What stands beside a type: honoured, or an error that names it; and what is pydantic's means what it means there."""

import dataclasses
import datetime
import decimal
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict

import annotated_types as at
import attrs
import msgspec
import pydantic
import pytest
from annotated_doc import Doc
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    WrapValidator,
)

from tether import tool
from tether._schema.specs import TypeSpec
from tether.errors import ArgumentsError, ToolDefinitionError


@attrs.frozen
class Point:
    x: int


class Person(pydantic.BaseModel):
    name: str


def refuse(value: object) -> Any:
    raise ValueError(f"refused {value}")


def refuse_around(value: object, handler: Any) -> Any:
    raise ValueError(f"refused {value}")


# Pydantic's `Field`.


def as_default(x: int = Field(default=3, ge=1)) -> None: ...


def in_annotated(x: Annotated[int, Field(default=3, ge=1)]) -> None: ...


def beside_a_default(x: Annotated[int, Field(ge=1)] = 3) -> None: ...


def both(x: Annotated[int, Field(ge=1)] = Field(default=3)) -> None: ...


def made_anew(x: int = Field(default_factory=lambda: 3, ge=1)) -> None: ...


def of_others(start: int = 3, x: int = Field(default_factory=lambda data: 3, ge=1)) -> None: ...


@pytest.mark.parametrize(
    "function", [as_default, in_annotated, beside_a_default, both, made_anew, of_others]
)
def test_a_field_of_pydantic_gives_a_default_and_bounds(function: Callable[..., Any]) -> None:
    made = tool(function)
    assert made.parameters["properties"]["x"]["minimum"] == 1
    assert made.parameters["required"] == []
    assert made.bind({}).get("x", 3) == 3
    assert type(made.bind({}).get("x", 3)) is int
    assert made.bind({"x": "5"}) == {"x": 5}
    with pytest.raises(ArgumentsError, match="x: expected int >= 1"):
        made.bind({"x": 0})


def test_a_default_that_is_made_is_made_for_each_call() -> None:
    @tool
    def take(items: Annotated[list[int], Field(default_factory=list)]) -> None: ...

    first, second = take.bind({})["items"], take.bind({})["items"]
    assert first == second == []
    assert first is not second
    assert take.parameters["properties"]["items"]["default"] == []


def test_a_field_of_pydantic_renames_and_describes() -> None:
    @tool
    def send(
        from_: Annotated[str, Field(alias="from", description="Who sends it.", examples=["me"])],
        to: str = Field(title="To", json_schema_extra={"format": "email"}, deprecated=True),
    ) -> None: ...

    assert send.parameters["properties"] == {
        "from": {"type": "string", "description": "Who sends it.", "examples": ["me"]},
        "to": {"type": "string", "title": "To", "format": "email", "deprecated": True},
    }
    assert send.bind({"from": "a", "to": "b"}) == {"from_": "a", "to": "b"}


@pydantic.dataclasses.dataclass
class Checked:
    x: int = Field(default=3, ge=1)


@dataclasses.dataclass
class Plain:
    x: int = Field(default=3, ge=1)


@attrs.define
class Attrs:
    x: int = Field(default=3, ge=1)


class Row(NamedTuple):
    x: int = Field(default=3, ge=1)


class Keys(TypedDict):
    x: Annotated[int, Field(default=3, ge=1)]


@pytest.mark.parametrize("kind", [Checked, Plain, Attrs])
def test_a_field_of_pydantic_means_the_same_in_a_class(kind: Any) -> None:
    spec = TypeSpec(kind)
    assert spec.check({}).x == 3
    assert spec.check({"x": 5}).x == 5
    with pytest.raises(ArgumentsError, match=r"\$\.x: .*1"):
        spec.check({"x": 0})
    assert TypeSpec(Keys).check({}) == {"x": 3}
    assert TypeSpec(Row).check([2]) == Row(2)


# Checks.


def keep(value: object, handler: Any) -> Any:
    return handler(value)


@pytest.mark.parametrize(
    ("hint", "value", "made"),
    [
        (Annotated[str, AfterValidator(str.upper)], "a", "A"),
        (Annotated[int, BeforeValidator(lambda value: int(value) + 1)], "1", 2),
        (Annotated[int, PlainValidator(lambda value: len(value))], "abc", 3),
        (Annotated[str, WrapValidator(keep)], "a", "a"),
        (Annotated[str, StringConstraints(strip_whitespace=True)], " a ", "a"),
        (list[Annotated[str, AfterValidator(str.upper)]], ["a"], ["A"]),
        (Annotated[str, AfterValidator(str.upper), "described"] | None, "a", "A"),
        (pydantic.conint(ge=1), 1, 1),
        (pydantic.Json[list[int]], "[1]", [1]),
        (pydantic.SecretStr, "a", pydantic.SecretStr("a")),
        (Annotated[decimal.Decimal, Field(max_digits=3)], "1.5", decimal.Decimal("1.5")),
        (at.LowerCase[str], "a", "a"),
        (Annotated[datetime.datetime, at.Timezone(...)], "2026-01-01T00:00:00Z", None),
    ],
    ids=str,
)
def test_a_check_is_called(hint: Any, value: Any, made: Any) -> None:
    result = TypeSpec(hint).check(value)
    assert made is None or result == made


EVEN = at.Predicate(lambda value: value % 2 == 0)


@pytest.mark.parametrize(
    ("hint", "value", "fault"),
    [
        (Annotated[str, AfterValidator(refuse)], "a", "$: Value error, refused a"),
        (Annotated[str, BeforeValidator(refuse)], "a", "$: Value error, refused a"),
        (Annotated[str, PlainValidator(refuse)], "a", "$: Value error, refused a"),
        (Annotated[str, WrapValidator(refuse_around)], "a", "$: Value error, refused a"),
        (list[Annotated[str, AfterValidator(refuse)]], ["a"], "$[0]: Value error, refused a"),
        (Annotated[int, Field(strict=True)], "1", "$: Input should be a valid integer"),
        (Annotated[int, EVEN], 1, "$: expected int that passes <lambda>"),
        (Annotated[str, at.Not(str.islower)], "a", "$: expected str that does not pass islower"),
        (
            Annotated[float, at.Predicate(math.isfinite)],
            math.inf,
            "$: expected float that passes isfinite",
        ),
        (Annotated[int, at.Interval(ge=1, lt=5)], 5, "$: expected int < 5"),
        (Annotated[int, at.MultipleOf(3)], 4, "$: expected int that is a multiple of 3"),
        (Annotated[str, at.Len(2, 3)], "a", "$: expected str of length >= 2"),
        (Annotated[str, msgspec.Meta(pattern="^a")], "b", "$: expected str matching regex '^a'"),
        (Annotated[dict[str, int], at.MaxLen(0)], {"a": 1}, "$: expected object of length <= 0"),
        (Annotated[int | None, at.Ge(1)], 0, "$: expected int >= 1"),
        (Annotated[decimal.Decimal, at.Gt(0)], "-1", "$: expected Decimal > 0"),
        (
            Annotated[datetime.date, at.Ge(datetime.date(2026, 1, 1))],
            "2025-01-01",
            "$: expected date >= 2026-01-01",
        ),
        (
            Annotated[datetime.datetime, msgspec.Meta(tz=True)],
            "2026-01-01T00:00:00",
            "$: expected datetime with timezone True",
        ),
        (Annotated[int, at.Ge(5), at.MultipleOf(2)], 3, "$: expected int >= 5"),
    ],
    ids=str,
)
def test_what_a_check_refuses_is_a_fault(hint: Any, value: Any, fault: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        TypeSpec(hint).check(value)
    assert caught.value.faults[0].startswith(fault)


def test_what_is_said_beside_a_type_is_described() -> None:
    hint = Annotated[int, at.Interval(ge=1, lt=5), "how many"]
    assert TypeSpec(hint).schema == {
        "type": "integer",
        "minimum": 1,
        "exclusiveMaximum": 5,
        "description": "how many",
    }
    assert TypeSpec(Annotated[str, Doc("a name")]).schema["description"] == "a name"
    assert TypeSpec(Annotated[float, at.Unit("m")]).schema["description"] == "unit: m"
    assert TypeSpec(Annotated[list[int] | str, at.MinLen(1)]).schema["anyOf"] == [
        {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        {"type": "string", "minLength": 1},
    ]


# Nothing is ignored silently.


class Marker:
    """Something of another library."""

    def __init__(self) -> None:
        self.scopes = ["admin"]

    def __repr__(self) -> str:
        return "Marker()"


@pytest.mark.parametrize(
    ("hint", "default", "named"),
    [
        (Annotated[int, Marker()], ..., "Marker() in Annotated is not honoured"),
        (Annotated[int, Marker], ..., "Marker"),
        (Annotated[int, object()], ..., "<object object"),
        (Annotated[Point, AfterValidator(refuse)], ..., "pydantic cannot read it"),
        (Annotated[Point, at.Ge(1)], ..., "ge says nothing of object"),
        (Annotated[Any, at.Ge(1)], ..., "ge says nothing of anything"),
        (Annotated[str, at.MultipleOf(2)], ..., "multiple_of says nothing of str"),
        (Annotated[int, at.MinLen(1)], ..., "min_length says nothing of int"),
        (Annotated[Path, msgspec.Meta(pattern="a")], ..., "pattern says nothing of str"),
        (list[Annotated[int, Field(default=3)]], ..., "Field(default=...)"),
        (int, Field(default=3, exclude=True), "Field(exclude=...) is not honoured"),
        (int, Field(default=3, validate_default=True), "Field(validate_default=...)"),
        (int, Field(default=3, validation_alias=AliasChoices("a", "b")), "validation_alias"),
        (int, Field(default=3, serialization_alias="a"), "serialization_alias"),
        (int, dataclasses.field(default=3), "its default is a field of dataclasses"),
        (int, attrs.field(default=3), "its default is a field of attr"),
        (int, msgspec.field(default=3), "its default is a field of msgspec"),
    ],
    ids=str,
)
def test_what_is_not_honoured_is_refused_by_name(hint: Any, default: Any, named: str) -> None:
    def take(x: Any) -> None: ...

    take.__annotations__["x"] = hint
    if default is not ...:
        take.__defaults__ = (default,)
    with pytest.raises(ToolDefinitionError) as caught:
        tool(take)
    assert str(caught.value).startswith("take: parameter 'x' cannot be described to a model: ")
    assert named in str(caught.value)


TYPES = {
    int: 1,
    float: 1.5,
    str: "a",
    bool: True,
    list[int]: [1],
    tuple[int, str]: [1, "a"],
    dict[str, int]: {"a": 1},
    datetime.date: "2026-01-01",
    decimal.Decimal: "1",
    bytes: "YQ==",
    Path: "a",
    Point: {"x": 1},
    Person: {"name": "a"},
    Any: 1,
    int | None: 1,
    list[int] | str: "a",
}
"""Types, and a value of each."""

REFUSING: list[Any] = [
    at.Ge(10**6),
    at.Lt(-(10**6)),
    at.MultipleOf(10**6 + 1),
    at.MinLen(10**6),
    msgspec.Meta(max_length=0),
    msgspec.Meta(pattern="^nothing$"),
    Field(ge=10**6),
    Field(min_length=10**6),
    Field(pattern="^nothing$"),
    Field(discriminator="nothing"),
    Field(exclude=True),
    AfterValidator(refuse),
    BeforeValidator(refuse),
    PlainValidator(refuse),
    WrapValidator(refuse_around),
    StringConstraints(min_length=10**6),
    at.Predicate(lambda value: False),
    at.Predicate(refuse),
    at.Not(lambda value: True),
    Marker(),
    object(),
]
"""Marks that each refuse all of these values, or mean nothing."""


@given(
    st.sampled_from(list(TYPES)),
    st.sampled_from(REFUSING),
    st.sampled_from(["plain", "listed", "optional", "field", "in_class", "default"]),
)
def test_nothing_beside_a_type_is_ignored_silently(hint: Any, mark: Any, place: str) -> None:
    """Either the tool cannot be made, or a value that the mark refuses is refused."""
    annotated: Any = Annotated
    marked: Any = annotated[hint, mark]
    value: Any = TYPES[hint]

    def take(x: Any) -> None: ...

    match place:
        case "listed":
            marked, value = list[marked], [value]
        case "optional":
            marked = marked | None
        case "field":
            marked = dataclasses.make_dataclass("Made", [("x", marked)])
            value = {"x": value}
        case "in_class":
            marked = attrs.make_class("Made", {"x": attrs.field(type=marked)})
            value = {"x": value}
        case "default":
            take.__defaults__ = (None,)
    take.__annotations__["x"] = marked
    with pytest.raises((ToolDefinitionError, ArgumentsError)) as caught:
        tool(take).bind({"x": value})
    assert str(caught.value).startswith(("take: parameter 'x' cannot be described", "x"))
