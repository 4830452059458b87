"""Types that have a name, hold themselves, or have variables: described once, and read at any depth."""

import dataclasses
import enum
import sys
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Annotated, Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar, Union

import annotated_types
import attrs
import jsonschema
import msgspec
import pydantic
import pytest

from tether import ModelOptions, UserMessage, tool
from tether._schema.specs import TypeSpec
from tether.errors import ArgumentsError
from tether.model import ModelRequest
from tether.models.anthropic.request import encode as encode_anthropic
from tether.models.google.request import encode as encode_google
from tether.models.openai_chat.request import encode as encode_chat
from tether.models.openai_responses.request import encode as encode_responses

T = TypeVar("T")


@attrs.frozen
class Tree:
    name: str
    children: list["Tree"] = attrs.field(factory=list)


@dataclasses.dataclass
class Part:
    name: str
    parts: "dict[str, Part]" = dataclasses.field(default_factory=dict)
    next: "Part | None" = None


class Folder(TypedDict):
    name: str
    folders: NotRequired["list[Folder]"]


class Model(pydantic.BaseModel):
    name: str
    inner: "Model | None" = None


class Link(msgspec.Struct):
    to: str
    next: "Link | None" = None


class Pair(NamedTuple):
    left: int
    right: "Pair | None" = None


Nested = Union[int, "list[Nested]"]


@pytest.mark.parametrize(
    ("hint", "given", "made", "wrong"),
    [
        (
            Tree,
            {"name": "a", "children": [{"name": "b"}]},
            Tree("a", [Tree("b")]),
            {"name": "a", "children": [{"name": []}]},
        ),
        (
            Part,
            {"name": "a", "parts": {"x": {"name": "b"}}, "next": {"name": "c"}},
            Part("a", {"x": Part("b")}, Part("c")),
            {"name": "a", "parts": {"x": {"name": []}}},
        ),
        (
            Folder,
            {"name": "a", "folders": [{"name": "b"}]},
            {"name": "a", "folders": [{"name": "b"}]},
            {"name": "a", "folders": [{"name": []}]},
        ),
        (
            Model,
            {"name": "a", "inner": {"name": "b"}},
            Model(name="a", inner=Model(name="b")),
            {"name": "a", "inner": {"name": []}},
        ),
        (
            Link,
            {"to": "a", "next": {"to": "b"}},
            Link("a", Link("b")),
            {"to": "a", "next": {"to": []}},
        ),
        (Pair, [1, [2, None]], Pair(1, Pair(2)), [1, ["x"]]),
        (
            list[Tree | Part],
            [{"name": "a", "next": {"name": "b"}}],
            [Part("a", {}, Part("b"))],
            [{"name": "a", "next": {"name": []}}],
        ),
    ],
)
def test_a_type_may_hold_itself_at_any_depth(hint: Any, given: Any, made: Any, wrong: Any) -> None:
    spec = TypeSpec(hint)
    assert spec.check(given) == made
    jsonschema.Draft202012Validator.check_schema(dict(spec.schema))
    jsonschema.validate(given, dict(spec.schema))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, dict(spec.schema))
    with pytest.raises(ArgumentsError):
        spec.check(wrong)


def nest(value: Nested) -> None: ...


def test_an_alias_may_hold_itself_by_a_name_in_a_string() -> None:
    nested = tool(nest)
    assert nested.bind({"value": [1, [2, ["3"]]]}) == {"value": [1, [2, [3]]]}
    with pytest.raises(ArgumentsError, match=r"value\[0\]\[0\]: expected int \| array, got str"):
        nested.bind({"value": [["x"]]})


