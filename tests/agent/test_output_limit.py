"""Replies that reach their output limit inside a tool call: the call does not run, and the model reads why."""

import pytest
from tests.agent.checked_runs import add, events_of, last_request, results

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Limits,
    Text,
    ToolCall,
    ToolResult,
    ToolResultMessage,
    Usage,
    tool,
)
from tether.messages import AssistantBlock
from tether.testing import ScriptedModel

CUT = ToolCall("c", "add", {}, malformed='{"a": 1, "b')


def at_limit(*blocks: AssistantBlock, tokens: int = 0) -> AssistantMessage:
    return AssistantMessage(blocks, stop_reason="length", usage=Usage(output_tokens=tokens))


async def test_the_call_is_answered_with_what_happened() -> None:
    model = ScriptedModel(at_limit(CUT, tokens=50), "I shall write less.")
    agent = Agent(model, tools=[add])
    await events_of(agent)
    [answer] = results(agent)
    assert answer.outcome == "error"
    assert "output limit of 50 tokens" in answer.text
    assert "cut after 11 characters" in answer.text
    assert "Write less at once" in answer.text
    assert last_request(model)[-1] == answer


@pytest.mark.parametrize("arguments", [{}, {"a": 1}, {"a": 1, "b": 2}])
async def test_it_is_never_run_however_whole_it_looks(arguments: dict[str, int]) -> None:
    ran: list[int] = []

    @tool
    async def take(a: int = 0, b: int = 0) -> str:
        """Take what comes."""
        ran.append(a + b)
        return "taken"

    agent = Agent(ScriptedModel(at_limit(ToolCall("c", "take", arguments)), "ok"), tools=[take])
    await events_of(agent)
    assert ran == []
    assert results(agent)[0].outcome == "error"


async def test_calls_that_were_whole_before_it_are_run() -> None:
    whole = ToolCall("w", "add", {"a": 1, "b": 2})
    agent = Agent(ScriptedModel(at_limit(whole, CUT), at_limit(whole, Text("and")), "ok"))
    agent.tools = [add]
    await events_of(agent)
    assert [(r.call_id, r.outcome) for r in results(agent)] == [
        ("w", "ok"),
        ("c", "error"),
        ("w", "ok"),
    ]


async def test_the_third_in_a_row_ends_the_run() -> None:
    model = ScriptedModel(*[at_limit(CUT)] * 3)
    agent = Agent(model, tools=[add])
    events = await events_of(agent)
    assert events[-1] == AgentEnd("length")
    model.expect_done()


async def test_a_whole_reply_between_them_begins_the_count_anew() -> None:
    whole = ToolCall("w", "add", {"a": 1, "b": 2})
    model = ScriptedModel(*[at_limit(CUT)] * 2, whole, *[at_limit(CUT)] * 2, "done")
    agent = Agent(model, tools=[add])
    assert (await agent.prompt("go")).stop_reason == "stop"


async def test_tools_that_end_the_run_do_not_leave_it_unanswered() -> None:
    @tool
    async def finish() -> ToolResult:
        """Finish."""
        return ToolResult("done", terminate=True)

    agent = Agent(ScriptedModel(at_limit(ToolCall("f", "finish"), CUT), "so"), tools=[finish, add])
    assert (await agent.prompt("go")).text == "so"


async def test_the_limits_of_a_run_come_before() -> None:
    agent = Agent(ScriptedModel(at_limit(CUT)), tools=[add], limits=Limits(turns=1))
    events = await events_of(agent)
    assert events[-1] == AgentEnd("limit", limit="turns")
    assert isinstance(agent.messages[-1], ToolResultMessage)
