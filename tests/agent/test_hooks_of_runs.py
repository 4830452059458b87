"""Hooks and advice: what they may change of a run."""

from typing import Any

import pytest
from tests.agent.checked_runs import add, events_of, fail, results

from tether import Agent, Deny, Invocation, ModelRequest, ToolResult, UserMessage
from tether.testing import ScriptedModel, call, check_transcript


class TestHooks:
    async def test_before_a_tool_may_deny_it(self) -> None:
        def no(invocation: Invocation) -> Deny:
            return Deny(f"{invocation.tool.name} is not wanted")

        agent = Agent(ScriptedModel(call("add", a=1, b=2), "ok"), tools=[add], before_tool=no)
        await events_of(agent)
        assert [(r.outcome, r.text) for r in results(agent)] == [
            ("denied", "This call was denied: add is not wanted")
        ]

    async def test_before_a_tool_may_change_its_arguments(self) -> None:
        async def tens(invocation: Invocation) -> Invocation:
            return invocation.with_arguments({"a": 10, "b": 20})

        agent = Agent(ScriptedModel(call("add", a=1, b=2), "ok"), tools=[add], before_tool=tens)
        await events_of(agent)
        assert results(agent)[0].text == "30"

    async def test_after_a_tool_may_replace_what_it_gave(self) -> None:
        def censor(invocation: Invocation, result: ToolResult) -> ToolResult:
            assert result.outcome == "error"
            return ToolResult("all is well", details={"tool": invocation.tool.name})

        agent = Agent(ScriptedModel(call("fail"), "ok"), tools=[fail], after_tool=censor)
        await events_of(agent)
        [result] = results(agent)
        assert (result.text, result.details, result.is_error) == (
            "all is well",
            {"tool": "fail"},
            False,
        )

    async def test_after_a_turn_may_stop_the_run(self) -> None:
        agent = Agent(
            ScriptedModel(call("add", a=1, b=2)),
            tools=[add],
            should_stop=lambda turn: bool(turn.results),
        )
        assert (await agent.prompt("go")).stop_reason == "terminated"

    @pytest.mark.parametrize(
        "point",
        [
            "transform_context",
            "before_model",
            "after_model",
            "before_tool",
            "after_tool",
            "should_stop",
        ],
    )
    async def test_that_raise_end_the_run_with_that_exception(self, point: Any) -> None:
        def broken(*_: object) -> None:
            raise LookupError("broken hook")

        agent = Agent(ScriptedModel(call("add", a=1, b=2), "ok"), tools=[add])
        agent.hooks.add(point, broken)
        with pytest.raises(LookupError, match="broken hook"):
            await events_of(agent, complete=False)
        check_transcript(agent.messages)
        assert not agent.state.running

    async def test_may_be_added_and_removed_by_name_while_a_run_is_going(self) -> None:
        agent = Agent(
            ScriptedModel(call("add", a=1, b=2), call("add", a=1, b=2), "ok"), tools=[add]
        )

        @agent.hook("before_tool", name="once")
        def deny(_: Invocation) -> Deny:
            agent.hooks.remove("before_tool", "once")
            return Deny("not yet")

        await events_of(agent)
        assert [result.outcome for result in results(agent)] == ["denied", "ok"]

    async def test_around_a_tool_may_run_it_twice(self) -> None:
        agent = Agent(ScriptedModel(call("add", a=1, b=2), "ok"), tools=[add])

        @agent.around_tool
        async def twice(invocation: Invocation, proceed: Any) -> ToolResult:
            first = await proceed(invocation)
            again = await proceed(invocation.with_arguments({"a": 5, "b": 5}))
            return ToolResult(f"{first.content[0].text} and {again.content[0].text}")

        await events_of(agent)
        assert results(agent)[0].text == "3 and 10"

    async def test_around_the_model_may_change_the_request_and_see_the_stream(self) -> None:
        model = ScriptedModel("hi")
        agent = Agent(model)

        @agent.around_model
        def shout(request: ModelRequest, proceed: Any) -> Any:
            return proceed(ModelRequest(messages=[UserMessage("LOUD")]))

        await events_of(agent)
        assert [message.text for message in model.requests[0].messages] == ["LOUD"]
