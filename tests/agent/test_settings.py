"""What an agent is set up with: changes, copies, and sessions by their path."""

import gc
from pathlib import Path

import pytest
from tests.agent.checked_runs import add

from tether import (
    Agent,
    Event,
    Invocation,
    Limits,
    Session,
    ToolExecutionEnd,
    UsageError,
    UserMessage,
    tool,
)
from tether.testing import ScriptedModel, call


class TestChangesWhileRunning:
    async def test_take_effect_on_the_next_turn(self) -> None:
        second = ScriptedModel("from the second", name="second")
        agent = Agent(ScriptedModel(call("add", a=1, b=2), name="first"), tools=[add], system="one")

        @agent.hook("on_event")
        def change(event: Event) -> None:
            if isinstance(event, ToolExecutionEnd):
                agent.model, agent.system, agent.tools = second, "two", ()
                agent.thinking = "high"

        assert (await agent.prompt("go")).text == "from the second"
        [request] = second.requests
        assert (request.system, request.tools, request.options.thinking) == ("two", [], "high")

    async def test_two_tools_of_one_name_are_refused(self) -> None:
        with pytest.raises(UsageError, match="two tools are called 'add'"):
            Agent(ScriptedModel(), tools=[add, add])


class TestCopies:
    def test_a_copy_is_like_the_agent_but_for_what_is_said_and_its_conversation(self) -> None:
        @tool
        def look() -> str:
            """Look."""
            return "seen"

        agent = Agent(
            ScriptedModel("Hello."),
            system="Be kind.",
            tools=[look],
            name="helper",
            limits=Limits(turns=3),
            messages=[UserMessage("before")],
            steering="all",
            tool_timeout=7,
        )
        agent.subscribe(lambda _: None)
        copy = agent.copy(system="Be brief.")
        assert (agent.system, copy.system) == ("Be kind.", "Be brief.")
        assert copy.messages == ()
        for name in ("model", "tools", "name", "limits", "tool_timeout", "options", "price"):
            assert getattr(copy, name) == getattr(agent, name), name
        assert list(copy.hooks) == list(agent.hooks)
        copy.steer("one")
        copy.steer("two")
        assert agent.state.steering == ()

    def test_later_changes_to_one_do_not_reach_the_other(self) -> None:
        agent = Agent(ScriptedModel())
        copy = agent.copy()
        copy.hooks.add("on_event", lambda _: None)
        copy.tools = [tool(name="look", description="")(lambda: "seen")]
        assert (list(agent.hooks), agent.tools) == ([], ())

    async def test_its_approval_takes_the_place_of_the_agents_own(self) -> None:
        asked: list[str] = []
        agent = Agent(
            ScriptedModel(call("look"), "Done."),
            tools=[tool(name="look", description="")(lambda: "seen")],
            approve=lambda _: False,
        )

        def approve(_: Invocation) -> bool:
            asked.append("second")
            return True

        copy = agent.copy(approve=approve)
        await copy.prompt("go")
        assert asked == ["second"]

    def test_what_agents_do_not_have_is_refused(self) -> None:
        with pytest.raises(TypeError, match="colour"):
            Agent(ScriptedModel()).copy(colour="red")


class TestSessionsByPath:
    async def test_a_path_will_do_for_a_session(self, tmp_path: Path) -> None:
        path = tmp_path / "talk.jsonl"
        agent = Agent(ScriptedModel("Hello."), session=path)
        await agent.prompt("Hi.")
        assert agent.session is not None
        agent.session.close()
        with Session(str(path)) as session:
            assert session.messages == agent.messages
            assert [entry.kind for entry in session.branch][-1] == "message"

    def test_a_session_that_nobody_closed_is_closed_with_its_agent(self, tmp_path: Path) -> None:
        path = tmp_path / "talk.jsonl"
        agent = Agent(ScriptedModel(), session=str(path))
        with pytest.raises(UsageError, match="another session writes to"):
            Session(path)
        del agent
        gc.collect()
        Session(path).close()
