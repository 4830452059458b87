"""Types as JSON Schema and as checks: what has parts is read part by part, and every fault is named."""

import dataclasses
import json
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NewType, NotRequired, Required, TypedDict

import annotated_types
import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether import tool
from tether._schema.classes import field_of
from tether._schema.specs import ObjectSpec, TypeSpec
from tether.errors import ArgumentsError, ToolDefinitionError
from tether.tools import as_tool_result

UserId = NewType("UserId", int)


def _positive(_: object, attribute: Any, value: int) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} must be more than 0")


@attrs.frozen
class Line:
    """A line of an order.

    Attributes:
        article: what is ordered
    """

    article: str
    """What is ordered."""
    count: int = attrs.field(default=1, validator=_positive)
    _note: str = ""


@dataclasses.dataclass
class Order:
    customer: UserId
    lines: list[Line]
    total: float = dataclasses.field(init=False, default=0.0)


class Search(TypedDict):
    words: Required[list[str]]
    limit: NotRequired[Annotated[int, annotated_types.Interval(ge=1, le=9)]]


class Node(pydantic.BaseModel):
    name: str
    children: list["Node"] = []


@attrs.frozen
class Tree:
    name: str
    children: list["Tree"] = attrs.field(factory=list)


def faults_of(hint: Any, value: object) -> list[str]:
    with pytest.raises(ArgumentsError) as caught:
        TypeSpec(hint).check(value)
    return list(caught.value.faults)


def test_all_the_faults_of_nested_values_are_named() -> None:
    wrong = {
        "customer": "nobody",
        "lines": [{"count": 2}, {"article": 3, "count": "many"}, {"article": "x", "colour": "red"}],
    }
    assert faults_of(Order, wrong) == [
        "$.customer: expected int, got str",
        "$.lines[0].article: is missing",
        "$.lines[1].article: expected str, got int",
        "$.lines[1].count: expected int, got str",
        "$.lines[2].colour: there is no such parameter; there are: article, count, _note",
    ]


@pytest.mark.parametrize(
    ("arguments", "kind"), [([], "array"), (["a"], "array"), ("a", "str"), (None, "null")]
)
@pytest.mark.parametrize("fields", [(), (field_of("a", int),)], ids=["none", "one"])
def test_arguments_that_are_no_object_are_refused(
    fields: Sequence[Any], arguments: Any, kind: str
) -> None:
    with pytest.raises(ArgumentsError, match=f"^arguments: expected object, got {kind}$"):
        ObjectSpec(fields).check(arguments)


def test_a_class_is_made_by_calling_it_with_its_own_checks() -> None:
    assert faults_of(list[Line], [{"article": "x", "count": 0}]) == [
        "$[0]: count must be more than 0"
    ]
    made = TypeSpec(Order).check({"customer": "7", "lines": [{"article": "x"}], "total": 3})
    assert made == Order(UserId(7), [Line("x")])


def test_what_a_class_works_out_by_itself_is_no_parameter() -> None:
    [order] = [d for name, d in TypeSpec(Order).schema["$defs"].items() if name == "Order"]
    assert list(order["properties"]) == ["customer", "lines"]
    assert order["required"] == ["customer", "lines"]
    assert order["additionalProperties"] is False


def test_the_descriptions_of_a_class_come_from_its_docstring() -> None:
    schema = TypeSpec(Line).schema["$defs"]["Line"]
    assert schema["description"] == "A line of an order."
    assert schema["properties"]["article"]["description"] == "what is ordered"
    assert schema["properties"]["count"] == {"type": "integer", "default": 1}


def test_a_typed_dict_has_its_required_keys_and_bounds() -> None:
    assert TypeSpec(Search).check({"words": ["a"], "limit": "3"}) == {"words": ["a"], "limit": 3}
    assert faults_of(Search, {"limit": 12}) == [
        "$.words: is missing",
        "$.limit: expected int <= 9",
    ]


def test_a_union_is_read_as_the_member_that_is_meant() -> None:
    spec = TypeSpec(Line | list[int] | None)
    assert spec.check({"article": "x"}) == Line("x")
    assert spec.check(["1", 2]) == [1, 2]
    assert spec.check(None) is None
    assert faults_of(Line | list[int] | None, [1, "x"]) == ["$[1]: expected int, got str"]


@pytest.mark.parametrize("kind", [Tree, Node])
def test_a_type_may_hold_itself(kind: Any) -> None:
    value = {"name": "a", "children": [{"name": "b", "children": []}]}
    assert TypeSpec(kind).check(value) == kind(name="a", children=[kind(name="b")])


@pytest.mark.parametrize("kind", [Tree, Node, Any, list[Any]])
def test_nesting_without_end_is_refused_or_taken_and_never_a_crash(kind: Any) -> None:
    value: Any = {"name": "x", "children": []}
    for _ in range(20_000):
        value = {"name": "x", "children": [value]}
    with suppress(ArgumentsError):
        TypeSpec(kind).check(value)


