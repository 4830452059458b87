"""The line below the line."""

import io
from typing import Any

import pytest

from tether import Agent, AssistantMessage, Usage, UserMessage
from tether.cli.conversation import Conversation
from tether.cli.display import Screen
from tether.cli.extensions import App
from tether.cli.status import Status
from tether.testing import ScriptedModel


def status(name: str, *replies: AssistantMessage, width: int = 1_000) -> str:
    messages: list[Any] = []
    for reply in replies:
        messages += [UserMessage("?"), reply]
    agent = Agent(ScriptedModel(name=name), messages=messages)
    conversation = Conversation(App(agent), Screen(io.StringIO()), print)
    line = Status(conversation)
    assert line.line(width) == line.line(width)
    return line.line(width)


def reply(input_tokens: int, output_tokens: int, api: str = "") -> AssistantMessage:
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    return AssistantMessage("ok", model="claude-sonnet-4-5", api=api, usage=usage)


def test_a_model_of_which_nothing_is_known() -> None:
    assert status("mine") == " ask | mine "
    assert status("mine", AssistantMessage("ok")) == " ask | mine "
    assert status("mine", reply(1000, 10), reply(2000, 20)) == (
        " ask | mine | context 2,020 | 3,000 in, 30 out "
    )


def test_what_the_offline_model_counts_is_left_out() -> None:
    counted = AssistantMessage("ok", model="offline", usage=Usage(input_tokens=9))
    assert status("offline", counted) == " ask | offline "


def test_context_and_cost_of_one_that_is_known() -> None:
    pytest.importorskip("genai_prices", reason="genai-prices is not installed")
    name = "anthropic:claude-sonnet-4-5"
    line = status(name, reply(100_000, 1000, "anthropic-messages"))
    assert line.startswith(f" ask | {name} | context 101,000 of ")
    assert "%) | $0.3150 | 100,000 in, 1,000 out" in line


def test_what_matters_least_goes_first_as_it_narrows() -> None:
    pytest.importorskip("genai_prices", reason="genai-prices is not installed")
    name = "anthropic:claude-sonnet-4-5"
    shown = [
        status(name, reply(100_000, 1000, "anthropic-messages"), width=width)
        for width in (106, 81, 66, 56, 46, 36, 12)
    ]
    assert shown == [
        f" ask | {name} | context 101,000 of 200,000 (50%) | $0.3150 | 100,000 in, 1,000 out ",
        f" ask | {name} | context 101,000 of 200,000 (50%) | $0.3150 ",
        f" ask | {name} | context 50% | $0.3150 ",
        " ask | claude-sonnet-4-5 | context 50% | $0.32 ",
        " ask | claude-sonnet-4-5 | 50% | $0.32 ",
        " ask | claude-sonnet-4-5 | 50% ",
        " ask | cl...",
    ]
