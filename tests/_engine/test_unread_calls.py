"""A reply that is refused since the server could not read a call in it: the model is told, and goes on."""

import pytest
from tests.agent.checked_runs import add, events_of, results

from tether import Agent, AssistantMessage, ModelError, ToolCall
from tether.testing import ScriptedModel, call


def refused(written: str) -> ModelError:
    return ModelError(
        "Failed to call a function.", kind="invalid_request", status=400, failed_generation=written
    )


WRITTEN = '<function=add>{"a": 1, "b": 2</function>'


async def test_the_model_reads_what_it_wrote() -> None:
    agent = Agent(ScriptedModel(refused(WRITTEN), call("add", a=1, b=2), "3"), tools=[add])
    await events_of(agent)
    assert [(r.name, r.outcome) for r in results(agent)] == [("add", "error"), ("add", "ok")]
    assert WRITTEN in results(agent)[0].text
    reply = agent.messages[1]
    assert isinstance(reply, AssistantMessage)
    assert (reply.stop_reason, reply.error, reply.usage.estimated) == ("tool_calls", None, True)
    assert isinstance(reply.tool_calls[0], ToolCall)
    assert reply.tool_calls[0].malformed == WRITTEN


async def test_a_name_that_cannot_be_told_is_refused_with_the_tools_there_are() -> None:
    agent = Agent(ScriptedModel(refused("<tool>{"), "I see."), tools=[add])
    await events_of(agent)
    assert "There are: add." in results(agent)[0].text
    assert "<tool>{" in results(agent)[0].text


async def test_the_third_in_a_row_ends_the_run_with_the_error() -> None:
    model = ScriptedModel(*[refused(WRITTEN)] * 3)
    agent = Agent(model, tools=[add])
    with pytest.raises(ModelError, match="Failed to call a function"):
        await agent.prompt("go")
    model.expect_done()
    agent.model = ScriptedModel("Fine.")
    assert (await agent.prompt()).text == "Fine."


async def test_others_are_errors_as_ever() -> None:
    agent = Agent(ScriptedModel(ModelError("no", kind="invalid_request")), tools=[add])
    with pytest.raises(ModelError, match="no"):
        await agent.prompt("go")
