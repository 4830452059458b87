"""What people know from other agent loops, on both backends."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    AgentBusyError,
    AgentEnd,
    AgentStart,
    AssistantMessage,
    CustomMessage,
    Deny,
    Event,
    Invocation,
    Limits,
    Message,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelError,
    ModelRequest,
    NothingToContinueError,
    Session,
    Text,
    TextDelta,
    Thinking,
    ToolContext,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResult,
    ToolResultMessage,
    TurnEnd,
    TurnStart,
    Usage,
    UsageError,
    UserMessage,
    tool,
)
from tether.deltas import ToolCallDelta, ToolCallStart
from tether.messages import JsonObject
from tether.model import ModelMessage
from tether.testing import Part, Pause, ScriptedModel, call, check_events, check_transcript

GUARD = 5


@tool
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
async def fail() -> str:
    """Fail."""
    raise ValueError("no luck")


async def events_of(
    agent: Agent, prompt: str | None = "go", *, complete: bool = True
) -> list[Event]:
    events: list[Event] = []
    with anyio.fail_after(GUARD):
        async with agent.run(prompt) as run:
            async for event in run:
                events.append(event)
    check_events(events, complete=complete)
    check_transcript(agent.messages)
    return events


def kinds(events: Sequence[Event]) -> list[type]:
    return [type(event) for event in events]


def results(agent: Agent) -> list[ToolResultMessage]:
    return [message for message in agent.messages if isinstance(message, ToolResultMessage)]


def last_request(model: ScriptedModel) -> list[ModelMessage]:
    return list(model.requests[-1].messages)


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


class TestMessages:
    async def test_of_an_application_are_kept_and_dropped_for_the_model(self) -> None:
        model = ScriptedModel("hi")
        note = CustomMessage("note", {"x": 1}, id="n")
        agent = Agent(model, messages=[note])
        await events_of(agent)
        assert agent.messages[0] == note
        assert [message.role for message in last_request(model)] == ["user"]

    async def test_of_an_application_reach_the_model_as_convert_says(self) -> None:
        def convert(message: CustomMessage) -> UserMessage:
            return UserMessage(f"note: {message.data}")

        model = ScriptedModel("hi")
        await events_of(Agent(model, messages=[CustomMessage("note", "x")], convert=convert))
        assert [message.text for message in model.requests[0].messages] == ["note: x", "go"]

    async def test_are_transformed_before_they_are_converted(self) -> None:
        seen: list[str] = []

        async def transform(messages: Sequence[Message]) -> Sequence[Message]:
            seen.append("transform")
            return [*messages, CustomMessage("late", "y")]

        def convert(message: CustomMessage) -> UserMessage:
            seen.append("convert")
            return UserMessage(str(message.data))

        model = ScriptedModel("hi")
        agent = Agent(model, transform_context=transform, convert=convert)
        await events_of(agent)
        assert seen == ["transform", "convert"]
        assert [message.text for message in model.requests[0].messages] == ["go", "y"]
        assert [message.role for message in agent.messages] == ["user", "assistant"]


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


class TestModelErrors:
    async def test_end_the_run_keep_what_arrived_and_may_be_tried_again(self) -> None:
        broken: list[Part] = [TextDelta("Hel"), ModelError("gone", kind="connection")]
        agent = Agent(ScriptedModel(broken, "Hello."))
        seen: list[Event] = []
        with pytest.raises(ModelError, match="gone") as caught:
            async with agent.run("go") as run:
                async for event in run:
                    seen.append(event)
        check_events(seen)
        assert seen[-1].stop_reason == "error"  # type: ignore[union-attr]
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert (last.text, last.stop_reason, last.error) == ("Hel", "error", caught.value.failure)
        assert (await agent.prompt()).text == "Hello."
        assert [message.role for message in agent.messages] == ["user", "assistant", "assistant"]

    async def test_nobody_saw_are_raised_at_the_end_of_the_block(self) -> None:
        agent = Agent(ScriptedModel(ModelError("gone", kind="connection")))
        with pytest.raises(ModelError, match="gone"):
            async with agent.run("go"):
                await agent.wait_idle()

    async def test_that_were_seen_are_not_raised_again(self) -> None:
        agent = Agent(ScriptedModel(ModelError("gone", kind="connection")))
        async with agent.run("go") as run:
            for _ in range(2):
                with pytest.raises(ModelError):
                    await run.result()


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


class TestEndingEarly:
    async def test_an_abort_delivers_the_closing_events_and_raises_nothing(self) -> None:
        agent = Agent(ScriptedModel([TextDelta("Hel"), Pause()]))
        events: list[Event] = []
        async with agent.run("go") as run:
            async for event in run:
                events.append(event)
                if isinstance(event, MessageUpdate):
                    assert run.partial is not None
                    assert run.partial.text == "Hel"
                    agent.abort()
        check_events(events)
        assert events[-1] == AgentEnd("aborted")
        assert (await run.result()).stop_reason == "aborted"
        last = agent.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert (last.text, last.stop_reason) == ("Hel", "aborted")

    async def test_a_cut_keeps_what_there_is_and_goes_on_where_there_is_something_to_go_on_with(
        self,
    ) -> None:
        @tool
        async def hang() -> None:
            """Hang."""
            await anyio.sleep_forever()

        agent = Agent(ScriptedModel(call("hang"), ["Hel", Pause()]), tools=[hang])
        with anyio.fail_after(GUARD):
            async with agent.run("go") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionStart):
                        await until_blocked()
                        run.interrupt()
                    if isinstance(event, MessageUpdate) and isinstance(event.delta, TextDelta):
                        run.interrupt()
                result = await run.result()
        assert [r.outcome for r in results(agent)] == ["interrupted"]
        assert (result.text, result.stop_reason) == ("Hel", "aborted")

    async def test_an_abort_works_with_a_buffer_of_zero_and_nobody_reading(self) -> None:
        agent = Agent(ScriptedModel([TextDelta("Hel"), Pause()]))
        with anyio.fail_after(GUARD):
            async with agent.run("go", max_buffer_size=0) as run:
                await until_blocked()
                agent.abort()
                agent.steer("unheard")
                result = await run.result()
        assert result.stop_reason == "aborted"
        assert len(result.undelivered) == 1

    async def test_an_abort_answers_every_call(self) -> None:
        @tool
        async def hang() -> str:
            """Hang."""
            agent.abort()
            await anyio.sleep_forever()
            return "never"

        model = ScriptedModel([call("add", a=1, b=1), call("hang")])
        agent = Agent(model, tools=[hang, add], sequential=True)
        model_2 = ScriptedModel([call("hang"), call("add", a=1, b=1)])
        await events_of(agent)
        assert [result.outcome for result in results(agent)] == ["ok", "interrupted"]
        agent.reset()
        agent.model = model_2
        await events_of(agent)
        assert [result.outcome for result in results(agent)] == ["interrupted", "skipped"]

    async def test_leaving_the_block_ends_the_run(self) -> None:
        ended: list[str] = []

        @tool
        async def hang() -> str:
            """Hang."""
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("hang")
            return "never"

        agent = Agent(ScriptedModel(call("hang")), tools=[hang])
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, ToolExecutionStart):
                    await until_blocked()
                    break
        assert ended == ["hang"]
        assert [result.outcome for result in results(agent)] == ["interrupted"]
        check_transcript(agent.messages)

    async def test_the_time_limit_cuts_off_what_is_in_flight(self) -> None:
        agent = Agent(ScriptedModel([TextDelta("Hel"), Pause()]), limits=Limits(seconds=0.2))
        result = await agent.prompt("go")
        assert (result.stop_reason, result.limit, result.text) == ("limit", "seconds", "Hel")

    async def test_a_cancelled_run_can_be_continued(self) -> None:
        reached = anyio.Event()
        model = ScriptedModel([TextDelta("Hel"), Pause(reached=reached)], "Hello.")
        agent = Agent(model)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await reached.wait()
            tasks.cancel_scope.cancel()
        check_transcript(agent.messages)
        assert (await agent.prompt()).text == "Hello."


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
