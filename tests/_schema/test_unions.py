"""Unions: a tag decides, else the first member that fits; and what a value says is never changed for another member."""

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any, Literal, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from tether import Agent, tool
from tether._schema.specs import TypeSpec
from tether.errors import ArgumentsError
from tether.testing import ScriptedModel, call


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Cat:
    name: str
    lives: int = 9


@attrs.frozen
class Dog:
    name: str
    tricks: list[str] = attrs.field(factory=list)


@dataclasses.dataclass
class Circle:
    kind: Literal["circle"]
    radius: float


@dataclasses.dataclass
class Square:
    kind: Literal["square"]
    side: float
    filled: bool = False


class Move(TypedDict):
    type: Literal["move"]
    to: str


class Stop(TypedDict):
    type: Literal["stop"]


class Car(pydantic.BaseModel):
    name: str
    doors: int = 4


class Boat(pydantic.BaseModel):
    name: str
    sails: list[str] = []


class Created(msgspec.Struct, tag="created"):
    id: int


class Deleted(msgspec.Struct, tag="deleted"):
    id: int
    why: str = ""


def faults_of(hint: Any, value: object) -> list[str]:
    with pytest.raises(ArgumentsError) as caught:
        TypeSpec(hint).check(value)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("hint", "given", "made"),
    [
        (Cat | Dog, {"name": "a"}, Cat("a")),
        (Cat | Dog, {"name": "a", "tricks": ["sit"]}, Dog("a", ["sit"])),
        (Dog | Cat, {"name": "a"}, Dog("a")),
        (Cat | Dog, {"name": "a", "lives": "3"}, Cat("a", 3)),
        (Cat | Dog, '{"name": "a", "tricks": []}', Dog("a")),
        (Circle | Square, {"kind": "square", "side": 2}, Square("square", 2.0)),
        (Move | Stop, {"type": "stop"}, {"type": "stop"}),
        (Car | Boat, {"name": "a", "sails": ["jib"]}, Boat(name="a", sails=["jib"])),
        (Car | Cat, {"name": "a", "lives": 1}, Cat("a", 1)),
        (Created | Deleted, {"type": "deleted", "id": 1}, Deleted(1)),
        (list[Cat | Dog], [{"name": "a"}, {"name": "b", "tricks": []}], [Cat("a"), Dog("b")]),
        (Cat | dict[str, int], {"other": 1}, {"other": 1}),
        (str | Path, "a/b", "a/b"),
        (Path | str, "a/b", Path("a/b")),
        (Colour | str, "red", Colour.RED),
        (Colour | str, "green", "green"),
        (str | Colour, "red", "red"),
        (Car | str, {"name": "a"}, Car(name="a")),
        (Car | str, "a", "a"),
        (Cat | str, '{"name": "a"}', '{"name": "a"}'),
        (list[int] | list[str], ["1", "2"], ["1", "2"]),
        (list[int] | list[str], [1, 2], [1, 2]),
        (list[int] | list[str], ["1", 2], [1, 2]),
        (list[int] | set[int], [1, 1], [1, 1]),
        (list[int] | str, "[1]", "[1]"),
        (list[int] | None, "[1]", [1]),
        (float | int, 3, 3),
        (int | float, 1.5, 1.5),
        (float | str, 3, 3.0),
        (bool | float, 1, 1.0),
        (bool | int | str, "true", "true"),
        (int | None, "5", 5),
        (Literal[Colour.RED], "red", Colour.RED),
        (Literal[Colour.RED, 1, True, None], True, True),
        (Literal[Colour.RED, 1, True, None], 1, 1),
        (Literal[7, 8], "8", 8),
        (Literal["a"] | int, "7", 7),
    ],
)
def test_a_value_is_read_as_the_member_that_is_meant(hint: Any, given: Any, made: Any) -> None:
    result = TypeSpec(hint).check(given)
    assert result == made
    assert type(result) is type(made)


def test_each_member_is_described() -> None:
    schema = TypeSpec(Cat | list[int] | None).schema
    assert schema["anyOf"] == [
        {"$ref": "#/$defs/Cat"},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "null"},
    ]
    assert list(schema["$defs"]) == ["Cat"]
    assert TypeSpec(Literal[Colour.RED]).schema == {"enum": ["red"]}


@pytest.mark.parametrize(
    ("hint", "value", "faults"),
    [
        (
            Circle | Square,
            {"kind": "square", "side": "x", "filled": "perhaps"},
            ["$.side: expected float, got str", "$.filled: expected bool, got str"],
        ),
        (
            Circle | Square,
            {"kind": "star"},
            ['$.kind: "star" is none of them; allowed: "circle", "square"'],
        ),
        (Circle | Square, {"side": 1}, ['$.kind: is missing; allowed: "circle", "square"']),
        (Created | Deleted, {"type": "deleted"}, ["$.id: is missing"]),
        (
            Cat | Dog,
            {"name": 1},
            [
                "$: fits none of Cat, Dog (as Cat: $.name: expected str, got int; "
                "as Dog: $.name: expected str, got int)"
            ],
        ),
        (Cat | None, {"name": 1}, ["$.name: expected str, got int"]),
        (Cat | str, 3, ["$: expected object | str, got int"]),
        (int | None, "x", ["$: expected int | null, got str"]),
        (Colour | None, 3, ['$: expected enum | null, got int; allowed: "red", "blue", null']),
    ],
)
def test_the_faults_are_those_of_the_member_that_is_meant(
    hint: Any, value: Any, faults: list[str]
) -> None:
    assert faults_of(hint, value) == faults


@attrs.frozen
class Left:
    child: "Left | Right | None" = None


@attrs.frozen
class Right:
    child: "Left | Right | None" = None
    more: int = 0


def test_unions_within_unions_are_read_once_each_and_their_faults_stay_short() -> None:
    value: Any = {"wrong": 1}
    for _ in range(60):  # would take 2 ** 60 readings
        value = {"child": value}
    [fault] = faults_of(Left | Right, value)
    assert len(fault) < 1000
    for _ in range(60):
        value = {"child": value} if "wrong" not in value else {"child": None}
    assert isinstance(TypeSpec(Left | Right).check(json.loads(json.dumps({"child": {}}))), Left)


async def test_a_union_may_be_the_type_of_a_parameter_and_of_a_result() -> None:
    @tool
    def feed(animal: Cat | Dog, where: str | Path | None = None) -> str:
        """Feed an animal."""
        return type(animal).__name__

    model = ScriptedModel(
        call("feed", animal={"name": "a", "tricks": []}),
        call("final_result", result={"kind": "circle", "radius": 1}),
    )
    agent = Agent(model, tools=[feed])
    result = await agent.prompt("go", output=Circle | Square)
    assert result.output == Circle("circle", 1.0)
    assert agent.messages[2].text == "Dog"
