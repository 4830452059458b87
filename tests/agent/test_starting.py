"""How runs start: from what, one at a time, with which dependencies and limits, on which backend."""

import anyio
import pytest
from tests.agent.checked_runs import results
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentBusyError,
    AssistantMessage,
    Limits,
    Message,
    NothingToContinueError,
    ToolContext,
    ToolResultMessage,
    TurnEnd,
    UserMessage,
    tool,
)
from tether.testing import Pause, ScriptedModel, call


class TestContinuing:
    async def test_from_nothing_is_refused(self) -> None:
        with pytest.raises(NothingToContinueError, match="give the run a prompt"):
            await Agent(ScriptedModel()).prompt()

    async def test_from_a_reply_is_refused(self) -> None:
        agent = Agent(ScriptedModel("hi"))
        await agent.prompt("go")
        with pytest.raises(NothingToContinueError, match="ends with the model's reply"):
            await agent.prompt()
        assert len(agent.messages) == 2

    async def test_from_a_reply_that_pauses(self) -> None:
        pause = AssistantMessage("Let me see ...", stop_reason="pause")
        agent = Agent(ScriptedModel(pause, "Found it.", "Well."), limits=Limits(turns=1))
        assert (await agent.prompt("go")).limit == "turns"
        assert (await agent.prompt()).text == "Found it."
        with pytest.raises(NothingToContinueError, match="ends with the model's reply"):
            await agent.prompt()

    async def test_what_is_said_while_the_model_pauses_waits_until_it_has_gone_on(self) -> None:
        pause = AssistantMessage("Let me see ...", stop_reason="pause")
        agent = Agent(ScriptedModel(pause, "Found it.", "You are welcome."))
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, TurnEnd) and event.turn == 1:
                    agent.steer("thank you")
        said = [message.text for message in agent.messages]
        assert said == ["go", "Let me see ...", "Found it.", "thank you", "You are welcome."]

    async def test_from_a_reply_with_messages_that_wait(self) -> None:
        agent = Agent(ScriptedModel("hi", "again"))
        await agent.prompt("go")
        agent.follow_up("more")
        assert (await agent.prompt()).text == "again"

    @pytest.mark.parametrize(
        "messages",
        [
            [UserMessage("go")],
            [
                UserMessage("go"),
                AssistantMessage([call("add", id="c", a=1, b=2)], stop_reason="tool_calls"),
                ToolResultMessage("c", "add", "3"),
            ],
        ],
    )
    async def test_from_a_message_that_waits_for_an_answer(self, messages: list[Message]) -> None:
        agent = Agent(ScriptedModel("hi"), messages=messages)
        assert (await agent.prompt()).text == "hi"
        assert len(agent.messages) == len(messages) + 1


class TestOneRunAtATime:
    async def test_a_second_is_refused_and_told_what_to_do(self) -> None:
        agent = Agent(ScriptedModel("hi", "ho"))
        async with agent.run("go") as run:
            with pytest.raises(AgentBusyError, match=r"wait_idle.*abort.*steer"):
                await agent.prompt("again")
            with pytest.raises(AgentBusyError, match="cannot reset"):
                agent.reset()
            await run.result()
            assert (await agent.prompt("again")).text == "ho"

    async def test_of_a_hundred_starts_one_wins(self) -> None:
        agent = Agent(ScriptedModel("hi"))
        refused: list[AgentBusyError] = []

        async def start() -> None:
            try:
                await agent.prompt("go")
            except AgentBusyError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(start)
        assert len(refused) == 99
        assert len(agent.messages) == 2

    async def test_idle_is_waited_for(self) -> None:
        going = anyio.Event()
        agent = Agent(ScriptedModel(["hi", Pause(going)]))
        async with agent.run("go"), anyio.create_task_group() as tasks:
            tasks.start_soon(agent.wait_idle)
            await until_blocked()
            assert agent.state.running
            going.set()
        assert not agent.state.running
        await agent.wait_idle()


async def test_the_same_agent_serves_run_after_run() -> None:
    agent = Agent(ScriptedModel("one", "two"))
    await agent.prompt("first")
    result = await agent.prompt("second")
    assert result.text == "two"
    assert len(result.messages) == 2
    assert len(agent.messages) == 4


def test_the_same_agent_serves_both_backends() -> None:
    agent = Agent(ScriptedModel("one", "two"))
    anyio.run(agent.prompt, "first", backend="asyncio")
    anyio.run(agent.prompt, "second", backend="trio")
    assert len(agent.messages) == 4


class TestOneRunOfItsOwn:
    async def test_deps_may_be_given_to_one_run(self) -> None:
        @tool
        def who(context: ToolContext[str]) -> str:
            """Say who."""
            return context.deps

        agent = Agent(
            ScriptedModel(call("who"), "ok", call("who"), "ok"), tools=[who], deps="the agent's"
        )
        await agent.prompt("go", deps="the run's")
        async with agent.run("go") as run:
            await run.result()
        assert [result.text for result in results(agent)] == ["the run's", "the agent's"]

    async def test_limits_may_be_given_to_one_run(self) -> None:
        @tool
        def look() -> str:
            """Look."""
            return "seen"

        agent = Agent(
            ScriptedModel(call("look"), call("look"), "ok"), tools=[look], limits=Limits(turns=9)
        )
        first = await agent.prompt("go", limits=Limits(turns=1))
        assert (first.stop_reason, first.limit) == ("limit", "turns")
        async with agent.run() as run:
            assert (await run.result()).stop_reason == "stop"

    async def test_limits_and_price_that_change_meanwhile_count_from_the_next_turn_on(self) -> None:
        agent = Agent(ScriptedModel(*[call("look")] * 4, "ok"))

        @agent.tool
        def look() -> str:
            """Look."""
            agent.price = lambda _: 2.0
            if len(results(agent)) >= 2:
                agent.limits = Limits(turns=3)
            return "seen"

        result = await agent.prompt("go")
        assert (result.stop_reason, result.limit, result.cost) == ("limit", "turns", 4.0)
