"""What a program gives is checked where it is given: what cannot be is refused at once, by an error that says why."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from tether import (
    Agent,
    Limits,
    ModelOptions,
    RetryPolicy,
    UsageError,
    UserMessage,
    tool,
)
from tether.errors import ToolDefinitionError
from tether.testing import ScriptedModel


def agent(**given: Any) -> Agent:
    return Agent(ScriptedModel("ok"), **given)


def noop() -> None:
    """Do nothing."""


NUMBERS = ["10", -1, True, math.nan, []]

WRONG: dict[Callable[..., Any], dict[str, list[Any]]] = {
    Limits: {
        "turns": [*NUMBERS, 1.5],
        "tool_calls": NUMBERS,
        "input_tokens": NUMBERS,
        "output_tokens": NUMBERS,
        "cost": NUMBERS,
        "seconds": NUMBERS,
    },
    ModelOptions: {
        "temperature": ["hot", -1, math.nan, math.inf, True],
        "max_output_tokens": [0, -5, 1.5, "many"],
        "stop_sequences": ["stop", [1], [""], 3, None],
        "thinking": ["very", True, 3],
        "tool_choice": ["always", ("tool",), ("tool", 3), 1],
        "cache": ["yes", None, 1],
        "extra": [[], "a", {1: 2}],
    },
    RetryPolicy: {
        "attempts": [0, -1, "2", math.inf],
        "kinds": ["timeout", ["slow"], [1], 3],
        "wait_initial": [-1, "1", math.inf],
        "wait_max": [-1, "1", math.nan],
    },
    agent: {
        "system": [3, ["You"]],
        "name": [None, 3],
        "options": [{"temperature": 1}, "hot"],
        "limits": [{"turns": 1}, 3],
        "messages": [[{"role": "user"}], "hi", {"role": "user"}, 3, ["hi"], [None]],
        "session": [3, "", {"path": "x"}, open],
        "sequential": ["yes", None],
        "tool_timeout": ["10", -1, None, math.nan],
        "steering": ["some", None, 1],
        "follow_up": ["some"],
        "price": [0.5, "cheap"],
        "approve": [True],
        "clock": [3],
        "new_id": ["id"],
        "tools": ["add", noop, 3],
    },
    agent().copy: {"model": [3, ScriptedModel]},
    partial(agent().as_tool, "name", "what"): {"limits": [{}, "all"], "max_depth": [-1, "2"]},
}


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (make, name, value)
        for make, fields in WRONG.items()
        for name, values in fields.items()
        for value in values
    ],
)
def test_what_cannot_be_is_refused_where_it_is_given(
    make: Callable[..., Any], name: str, value: Any
) -> None:
    with pytest.raises(UsageError, match=rf"{name}.* must be ") as caught:
        make(**{name: value})
    assert "not " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limits", {"turns": 1}),
        ("options", None),
        ("tool_timeout", "x"),
        ("model", 3),
        ("tools", 3),
    ],
)
def test_what_is_assigned_later_is_checked_too(name: str, value: Any) -> None:
    one = agent()
    before = getattr(one, name)
    with pytest.raises(UsageError, match=f"{name} of Agent must be"):
        setattr(one, name, value)
    assert getattr(one, name) == before
    with pytest.raises(UsageError):
        one.copy(**{name: value} if value is not None else {name: 3})


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": 3},
        {"prompt": {"role": "user"}},
        {"prompt": [3]},
        {"limits": {"turns": 1}},
        {"output": int, "output_attempts": 0},
        {"output": int, "output_attempts": "3"},
        {"when_busy": "later"},
    ],
)
async def test_a_run_that_cannot_be_is_refused_and_leaves_the_agent_idle(given: Any) -> None:
    one = agent()
    with pytest.raises(UsageError):
        await one.prompt(**{"prompt": "go", **given})
    with pytest.raises(UsageError):
        async with one.run(**{"prompt": "go", **given}):
            pass
    assert (await one.prompt("go")).text == "ok"


@pytest.mark.parametrize("say", ["steer", "follow_up"])
def test_what_cannot_be_said_is_refused(say: str) -> None:
    one = agent()
    with pytest.raises(UsageError, match="3 is not a prompt: expected a string, a Path, Text"):
        getattr(one, say)(3)
    assert one.clear_queues() == ()


def test_a_conversation_that_cannot_be_leaves_the_one_there_is() -> None:
    one = agent(messages=[UserMessage("hi")])
    wrong: Any = [{"role": "user"}]
    with pytest.raises(UsageError, match=r"messages\[0\] must be a message"):
        one.reset(wrong)
    assert len(one.messages) == 1


@pytest.mark.parametrize("timeout", ["10", 0, -1, math.nan])
def test_timeouts_of_tools_are_checked(timeout: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="timeout must be more than 0 seconds"):
        tool(timeout=timeout)(noop)


@pytest.mark.parametrize("most", ["2", 0, 1.5])
def test_how_many_calls_of_a_tool_may_run_is_checked(most: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="max_concurrency must be at least 1"):
        tool(max_concurrency=most)(noop)


def test_what_can_be_is_taken() -> None:
    Limits(turns=0, cost=0.5, seconds=math.inf)
    stops: Any = ["a"]
    options = ModelOptions(
        temperature=0, stop_sequences=stops, thinking="off", tool_choice=("tool", "a")
    )
    assert options.stop_sequences == ("a",)
    assert evolve(options, tool_choice="none").tool_choice == "none"
    RetryPolicy(attempts=1, kinds=frozenset({"timeout"}), wait_max=math.inf)
    agent(tools=iter([noop]), tool_timeout=math.inf, messages=iter([UserMessage("hi")]))
