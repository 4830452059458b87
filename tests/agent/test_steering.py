"""Messages that are said while a run goes on, or before it."""

from typing import Any

import anyio
import pytest
from tests.agent.checked_runs import add, events_of, last_request, results

from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Event,
    MessageEnd,
    MessageUpdate,
    ModelError,
    TextDelta,
    ToolExecutionEnd,
    UsageError,
    UserMessage,
    tool,
)
from tether.testing import Pause, ScriptedModel, call


class TestSteering:
    async def test_before_a_run_enters_at_its_start(self) -> None:
        model = ScriptedModel("hi")
        agent = Agent(model)
        agent.steer("first of all")
        await events_of(agent)
        assert [message.text for message in last_request(model)] == ["go", "first of all"]

    async def test_lets_running_calls_end_and_skips_those_not_begun(self) -> None:
        agent: Agent

        @tool(sequential=True)
        async def work(n: int) -> str:
            """Work."""
            if n == 1:
                agent.steer("enough")
            return f"did {n}"

        model = ScriptedModel([call("work", n=1), call("work", n=2)], "fine")
        agent = Agent(model, tools=[work])
        await events_of(agent)
        assert [(r.outcome, r.text) for r in results(agent)] == [
            ("ok", "did 1"),
            ("skipped", "This call was not run: the user has said something new."),
        ]
        assert last_request(model)[-1].text == "enough"

    @pytest.mark.parametrize(("mode", "requests"), [("one_at_a_time", 3), ("all", 2)])
    async def test_enters_one_at_a_time_or_all_at_once(self, mode: Any, requests: int) -> None:
        model = ScriptedModel(*["ok"] * requests)
        agent = Agent(model, steering=mode, follow_up=mode)

        @agent.hook("on_event")
        def say(event: Event) -> None:
            if isinstance(event, MessageEnd) and event.message.role == "assistant" and not said:
                said.append(True)
                agent.steer("a")
                agent.steer("b")

        said: list[bool] = []
        await events_of(agent)
        model.expect_done()

    async def test_with_interrupt_cuts_off_the_reply_and_goes_on(self) -> None:
        reached = anyio.Event()
        model = ScriptedModel([TextDelta("Once upon"), Pause(reached=reached)], "Sorry.")
        agent = Agent(model)

        async def interrupt() -> None:
            await reached.wait()
            agent.steer("Stop.", interrupt=True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            await events_of(agent)
        cut, said = agent.messages[1:3]
        assert isinstance(cut, AssistantMessage)
        assert (cut.text, cut.stop_reason) == ("Once upon", "aborted")
        assert isinstance(said, UserMessage)
        assert [m.text for m in model.requests[1].messages] == ["go", "Once upon", "Stop."]

    async def test_with_interrupt_cancels_running_calls_in_their_own_scopes(self) -> None:
        running = anyio.Event()
        cleaned: list[str] = []

        @tool
        async def hang() -> str:
            """Hang."""
            try:
                running.set()
                await anyio.sleep_forever()
            finally:
                cleaned.append("hang")
            return "never"

        agent = Agent(ScriptedModel([call("add", a=1, b=1), call("hang")], "ok"), tools=[hang, add])

        async def interrupt() -> None:
            await running.wait()
            agent.steer("Stop.", interrupt=True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(interrupt)
            events = await events_of(agent)
        assert [result.outcome for result in results(agent)] == ["ok", "interrupted"]
        assert cleaned == ["hang"]
        assert events[-1].stop_reason == "stop"  # type: ignore[union-attr]

    async def test_one_call_may_be_cancelled_while_the_others_go_on(self) -> None:
        @tool
        async def hang() -> str:
            """Hang."""
            await anyio.sleep_forever()
            return "never"

        agent = Agent(
            ScriptedModel([call("hang", id="h"), call("add", a=1, b=1)], "ok"), tools=[hang, add]
        )
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, ToolExecutionEnd) and event.name == "add":
                    assert run.running_tools == ("h",)
                    with pytest.raises(
                        UsageError, match=r"no tool call 'x' is running; running: h"
                    ):
                        run.cancel_tool("x")
                    run.cancel_tool("h")
        assert [result.outcome for result in results(agent)] == ["interrupted", "ok"]

    async def test_that_came_too_late_is_handed_back(self) -> None:
        agent = Agent(ScriptedModel("hi"))

        @agent.hook("on_event")
        def late(event: Event) -> None:
            if isinstance(event, AgentEnd):
                agent.follow_up("one more thing")

        result = await agent.prompt("go")
        assert [
            message.text for message in result.undelivered if isinstance(message, UserMessage)
        ] == ["one more thing"]
        assert agent.state.follow_ups == ()

    async def test_waits_for_the_next_run_when_a_run_fails(self) -> None:
        model = ScriptedModel(ModelError("busy", kind="overloaded"), "hi")
        agent = Agent(model)
        agent.follow_up("and then")
        with pytest.raises(ModelError):
            await agent.prompt("go")
        assert [m.text for m in agent.state.follow_ups if isinstance(m, UserMessage)] == [
            "and then"
        ]

    async def test_may_be_taken_back(self) -> None:
        agent = Agent(ScriptedModel("hi"))
        kept = agent.steer("a")
        agent.follow_up("b")
        assert len(agent.clear_queues(["follow_up"])) == 1
        assert agent.clear_queues() == (kept,)


class TestFollowUps:
    async def test_enter_when_the_agent_would_stop(self) -> None:
        model = ScriptedModel(call("add", a=1, b=2), "three", "bye")
        agent = Agent(model, tools=[add])
        agent.follow_up("then say bye")
        await events_of(agent)
        assert [m.role for m in agent.messages] == [
            "user",
            "assistant",
            "tool",
            "assistant",
            "user",
            "assistant",
        ]


class TestSteeringOneRun:
    async def test_a_run_that_is_over_takes_nothing_and_leaves_the_next_alone(self) -> None:
        agent = Agent(ScriptedModel("one", ["Hel", "lo"]))
        async with agent.run("first") as old:
            await old.result()
        async with agent.run("second") as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    with pytest.raises(UsageError, match="this run is over"):
                        old.steer("late", interrupt=True)
                    old.abort()
                    old.interrupt()
            result = await run.result()
        assert (result.text, result.stop_reason, result.undelivered) == ("Hello", "stop", ())
        assert agent.state.steering == ()

    async def test_what_a_run_accepts_is_delivered_in_it_or_handed_back_by_it(self) -> None:
        agent = Agent(ScriptedModel("one", "two"))
        async with agent.run("first") as run:
            accepted = run.steer("more")
            result = await run.result()
        assert accepted in (*result.messages, *result.undelivered)