NEW = """
import dataclasses
type Json = None | bool | int | float | str | list[Json] | dict[str, Json]
type Both[T] = tuple[T, T]
type Ids = list[int]
type Never = Never
@dataclasses.dataclass
class Box[T]:
    item: T
    more: "list[Box[T]]" = dataclasses.field(default_factory=list)
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type X = ...` is Python 3.12's")
def test_what_python_3_12_writes_as_type_is_read() -> None:
    names: dict[str, Any] = {}
    exec(NEW, names)
    value = [1, {"a": [None, 2.5]}]
    spec = TypeSpec(names["Json"])
    assert spec.check(value) == value
    assert spec.schema["$ref"] == "#/$defs/Json"
    jsonschema.validate(value, dict(spec.schema))
    assert TypeSpec(names["Both"][int]).check([1, "2"]) == (1, 2)
    assert TypeSpec(names["Ids"]).schema == {"type": "array", "items": {"type": "integer"}}
    box = TypeSpec(names["Box"][int])
    assert box.check({"item": "1", "more": [{"item": 2}]}).more[0].item == 2
    with pytest.raises(ArgumentsError, match=r"\$\.more\[0\]\.item: expected int, got str"):
        box.check({"item": 1, "more": [{"item": "x"}]})
    with pytest.raises(TypeError, match="Never is itself"):
        TypeSpec(names["Never"])


@attrs.frozen
class Holder(Generic[T]):
    item: T


@attrs.frozen
class IntHolder(Holder[int]):
    pass


class Page(TypedDict, Generic[T]):
    items: list[T]


def test_the_variables_of_a_generic_class_are_filled_in() -> None:
    assert TypeSpec(Holder[int]).check({"item": "3"}) == Holder(3)
    assert TypeSpec(IntHolder).check({"item": "3"}) == IntHolder(3)
    assert TypeSpec(Page[int]).check({"items": ["3"]}) == {"items": [3]}
    assert TypeSpec(list[Holder[Holder[str]]]).check([{"item": {"item": "x"}}]) == [
        Holder(Holder("x"))
    ]
    assert TypeSpec(Holder).check({"item": [None]}) == Holder([None])


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Ratio(enum.Enum):
    HALF = 0.5
    WHOLE = 1


class Point(enum.Enum):
    ORIGIN = (0, 0)
    UNIT = (1, 1)


class Renamed(msgspec.Struct, rename="camel"):
    first_name: str
    last_name: str = "x"


class Array(msgspec.Struct, array_like=True):
    x: int
    y: int = 0


@dataclasses.dataclass
class Derived:
    width: int
    scale: dataclasses.InitVar[int] = 2
    area: int = dataclasses.field(init=False, default=0)

    def __post_init__(self, scale: int) -> None:
        self.area = self.width * scale


@pytest.mark.parametrize(
    ("hint", "given", "made"),
    [
        (Level, 2, Level.HIGH),
        (Level, "1", Level.LOW),
        (Ratio, 0.5, Ratio.HALF),
        (Point, "UNIT", Point.UNIT),
        (Renamed, {"firstName": "a"}, Renamed("a")),
        (Array, [1], Array(1)),
        (Array, ["1", 2], Array(1, 2)),
        (Derived, {"width": 3, "scale": 4}, Derived(3, 4)),
        (Derived, {"width": 3, "area": 1}, Derived(3)),
        (tuple[()], [], ()),
        (tuple, [1, "a"], (1, "a")),
        (Iterable[int], ["1"], [1]),
        (deque[int], [1], deque([1])),
        (OrderedDict[str, int], {"a": 1}, OrderedDict(a=1)),
        (dict[Level, int], {"1": 1}, {Level.LOW: 1}),
        (Annotated[Annotated[int, "inner"], annotated_types.Ge(1)], 1, 1),
    ],
)
def test_what_fits_is_made(hint: Any, given: Any, made: Any) -> None:
    result = TypeSpec(hint).check(given)
    assert result == made
    assert type(result) is type(made)


def test_classes_of_one_name_are_kept_apart() -> None:
    def make(kind: Any) -> Any:
        return attrs.make_class("Same", {"x": attrs.field(type=kind)})

    pair: Any = tuple
    spec = TypeSpec(pair[make(int), make(str)])
    first, second = spec.check([{"x": 1}, {"x": "a"}])
    assert (first.x, second.x) == (1, "a")
    assert list(spec.schema["$defs"]) == ["Same", "Same-2"]


def test_every_api_is_sent_the_definitions_of_a_type_that_holds_itself() -> None:
    @tool
    def grow(tree: Tree, at: Model) -> None:
        """Grow."""

    request = ModelRequest(
        messages=(UserMessage("hi"),), tools=(grow.spec,), options=ModelOptions(max_output_tokens=9)
    )
    bodies = [
        encode_anthropic(request, "claude-x")["tools"][0]["input_schema"],
        encode_chat(request, "gpt-x")["tools"][0]["function"]["parameters"],
        encode_responses(request, "gpt-x")["tools"][0]["parameters"],
        encode_google(request, "gemini-x")["tools"][0]["functionDeclarations"][0][
            "parametersJsonSchema"
        ],
    ]
    value = {"tree": {"name": "a", "children": [{"name": "b"}]}, "at": {"name": "c"}}
    for schema in bodies:
        assert schema == grow.parameters
        jsonschema.validate(value, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**value, "tree": {"name": "a", "children": [{}]}}, schema)
