"""Tools from typed functions: schemas, arguments, definition mistakes."""

import dataclasses
import datetime
import enum
import functools
import json
import math
from contextlib import suppress
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether import Image, Text, Tool, ToolContext, ToolResult, tool
from tether.errors import ArgumentsError, ToolDefinitionError
from tether.tools import as_tool_result


class Unit(enum.Enum):
    METRE = "m"
    FOOT = "ft"


@attrs.define
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass
class Box:
    corner: Point
    tags: list[str] = dataclasses.field(default_factory=list)


class Options(TypedDict, total=False):
    deep: bool


class Pair(NamedTuple):
    left: int
    right: str


class Person(pydantic.BaseModel):
    name: str
    age: int = 0


def made(function: Any, **options: Any) -> Tool:
    return tool(**options)(function)


def schema_of(annotation: Any, **default: Any) -> Any:
    """The schema of a parameter with this type."""

    def function(value: Any) -> None: ...

    function.__annotations__["value"] = annotation
    if default:
        function.__defaults__ = (default["default"],)
    return made(function).parameters["properties"]["value"]


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (datetime.date, {"type": "string", "format": "date"}),
        (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
        (Annotated[int, msgspec.Meta(ge=1, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}),
        (
            list[Annotated[str, "a name"]],
            {"type": "array", "items": {"type": "string", "description": "a name"}},
        ),
        (Unit, {"$ref": "#/$defs/Unit"}),
        (Point, {"$ref": "#/$defs/Point"}),
    ],
)
def test_a_type_has_its_schema(annotation: Any, schema: Any) -> None:
    assert schema_of(annotation) == schema


@pytest.mark.parametrize("default", [5, None, "x", [1, 2], {"a": 1}, Unit.FOOT])
def test_a_default_stands_in_the_schema(default: Any) -> None:
    assert schema_of(Any, default=default) == {"default": msgspec.to_builtins(default)}


GOOGLE = """Move a point.

        It may be far.

        Args:
            point: where it is
            by: how far
        """
NUMPY = """Move a point.

        It may be far.

        Parameters
        ----------
        point
            where it is
        by
            how far
        """
SPHINX = """Move a point.

        It may be far.

        :param point: where it is
        :param by: how far
        """


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX])
def test_descriptions_come_from_the_docstring_in_any_style(docstring: str) -> None:
    async def move(point: str, by: int = 1) -> str:
        return point

    move.__doc__ = docstring
    moved = tool(move)
    assert (moved.name, moved.description) == ("move", "Move a point.\n\nIt may be far.")
    assert moved.parameters == {
        "type": "object",
        "properties": {
            "point": {"type": "string", "description": "where it is"},
            "by": {"type": "integer", "description": "how far", "default": 1},
        },
        "required": ["point"],
        "additionalProperties": False,
    }
    assert moved.is_async


@tool
def everything(
    number: int,
    unit: Unit,
    kind: Literal["a", "b"],
    box: Box,
    options: Options,
    pair: Pair,
    names: set[str],
    both: tuple[int, str],
    person: Person,
    context: ToolContext[Any],
    maybe: int | None = None,
    times: int = 3,
) -> str:
    """Take everything."""
    return "taken"


GOOD = {
    "number": 4,
    "unit": "m",
    "kind": "a",
    "box": {"corner": {"x": 1}, "tags": ["t"]},
    "options": {"deep": True},
    "pair": [1, "r"],
    "names": ["n"],
    "both": [1, "s"],
    "person": {"name": "Ada"},
}


def test_arguments_become_what_the_function_wants() -> None:
    assert everything.bind(GOOD) == {
        "number": 4,
        "unit": Unit.METRE,
        "kind": "a",
        "box": Box(Point(1), ["t"]),
        "options": {"deep": True},
        "pair": Pair(1, "r"),
        "names": {"n"},
        "both": (1, "s"),
        "person": Person(name="Ada"),
    }
    assert everything.context_parameter == "context"
    assert "context" not in everything.parameters["properties"]
    assert not everything.is_async


