"""What is heard of a run: its events, its text, and the arguments of calls as they arrive."""

from typing import Any

import anyio
import pytest
from tests.agent.checked_runs import GUARD, add, events_of, kinds

from tether import (
    Agent,
    AgentEnd,
    AgentStart,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelError,
    Text,
    TextDelta,
    Thinking,
    ToolContext,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    TurnEnd,
    TurnStart,
    tool,
)
from tether.deltas import ToolCallDelta, ToolCallStart
from tether.messages import JsonObject
from tether.testing import Part, Pause, ScriptedModel, call, check_events


class TestEvents:
    async def test_of_a_plain_reply(self) -> None:
        agent = Agent(ScriptedModel("Hello there."))
        events = await events_of(agent)
        assert kinds(events) == [
            AgentStart,
            TurnStart,
            MessageStart,
            MessageEnd,
            MessageStart,
            MessageUpdate,
            MessageUpdate,
            MessageUpdate,
            MessageEnd,
            TurnEnd,
            AgentEnd,
        ]
        deltas = [event.delta for event in events if isinstance(event, MessageUpdate)]
        assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == [
            "Hello",
            " there.",
        ]
        assert [message.role for message in agent.messages] == ["user", "assistant"]

    async def test_of_a_tool_call(self) -> None:
        agent = Agent(ScriptedModel(call("add", a=1, b=2), "3"), tools=[add])
        events = [e for e in await events_of(agent) if not isinstance(e, MessageUpdate)]
        assert kinds(events)[6:12] == [
            ToolExecutionStart,
            ToolExecutionEnd,
            MessageStart,
            MessageEnd,
            TurnEnd,
            TurnStart,
        ]
        end = events[7]
        assert isinstance(end, ToolExecutionEnd)
        assert (end.name, end.result.text, end.result.outcome) == ("add", "3", "ok")

    async def test_reach_listeners_in_order_and_before_the_run_is_over(self) -> None:
        heard: list[str] = []
        agent = Agent(ScriptedModel("hi", "ho"))

        async def slow(event: Event) -> None:
            await anyio.lowlevel.checkpoint()
            if isinstance(event, AgentEnd):
                assert agent.state.running
                heard.append("slow")

        agent.subscribe(slow)
        unsubscribe = agent.subscribe(
            lambda event: heard.append("quick") if isinstance(event, AgentEnd) else None
        )
        await agent.prompt("one")
        assert heard == ["slow", "quick"]
        unsubscribe()
        await agent.prompt("two")
        assert heard == ["slow", "quick", "slow"]

    async def test_of_a_tool_come_as_it_reports(self) -> None:
        @tool
        async def work(context: ToolContext[None]) -> str:
            """Work."""
            await context.update("half", details={"done": 0.5})
            return "whole"

        events = await events_of(Agent(ScriptedModel(call("work", id="w"), "ok"), tools=[work]))
        updates = [event for event in events if isinstance(event, ToolExecutionUpdate)]
        assert updates == [ToolExecutionUpdate("w", "work", (Text("half"),), {"done": 0.5})]


async def test_the_arguments_of_a_call_can_be_read_while_they_arrive() -> None:
    more = [anyio.Event(), anyio.Event()]
    reply: list[Part] = [
        ToolCallStart("c", "add", 0),
        ToolCallDelta('{"a": 1, "b', 0),
        Pause(more[0]),
        ToolCallDelta('": 2', 0),
        Pause(more[1]),
        ToolCallDelta("}", 0),
    ]
    agent = Agent(ScriptedModel(reply, "Three."), tools=[add])
    seen: list[JsonObject] = []
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            assert run.partial is None
            async for event in run:
                if isinstance(event, MessageUpdate) and isinstance(event.delta, ToolCallDelta):
                    assert run.partial is not None
                    seen.append(run.partial.tool_calls[0].arguments)
                    if len(seen) <= len(more):
                        more[len(seen) - 1].set()
    assert seen == [{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}]
    assert run.partial is not None
    assert run.partial.text == "Three."


class TestBranches:
    async def test_give_a_second_consumer_the_same_events(self) -> None:
        agent = Agent(ScriptedModel("one two three"))
        seen: dict[str, list[Event]] = {"main": [], "branch": []}

        async def follow(name: str, stream: Any) -> None:
            seen[name].extend([event async for event in stream])

        async with agent.run("go", max_buffer_size=0) as run, anyio.create_task_group() as tasks:
            tasks.start_soon(follow, "branch", run.branch(0))
            await follow("main", run)
        assert seen["branch"] == seen["main"]
        check_events(seen["main"])

    async def test_that_drop_never_drop_starts_and_ends(self) -> None:
        agent = Agent(ScriptedModel("a b c d e f g h i j k l"))
        async with agent.run("go") as run:
            branch = run.branch(12, when_full="drop_oldest")
            await run.result()
            kept = [event async for event in branch]
        assert branch.statistics().dropped > 0
        assert [type(event) for event in kept if not isinstance(event, MessageUpdate)] == [
            AgentStart,
            TurnStart,
            MessageStart,
            MessageEnd,
            MessageStart,
            MessageEnd,
            TurnEnd,
            AgentEnd,
        ]


class TestTextAlone:
    async def test_a_run_may_be_iterated_for_its_text(self) -> None:
        @tool
        def look() -> str:
            """Look."""
            return "seen"

        model = ScriptedModel([Thinking("Hm."), "Let me ", "look. ", call("look")], ["Do", "ne."])
        async with Agent(model, tools=[look]).run("go") as run:
            pieces = [piece async for piece in run.text()]
            result = await run.result()
        assert pieces[-1]
        assert "".join(pieces) == "Let me look. Done."
        assert str(result) == result.text == "Done."

    async def test_it_may_be_left_and_taken_up_again(self) -> None:
        async with Agent(ScriptedModel(["one ", "two ", "three"])).run("go") as run:
            first = await anext(run.text())
            rest = [piece async for piece in run.text()]
        assert first + "".join(rest) == "one two three"

    async def test_an_error_of_the_model_is_raised_behind_the_text(self) -> None:
        model = ScriptedModel(["Hel", ModelError("gone", kind="connection")])
        pieces: list[str] = []
        async with Agent(model).run("go") as run:
            with pytest.raises(ModelError, match="gone"):
                async for piece in run.text():
                    pieces.append(piece)
        assert pieces == ["Hel"]
