"""Callables of every kind: described and called as a tool, or refused in words that say what to write."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, NotRequired, Optional, TypedDict, Unpack

import attrs
import pydantic
import pytest
from tests.naming import stable_name

from tether import Agent, ToolContext, ToolResultMessage, tool
from tether.errors import ArgumentsError, ToolDefinitionError
from tether.testing import ScriptedModel, call


class Shop:
    """A shop."""

    def __init__(self, stock: int) -> None:
        self.stock = stock

    def find(self, name: str) -> str:
        """Find something."""
        return f"{name}: {self.stock}"

    async def wait(self, name: str) -> str:
        """Wait for something."""
        return name

    @classmethod
    def opened(cls, name: str) -> str:
        """Open a shop."""
        return f"{cls.__name__} {name}"

    @staticmethod
    def price(name: str) -> str:
        """Price something."""
        return name

    def __call__(self, name: str) -> str:
        """Ask the shop."""
        return name


@attrs.frozen
class Order:
    """An order.

    Attributes:
        name: what is ordered
    """

    name: str
    count: int = 1


class Guest(pydantic.BaseModel):
    """A guest."""

    name: str = pydantic.Field(min_length=1)
    when: int | None = pydantic.Field(default=None, alias="at")


class Root(pydantic.RootModel[int]):
    pass


class Visit:
    """A visit.

    Args:
        name: who comes
    """

    def __init__(self, name: "str") -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


class Words(TypedDict):
    name: str
    loud: NotRequired[bool]


def fetch(name: str, token: str = "none", *, retries: int = 1) -> str:
    """Fetch something."""
    return f"{name} {token} {retries}"


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@functools.cache
def cached(name: str) -> str:
    """Remember something."""
    return name


@logged
async def wrapped(name: str) -> str:
    """Wrap something."""
    return name


def unpacked(**words: Unpack[Words]) -> str:
    """Unpack something."""
    return words["name"]


@pytest.mark.parametrize(
    ("function", "name", "description", "parameters"),
    [
        (Shop(3).find, "find", "Find something.", {"name"}),
        (Shop(3).wait, "wait", "Wait for something.", {"name"}),
        (Shop.opened, "opened", "Open a shop.", {"name"}),
        (Shop.price, "price", "Price something.", {"name"}),
        (inspect.getattr_static(Shop, "price"), "price", "Price something.", {"name"}),
        (Shop(3), "Shop", "Ask the shop.", {"name"}),
        (Order, "Order", "An order.", {"name", "count"}),
        (Guest, "Guest", "A guest.", {"name", "at"}),
        (Visit, "Visit", "A visit.", {"name"}),
        (
            functools.partial(fetch, token="secret"),
            "fetch",
            "Fetch something.",
            {"name", "retries"},
        ),
        (functools.partial(fetch, "a"), "fetch", "Fetch something.", {"token", "retries"}),
        (
            logged(functools.partial(fetch, token="a")),
            "wrapper",
            "Fetch something.",
            {"name", "retries"},
        ),
        (cached, "cached", "Remember something.", {"name"}),
        (wrapped, "wrapped", "Wrap something.", {"name"}),
        (unpacked, "unpacked", "Unpack something.", {"name", "loud"}),
    ],
    ids=stable_name,
)
async def test_a_callable_is_described_and_called(
    function: Any, name: str, description: str, parameters: set[str]
) -> None:
    made = tool(function)
    assert made.name == name
    assert made.description.startswith(description)
    assert set(made.parameters["properties"]) == parameters
    with pytest.raises(ArgumentsError):
        made.bind({"unknown": 1})
    arguments = {"name": "Ada"} if "name" in parameters else {}
    agent = Agent(ScriptedModel(call(name, **arguments), "Done."), tools=[made])
    await agent.prompt("go")
    [result] = [one for one in agent.messages if isinstance(one, ToolResultMessage)]
    assert "Ada" in result.text or result.text == "a none 1" or name == "Visit"


def test_what_a_partial_has_given_is_not_shown_to_a_model() -> None:
    made = tool(functools.partial(fetch, token="secret"))
    assert "secret" not in str(made.parameters)
    with pytest.raises(ArgumentsError, match="token: there is no such parameter"):
        made.bind({"name": "a", "token": "b"})


def test_the_parameters_of_a_class_are_described_and_checked() -> None:
    assert tool(Order).parameters["properties"]["name"]["description"] == "what is ordered"
    assert tool(Visit).parameters["properties"]["name"]["description"] == "who comes"
    assert tool(Guest).bind({"name": "a", "at": 3}) == {"name": "a", "at": 3}
    with pytest.raises(ArgumentsError, match="name: String should have at least 1 character"):
        tool(Guest).bind({"name": ""})


def optional(name: str, context: Optional[ToolContext[int]] = None) -> None: ...  # noqa: UP045


def either(name: str, context: "ToolContext[int] | None" = None) -> None: ...


def noted(name: str, context: Annotated[ToolContext[int], "of the call"]) -> None: ...


def bare(name: str, *, context: ToolContext[Any]) -> None: ...


@pytest.mark.parametrize("function", [optional, either, noted, bare])
def test_the_context_is_found_whatever_stands_around_its_type(function: Any) -> None:
    made = tool(function)
    assert made.context_parameter == "context"
    assert list(made.parameters["properties"]) == ["name"]


def starred(*names: str) -> None: ...


def keywords(**names: int) -> None: ...


def hidden(*args, **kwargs) -> None: ...  # type: ignore[no-untyped-def]  # as decorators do it


def positional(name: str, /) -> None: ...


def twice(first: ToolContext[Any], second: ToolContext[Any] | None = None) -> None: ...


def listed(contexts: list[ToolContext[Any]]) -> None: ...


@functools.cache
async def kept(name: str) -> str:
    return name


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (Shop.find, "find: parameter 'self' has no type, since this is a method that is not bound"),
        (Shop.find, "make the tool of the bound one: `tool(obj.find)`"),
        (inspect.getattr_static(Shop, "opened"), "make the tool behind the class: `tool(TheClass"),
        (len, "len: it is built in and has no type hints; write a typed function that calls it"),
        (print, "print: it is built in"),
        (int, "int: it is built in"),
        ("a".upper, "upper: it is built in"),
        (starred, "starred: parameter *names: str cannot be given by name"),
        (starred, "take a list, `names: list[str]`"),
        (keywords, "take an object, `names: dict[str, int]`, or Unpack a TypedDict"),
        (hidden, "put `@functools.wraps(function)` on it"),
        (positional, "positional: parameter name: str cannot be given by name"),
        (positional, "leave out the `/`"),
        (twice, "twice: first and second both take the context; leave out one"),
        (listed, "listed: parameter 'contexts' cannot be described to a model: JSON cannot hold"),
        (kept, "kept: a cache of an async function keeps its coroutines"),
        (tool(fetch), "fetch: it is a tool already"),
        (Root, "Root: its instances are not objects in JSON"),
        (3, "3 is not a function"),
    ],
    ids=stable_name,
)
def test_what_cannot_be_a_tool_is_refused_with_what_to_write(function: Any, words: str) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        tool(function)
    assert words in str(caught.value)


def test_a_method_is_refused_where_its_class_is_written() -> None:
    with pytest.raises(ToolDefinitionError, match="a method that is not bound yet"):

        class Library:
            @tool
            def find(self, name: str) -> str:
                return name


def test_a_signature_that_a_decorator_has_made_is_read() -> None:
    def passed_on(**kwargs: Any) -> str:
        """Pass on."""
        return str(kwargs)

    kind = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature([inspect.Parameter("count", kind, annotation=int)])
    setattr(passed_on, "__signature__", signature)  # noqa: B010 - no attribute that functions have
    assert tool(passed_on).bind({"count": "3"}) == {"count": 3}


def test_what_is_built_in_may_be_a_tool_with_a_schema_of_its_own() -> None:
    schema = {"type": "object", "properties": {"number": {"type": "number"}}}
    assert tool(parameters=schema)(round).bind({"number": 1.5}) == {"number": 1.5}