@pytest.mark.parametrize(
    ("changes", "bound"),
    [({"number": "42"}, 42), ({"number": 3.0}, 3), ({"number": "-7"}, -7)],
)
def test_what_a_model_writes_carelessly_is_understood(changes: Any, bound: object) -> None:
    assert everything.bind({**GOOD, **changes})["number"] == bound


def test_null_for_a_parameter_with_a_default_is_the_default() -> None:
    assert "times" not in everything.bind({**GOOD, "times": None})
    assert everything.bind({**GOOD, "maybe": None})["maybe"] is None


def test_every_fault_is_named_at_once_with_its_path_and_what_is_allowed() -> None:
    wrong = {
        **GOOD,
        "number": "many",
        "unit": "yard",
        "kind": "c",
        "box": {"corner": {"x": "left"}},
        "person": {"name": "Ada", "age": "old"},
        "colour": "red",
    }
    del wrong["pair"]
    with pytest.raises(ArgumentsError) as caught:
        everything.bind(wrong)
    known = ", ".join(everything.parameters["properties"])
    assert list(caught.value.faults) == [
        "number: expected int, got str",
        'unit: invalid enum value \'yard\'; allowed: "m", "ft"',
        'kind: invalid enum value \'c\'; allowed: "a", "b"',
        "box.corner.x: expected int, got str",
        "pair: is missing",
        "person.age: Input should be a valid integer, unable to parse string as an integer",
        f"colour: there is no such parameter; there are: {known}",
    ]


@pytest.mark.parametrize("value", [3.7, "2.5", True, None, [1], {}])
def test_what_is_no_number_is_not_made_one(value: object) -> None:
    with pytest.raises(ArgumentsError, match="number: "):
        everything.bind({**GOOD, "number": value})


def test_a_value_that_fits_already_is_never_changed() -> None:
    @tool
    def either(value: int | str) -> None:
        """Take either."""

    assert either.bind({"value": "42"}) == {"value": "42"}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "times", "other"]), JSON))
def test_any_json_is_bound_or_refused(arguments: dict[str, Any]) -> None:
    with suppress(ArgumentsError):
        everything.bind(arguments)


@given(
    st.fixed_dictionaries(
        {
            "number": st.integers(-(2**40), 2**40),
            "unit": st.sampled_from(Unit),
            "names": st.sets(st.text(), max_size=3),
            "box": st.builds(
                Box,
                st.builds(Point, st.integers(-99, 99), st.floats(-9, 9)),
                st.lists(st.text(), max_size=2),
            ),
        }
    )
)
def test_what_was_written_as_json_is_bound_to_the_same(values: dict[str, Any]) -> None:
    @tool
    def take(number: int, unit: Unit, names: set[str], box: Box) -> None:
        """Take."""

    assert take.bind(json.loads(msgspec.json.encode(values))) == values


def no_type(x) -> None: ...  # type: ignore[no-untyped-def]  # this is the mistake


def starred(*parts: str) -> None: ...


def positional(x: int, /) -> None: ...


def opaque(x: functools.partial[int]) -> None: ...