@pytest.mark.parametrize(
    ("hint", "given", "made"),
    [
        (Path, "a/b", Path("a/b")),
        (Sequence[int], ["1"], [1]),
        (Mapping[int, str], {"1": "a"}, {1: "a"}),
        (Mapping, {"a": 1}, {"a": 1}),
        (typing.Mapping, {"a": 1}, {"a": 1}),
        (tuple[int, ...], ["1", 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (frozenset[str], ["a", "a"], frozenset("a")),
        (UserId, "3", 3),
        (object, {"a": [1]}, {"a": [1]}),
        (Annotated[list[int], msgspec.Meta(max_length=2)], ["1", "2"], [1, 2]),
        (dict[str, Line], {"a": {"article": "x"}}, {"a": Line("x")}),
    ],
)
def test_what_fits_is_made(hint: Any, given: object, made: object) -> None:
    result = TypeSpec(hint).check(given)
    assert result == made
    assert type(result) is type(made)


@pytest.mark.parametrize(
    ("hint", "given", "fault"),
    [
        (Path, 3, "$: expected str, got int"),
        (tuple[int, str], [1], "$: expected 2 items, got 1"),
        (set[list[int]], [[1]], "$: "),
        (
            Annotated[list[int], msgspec.Meta(max_length=2)],
            [1, 2, 3],
            "$: expected array of length <= 2",
        ),
        (dict[str, int], {"a b": "x"}, "$['a b']: expected int, got str"),
        (Line, "x", "$: expected object, got str"),
    ],
)
def test_what_does_not_fit_is_refused(hint: Any, given: object, fault: str) -> None:
    assert faults_of(hint, given)[0].startswith(fault)


@pytest.mark.parametrize(
    "hint",
    [
        complex,
        typing.Callable[[], int],
        type[int],
        typing.Iterator[int],
        dict[tuple[int, int], int],
        Line | complex,
        typing.Literal[b"a"],
        typing.Literal[[1]],
        "Nowhere",
        pytest,
    ],
    ids=str,
)
def test_what_json_cannot_hold_is_refused_when_the_tool_is_made(hint: Any) -> None:
    def function(value: Any) -> None: ...

    function.__annotations__["value"] = hint
    with pytest.raises(ToolDefinitionError):
        tool(function)


def test_a_path_and_a_model_of_pydantic_are_written_as_json() -> None:
    result = as_tool_result({"at": Path("a/b"), "node": Node(name="x")})
    [block] = result.content
    assert json.loads(getattr(block, "text", "")) == {
        "at": "a/b",
        "node": {"name": "x", "children": []},
    }


class Basket(pydantic.BaseModel):
    fruits: list[str]
    owner: Node | None = None
    note: str = ""


@pytest.mark.parametrize(
    ("hint", "given", "made"),
    [
        (list[int], "[1, 2]", [1, 2]),
        (list[int], '"[1, 2]"', [1, 2]),
        (list[list[int]], ["[1]", [2]], [[1], [2]]),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (set[int], "[1]", {1}),
        (dict[str, list[int]], '{"a": "[1]"}', {"a": [1]}),
        (Tree, '{"name": "[1]", "children": "[]"}', Tree("[1]")),
        (Search, '{"words": ["a"]}', {"words": ["a"]}),
        (Order | None, '{"customer": 1, "lines": "[]"}', Order(UserId(1), [])),
        (Basket, '{"fruits": ["a"]}', Basket(fruits=["a"])),
        (
            Basket,
            {"fruits": '["a"]', "owner": '{"name": "b", "children": "[]"}', "note": "[]"},
            Basket(fruits=["a"], owner=Node(name="b"), note="[]"),
        ),
        (str, "[1]", "[1]"),
        (Any, "[1]", "[1]"),
        (list[str], ["[1]"], ["[1]"]),
    ],
    ids=str,
)
def test_a_list_or_object_that_was_made_a_text_is_read_where_one_is_wanted(
    hint: Any, given: Any, made: Any
) -> None:
    result = TypeSpec(hint).check(given)
    assert result == made
    assert type(result) is type(made)


@pytest.mark.parametrize("value", ["[1", "words", '{"a": 1}', '"', "", "[" * 10_000, '["x"]'])
def test_a_text_that_is_no_such_list_is_a_fault(value: str) -> None:
    [fault] = faults_of(list[int], value)
    assert fault in {"$: expected array, got str", "$[0]: expected int, got str"}
    assert faults_of(Basket, {"fruits": "words"}) == ["$.fruits: Input should be a valid array"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["customer", "lines", "article", "count", "name", "children", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
HINTS = st.sampled_from([Order, Line, Search, Tree, Node, Line | list[int] | None, dict[str, Line]])


@given(HINTS, JSON)
def test_any_json_is_taken_or_refused_with_its_path(hint: Any, value: object) -> None:
    faults: tuple[str, ...] = ("$",)
    try:
        TypeSpec(hint).check(value)
    except ArgumentsError as error:
        faults = error.faults
    assert faults
    assert all(fault.startswith("$") for fault in faults)


PLAIN = ObjectSpec(
    [
        field_of("path", str),
        field_of("count", int, 1),
        field_of("share", float, 0.5),
        field_of("tags", list[str], ()),
    ]
)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"path": "a"}, {"path": "a"}),
        ({"path": "a", "count": 2}, {"path": "a", "count": 2}),
        ({"path": "a", "count": "2"}, {"path": "a", "count": 2}),
        ({"path": "a", "share": 1}, {"path": "a", "share": 1.0}),
        ({"path": "a", "count": None}, {"path": "a"}),
        ({"path": "a", "tags": ["x"]}, {"path": "a", "tags": ["x"]}),
    ],
)
def test_arguments_are_read_alike_whether_they_are_plain_or_not(
    given: dict[str, Any], read: dict[str, Any]
) -> None:
    made = PLAIN.check(given)
    assert made == read
    assert {name: type(value) for name, value in made.items()} == {
        name: type(value) for name, value in read.items()
    }
    assert made is not given


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "path: is missing"),
        ({"count": 1}, "path: is missing"),
        ({"path": "a", "count": True}, "count: expected int, got bool"),
        ({"path": "a", "size": 1}, "size: there is no such parameter"),
    ],
)
def test_plain_arguments_that_do_not_fit_are_refused(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ArgumentsError, match=fault):
        PLAIN.check(given)
