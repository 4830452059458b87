"""Agents that are tools of other agents."""

from pathlib import Path

import anyio
import pytest
from tests.agent.checked_runs import GUARD, events_of, results

from tether import (
    Agent,
    AssistantMessage,
    Limits,
    MessageUpdate,
    ModelError,
    Session,
    ToolExecutionUpdate,
    Usage,
    tool,
)
from tether.testing import Pause, ScriptedModel, call, check_events


class TestAsATool:
    async def test_a_child_runs_in_the_call_and_its_events_come_through_it(self) -> None:
        child = Agent(ScriptedModel("from the child"), name="helper")
        model = ScriptedModel(call("ask", id="c", request="what?"), "thanks")
        agent = Agent(model, tools=[child.as_tool("ask", "Ask the helper.")])
        events = await events_of(agent)
        nested = [e for e in events if isinstance(e, ToolExecutionUpdate)]
        assert {(e.call_id, e.path) for e in nested} == {("c", ("helper",))}
        check_events([e.event for e in nested if e.event is not None])
        [result] = results(agent)
        assert result.text == "from the child"
        assert [m["role"] for m in result.details["messages"]] == ["user", "assistant"]

    async def test_children_run_side_by_side(self) -> None:
        child = Agent(ScriptedModel("one", "two", "three"))
        calls = [call("ask", request=str(n)) for n in range(3)]
        agent = Agent(ScriptedModel(calls, "ok"), tools=[child.as_tool("ask", "Ask.")])
        await events_of(agent)
        assert sorted(result.text for result in results(agent)) == ["one", "three", "two"]

    async def test_what_a_child_spends_counts(self) -> None:
        spent = Usage(input_tokens=5, output_tokens=2)
        child = Agent(ScriptedModel(AssistantMessage("x", usage=spent)))
        agent = Agent(
            ScriptedModel(call("ask", request="?"), "ok"), tools=[child.as_tool("ask", "Ask.")]
        )
        assert (await agent.prompt("go")).usage == spent

    @pytest.mark.parametrize("priced", ["child", "caller"])
    async def test_what_a_child_costs_counts_and_reaches_the_limit(self, priced: str) -> None:
        def price(_: AssistantMessage) -> float:
            return 5.0

        child = Agent(ScriptedModel(*["x"] * 9), price=price if priced == "child" else None)
        agent = Agent(
            ScriptedModel(*[call("ask", request="?")] * 9),
            tools=[child.as_tool("ask", "Ask.")],
            limits=Limits(cost=6),
            price=(lambda reply: 0.1 if reply.tool_calls else 5.0),
        )
        async with agent.run("go") as run:
            result = await run.result()
            assert run.cost == result.cost
        assert (result.stop_reason, result.limit) == ("limit", "cost")
        assert result.cost == pytest.approx(10.2)
        assert len(results(agent)) == 2

    async def test_a_child_that_is_cancelled_has_spent_what_it_has_spent(self) -> None:
        child = Agent(ScriptedModel(call("wait"), "never"), price=lambda _: 5.0)
        waiting = anyio.Event()

        @child.tool
        async def wait() -> None:
            """Wait."""
            waiting.set()
            await anyio.sleep_forever()

        agent = Agent(
            ScriptedModel(call("ask", request="?"), "ok"), tools=[child.as_tool("ask", "Ask.")]
        )
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                await waiting.wait()
                run.interrupt()
                assert (await run.result()).cost == 5.0

    async def test_a_child_that_fails_is_a_result_that_says_so(self) -> None:
        child = Agent(ScriptedModel(ModelError("child is busy", kind="overloaded")))
        agent = Agent(
            ScriptedModel(call("ask", request="?"), "ok"), tools=[child.as_tool("ask", "Ask.")]
        )
        await events_of(agent)
        assert [(r.outcome, r.text) for r in results(agent)] == [
            ("error", "ModelError: child is busy (overloaded)")
        ]

    async def test_its_conversation_is_kept_beside_that_of_its_caller(self, tmp_path: Path) -> None:
        child = Agent(ScriptedModel("one", "two"), name="helper", system="Help.")
        calls = [call("ask", id=str(n), request=f"q{n}") for n in range(2)]
        path = tmp_path / "s.jsonl"
        with Session.open(path) as session:
            agent = Agent(
                ScriptedModel(calls, "Done."),
                tools=[child.as_tool("ask", "Ask.")],
                session=session,
            )
            await agent.prompt("go")
            spoken = agent.messages
        with Session.open(path) as session:
            assert session.messages == spoken
            begun = [entry for entry in session.entries.values() if entry.kind == "child"]
            assert {(e.data["agent"], e.data["call_id"]) for e in begun} == {
                ("helper", "0"),
                ("helper", "1"),
            }
            said = []
            for leaf in session.branches():
                session.fork(leaf.id)
                said.append([message.text for message in session.messages])
        answers = [["q0", "one"], ["q1", "two"]], [["q0", "two"], ["q1", "one"]]
        assert sorted(said[:-1]) in [sorted(pair) for pair in answers]
        assert said[-1] == [message.text for message in spoken]

    async def test_a_crash_within_a_child_does_not_make_it_the_conversation(
        self, tmp_path: Path
    ) -> None:
        child = Agent(ScriptedModel(["Let me", Pause()]), name="helper")
        path = tmp_path / "s.jsonl"
        with Session.open(path) as session, anyio.move_on_after(GUARD):
            agent = Agent(
                ScriptedModel(call("ask", request="?")),
                tools=[child.as_tool("ask", "Ask.")],
                session=session,
            )
            async with agent.run("go") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionUpdate) and isinstance(
                        event.event, MessageUpdate
                    ):
                        break
                crashed = path.read_bytes()
        path.write_bytes(crashed)
        with Session.open(path) as session:
            assert [message.role for message in session.messages] == ["user", "assistant", "tool"]

    async def test_limits_may_be_shared_with_its_caller(self) -> None:
        spent = Usage(input_tokens=40)
        script = [AssistantMessage([call("look", id=str(n))], usage=spent) for n in range(9)]

        @tool
        async def look() -> str:
            """Look."""
            return "seen"

        for limits, asked in (("shared", 3), (None, 9)):
            model = ScriptedModel(*script, "Done.")
            child = Agent(model, tools=[look], limits=Limits(turns=9))
            caller = Agent(
                ScriptedModel(call("ask", request="?"), "Done."),
                tools=[child.as_tool("ask", "Ask.", limits=limits)],  # type: ignore[arg-type]  # one of the two
                limits=Limits(input_tokens=100),
            )
            result = await caller.prompt("go")
            assert len(model.requests) == asked
            assert (result.stop_reason, result.limit) == ("limit", "input_tokens")
            assert result.usage.input_tokens == 40 * asked

    async def test_agents_within_agents_are_bounded(self) -> None:
        agent = Agent(ScriptedModel(*[call("deeper", request="on")] * 3, "end", "end", "end"))
        agent.tools = [agent.as_tool("deeper", "Go deeper.", max_depth=2)]
        await agent.prompt("go")
        assert isinstance(agent.messages[-1], AssistantMessage)
        assert len(results(agent)) == 1