def unknown(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - this is the mistake


async def generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (no_type, {}, "no_type: parameter 'x' has no type; annotate it, such as `x: str`"),
        (starred, {}, "starred: parameter *parts: str cannot be given by name"),
        (positional, {}, "positional: parameter x: int cannot be given by name"),
        (opaque, {}, "opaque: parameter 'x' cannot be described to a model:"),
        (unknown, {}, "unknown: an annotation names 'Nowhere', which is not to be found"),
        (
            generator,
            {},
            "generator: a generator cannot be a tool; report progress with ToolContext.update",
        ),
        (lambda: 1, {}, "'<lambda>' cannot be the name of a tool: use 1 to 64 letters"),
        (opaque, {"name": "a b"}, "'a b' cannot be the name of a tool"),
        (starred, {"timeout": 0}, "starred: timeout must be more than 0 seconds, not 0"),
        (starred, {"max_concurrency": 0}, "starred: max_concurrency must be at least 1, not 0"),
        (starred, {"kind": "write"}, "starred: kind must be one of read, edit, execute, search,"),
        (starred, {"kind": ["read"]}, "starred: kind must be a string, not ['read']"),
        (starred, {"title": 5}, "starred: title must be a string or None, not 5"),
        (starred, {"read_only": "no"}, "starred: read_only must be True or False, not 'no'"),
        (starred, {"idempotent": None}, "starred: idempotent must be True or False, not None"),
        (starred, {"destructive": 1}, "starred: destructive must be True, False or None, not 1"),
        (starred, {"sequential": 1}, "starred: sequential must be True or False, not 1"),
        (
            starred,
            {"read_only": True, "destructive": True},
            "starred: a tool that is read_only changes nothing, so it cannot be destructive",
        ),
        (
            starred,
            {"parameters": {"type": "strng"}},
            "starred: `parameters` is not a JSON Schema: 'strng' is not",
        ),
        (
            starred,
            {"parameters": {"type": "array"}},
            "starred: `parameters` must be the schema of an object",
        ),
    ],
)
def test_a_mistake_in_a_definition_is_told_when_it_is_made(
    function: Any, options: Any, message: str
) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        made(function, **options)
    assert str(caught.value).startswith(message)


def test_a_local_type_in_a_string_annotation_is_found() -> None:
    @attrs.define
    class Local:
        x: int

    def use(value: "Local") -> int:
        return Local(1).x + value.x

    assert tool(use).bind({"value": {"x": 2}}) == {"value": Local(2)}


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
    "required": ["a"],
}


def test_a_raw_schema_is_used_as_it_is_and_checks_every_argument() -> None:
    taken = made(lambda **arguments: arguments, name="raw", parameters=SCHEMA)
    assert taken.parameters == SCHEMA
    assert taken.bind({"a": 1}) == {"a": 1}
    with pytest.raises(ArgumentsError) as caught:
        taken.bind({"a": "one", "b": "z"})
    assert sorted(caught.value.faults) == [
        "a: 'one' is not of type 'integer'",
        "b: 'z' is not one of ['x', 'y']",
    ]


def test_a_raw_schema_may_be_given_to_one_mapping() -> None:
    def take(arguments: dict[str, Any], context: ToolContext[None]) -> None: ...

    taken = made(take, parameters=SCHEMA)
    assert taken.bind({"a": 1}) == {"arguments": {"a": 1}}
    assert taken.context_parameter == "context"


def test_options_are_kept_and_the_tool_can_be_called() -> None:
    @tool(name="twice", description="Double.", timeout=math.inf, sequential=True, max_concurrency=2)
    def double(x: int) -> int:
        return 2 * x

    assert (double.name, double.description, double.timeout) == ("twice", "Double.", math.inf)
    assert (double.sequential, double.max_concurrency) == (True, 2)
    assert double(21) == 42
    assert double.spec.name == "twice"


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("text", ToolResult("text")),
        (None, ToolResult()),
        (Text("t"), ToolResult(Text("t"))),
        ([Text("t"), Image(b"i")], ToolResult([Text("t"), Image(b"i")])),
        (ToolResult("r", terminate=True), ToolResult("r", terminate=True)),
        (42, ToolResult("42")),
        ([1, 2], ToolResult("[1,2]")),
        ({"a": Point(1)}, ToolResult('{"a":{"x":1,"y":0.0}}')),
        (Box(Point(1), ["t"]), ToolResult('{"corner":{"x":1,"y":0.0},"tags":["t"]}')),
        (datetime.date(2026, 1, 2), ToolResult('"2026-01-02"')),
        (Person(name="Ada"), ToolResult('{"name":"Ada","age":0}')),
    ],
)
def test_whatever_a_tool_returns_becomes_a_result(value: object, result: ToolResult) -> None:
    assert as_tool_result(value) == result


def test_what_json_cannot_hold_is_refused_by_its_type() -> None:
    with pytest.raises(
        TypeError, match="a tool returned object, which is neither text, nor blocks"
    ):
        as_tool_result(object())
