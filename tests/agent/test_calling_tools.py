"""The tools of an agent: how their calls run, and what the model is answered."""

from typing import Any

import anyio
import pytest
from tests.agent.checked_runs import add, events_of, fail, results

from tether import Agent, AgentEnd, ToolContext, ToolExecutionEnd, ToolResult, UsageError, tool
from tether.testing import ScriptedModel, call


class TestTools:
    async def test_run_at_once_with_results_in_the_order_of_the_calls(self) -> None:
        done = anyio.Event()

        @tool
        async def first() -> str:
            """Wait for the second."""
            await done.wait()
            return "1"

        @tool
        async def second() -> str:
            """Let the first go on."""
            done.set()
            return "2"

        agent = Agent(ScriptedModel([call("first"), call("second")], "ok"), tools=[first, second])
        events = await events_of(agent)
        ends = [event.name for event in events if isinstance(event, ToolExecutionEnd)]
        assert ends == ["second", "first"]
        assert [result.text for result in results(agent)] == ["1", "2"]

    @pytest.mark.parametrize("by", ["agent", "tool"])
    async def test_run_one_after_the_other_where_they_must(self, by: str) -> None:
        log: list[str] = []

        @tool(sequential=by == "tool")
        async def careful(name: str) -> str:
            """Take a while."""
            log.append(f"{name} begins")
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            log.append(f"{name} ends")
            return name

        model = ScriptedModel([call("careful", name="a"), call("careful", name="b")], "ok")
        await events_of(Agent(model, tools=[careful], sequential=by == "agent"))
        assert log == ["a begins", "a ends", "b begins", "b ends"]

    async def test_run_no_more_at_once_than_they_say(self) -> None:
        running = most = 0

        @tool(max_concurrency=2)
        async def narrow() -> str:
            """Count who is here."""
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            running -= 1
            return "done"

        agent = Agent(ScriptedModel([call("narrow")] * 5, "ok"), tools=[narrow])
        await events_of(agent)
        assert most == 2
        assert len(results(agent)) == 5

    @pytest.mark.parametrize(
        ("made", "text"),
        [
            (
                call("ad", a=1, b=2),
                "There is no tool 'ad'. Did you mean add? There are: add, fail.",
            ),
            (call("fail"), "ValueError: no luck"),
        ],
    )
    async def test_that_cannot_run_or_raise_answer_with_an_error(
        self, made: Any, text: str
    ) -> None:
        agent = Agent(ScriptedModel(made, "sorry"), tools=[add, fail])
        await events_of(agent)
        assert [(r.outcome, r.text) for r in results(agent)] == [("error", text)]

    async def test_name_every_argument_that_does_not_fit_and_the_model_can_repair(self) -> None:
        agent = Agent(ScriptedModel(call("add", a="x"), call("add", a="1", b=2), "3"), tools=[add])
        await events_of(agent)
        wrong, right = results(agent)
        assert wrong.outcome == "error"
        assert "a" in wrong.text
        assert "b" in wrong.text
        assert (right.outcome, right.text) == ("ok", "3")

    async def test_may_be_plain_functions(self) -> None:
        def double(x: int) -> int:
            """Double a number."""
            return 2 * x

        agent = Agent(ScriptedModel(call("double", x=21), "ok"), tools=[double])
        await events_of(agent)
        assert [result.text for result in results(agent)] == ["42"]

    async def test_find_deps_and_the_transcript_in_their_context(self) -> None:
        @tool
        async def look(context: ToolContext[dict[str, int]]) -> str:
            """Look around."""
            return f"{context.deps['x']} {len(context.messages)} {context.name}"

        agent = Agent(ScriptedModel(call("look"), "ok"), tools=[look], deps={"x": 7})
        await events_of(agent)
        assert results(agent)[0].text == "7 3 look"

    async def test_time_out_and_the_run_goes_on(self) -> None:
        @tool(timeout=0.01)
        async def hang() -> str:
            """Hang."""
            await anyio.sleep_forever()
            return "never"

        agent = Agent(ScriptedModel(call("hang"), "moving on"), tools=[hang])
        await events_of(agent)
        assert [(r.outcome, r.text) for r in results(agent)] == [
            ("timeout", "hang took longer than 0.01 s and was stopped.")
        ]

    async def test_may_end_the_run_together(self) -> None:
        @tool
        async def finish() -> ToolResult:
            """Finish."""
            return ToolResult("done", terminate=True)

        agent = Agent(ScriptedModel([call("finish"), call("finish")]), tools=[finish])
        events = await events_of(agent)
        assert events[-1] == AgentEnd("terminated")

    async def test_that_raise_a_cancellation_of_their_own_answer_with_an_error(self) -> None:
        @tool
        async def strange() -> str:
            """Raise what only a cancelled task should."""
            with anyio.CancelScope() as scope:
                scope.cancel()
                try:
                    await anyio.lowlevel.checkpoint()
                except anyio.get_cancelled_exc_class() as error:
                    kept = error
            raise kept

        agent = Agent(
            ScriptedModel([call("strange"), call("add", a=1, b=1)], "ok"), tools=[strange, add]
        )
        await events_of(agent)
        assert [result.outcome for result in results(agent)] == ["error", "ok"]


class TestToolsOfAnAgent:
    async def test_a_function_becomes_a_tool_by_decorating_it(self) -> None:
        agent = Agent(ScriptedModel([call("look"), call("see", where="here")], "ok"))

        @agent.tool
        def look() -> str:
            """Look."""
            return "seen"

        @agent.tool(name="see", timeout=5)
        def look_there(where: str) -> str:
            """See."""
            return f"seen {where}"

        assert agent.tools == (look, look_there)
        assert look_there.timeout == 5
        await agent.prompt("go")
        assert [result.text for result in results(agent)] == ["seen", "seen here"]

    def test_one_of_a_name_that_is_taken_is_refused_and_changes_nothing(self) -> None:
        agent = Agent(ScriptedModel(), tools=[tool(name="look", description="")(lambda: "")])
        with pytest.raises(UsageError, match="two tools are called 'look'"):
            agent.tool(name="look", description="")(lambda: "")
        assert len(agent.tools) == 1
