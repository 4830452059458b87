"""A run on a worker is a run: the same events, results, exceptions and handles."""

import threading
from functools import partial
from typing import Any

import anyio
import pytest

pytest.importorskip("ray")

from tests.ray import agents

from tether import (
    Agent,
    AgentEnd,
    ApprovalAnswered,
    ApprovalRequested,
    AssistantMessage,
    Deny,
    Event,
    Invocation,
    Limits,
    MessageUpdate,
    ModelError,
    NothingToContinueError,
    OutputError,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResult,
    Usage,
    UsageError,
    UserMessage,
)
from tether.errors import ArgumentsError, DecodeError
from tether.events import TurnEnd
from tether.many import each
from tether.ray import Cluster
from tether.testing import Pause, ScriptedModel, call, check_events

SCRIPT = (
    [call("echo", id="a", text="one"), call("report", id="b")],
    "All is said.",
)


def same_ids(**options: Any) -> dict[str, Any]:
    numbers = iter(range(1000))
    return {"clock": lambda: 1.0, "new_id": lambda: f"m{next(numbers)}", **options}


def shown(events: list[Event]) -> list[str]:
    """The events, less the times and ids that differ from run to run."""
    return [type(event).__name__ for event in events]


async def followed(agent: Agent, prompt: str | None = "Go", **options: Any) -> list[Event]:
    async with agent.run(prompt, **options) as run:
        return [event async for event in run]


async def test_its_events_are_those_of_a_run_here(cluster: Cluster) -> None:
    make = agents.scripted(*SCRIPT, deps="its own")
    here, there = await followed(make()), await followed(cluster.agent(make))
    check_events(there)
    assert shown(there) == shown(here)
    texts = [event.text for event in there if isinstance(event, MessageUpdate)]
    assert texts == [event.text for event in here if isinstance(event, MessageUpdate)]
    updates = [event for event in there if isinstance(event, ToolExecutionUpdate)]
    assert updates == [event for event in here if isinstance(event, ToolExecutionUpdate)]


async def test_it_leaves_the_conversation_here(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(*SCRIPT))
    result = await agent.prompt("Go")
    assert result.text == "All is said."
    assert agent.messages == result.messages
    assert agent.session is not None
    assert agent.session.messages == agent.messages
    assert not agent.state.running


async def test_a_worker_is_sent_only_what_it_does_not_have(cluster: Cluster) -> None:
    agent = cluster.agent(agents.counting)
    assert [(await agent.prompt("More")).text for _ in range(3)] == ["1", "3", "5"]
    place = agent._placement.place(agent.session)  # type: ignore[arg-type]
    assert (place.known, list(place.entries)) == (agent.session.head, [])  # type: ignore[union-attr]


async def test_what_was_said_elsewhere_is_sent_along(cluster: Cluster) -> None:
    agent = cluster.agent(agents.counting, messages=[UserMessage("Before")])
    assert (await agent.prompt("More")).text == "2"
    assert agent.session is not None
    agent.session.fork(agent.messages[0].id)
    agent.reset(agent.session.messages)
    assert (await agent.prompt("Again")).text == "2"
    assert len(agent.messages) == 3
    agent.reset()
    assert (await agent.prompt("Anew")).text == "1"


async def test_it_may_be_continued(cluster: Cluster) -> None:
    agent = cluster.agent(agents.counting)
    with pytest.raises(NothingToContinueError):
        await agent.prompt()
    agent.follow_up("First")
    agent.steer("Second")
    result = await agent.prompt()
    assert [type(message).__name__ for message in result.messages] == [
        "UserMessage",
        "AssistantMessage",
        "UserMessage",
        "AssistantMessage",
    ]
    assert (agent.state.steering, agent.state.follow_ups, result.undelivered) == ((), (), ())


async def test_deps_and_limits_may_be_given_here(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(*SCRIPT), deps="given")
    assert "given at depth 0" in str((await agent.prompt("Go")).messages)
    agent = cluster.agent(agents.scripted(*SCRIPT), limits=Limits(turns=1))
    result = await agent.prompt("Go")
    assert (result.stop_reason, result.limit) == ("limit", "turns")


async def test_it_may_have_a_typed_result(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(call("final_result", result={"a": 1})))
    assert (await agent.prompt("Go", output=dict[str, int])).output == {"a": 1}
    agent = cluster.agent(agents.scripted("no", "no"))
    with pytest.raises(OutputError):
        await agent.prompt("Go", output=int, output_attempts=1)


@pytest.mark.parametrize(
    "error",
    [
        ModelError("busy", kind="overloaded", status=529, partial=AssistantMessage("Hel")),
        DecodeError("no", path="$.a"),
        ArgumentsError(["a", "b"]),
        OutputError("no", attempts=["x"]),
        UsageError("no"),
        ValueError("plain"),
        OSError(2, "not there"),
        ExceptionGroup("some", [ValueError("a")]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_it_fails_with_is_raised_here(cluster: Cluster, error: Exception) -> None:
    def fail(_: object) -> None:
        raise error

    def make() -> Agent:
        return Agent(ScriptedModel("Hello"), should_stop=fail)

    agent = cluster.agent(make)
    with pytest.raises(type(error)) as raised:
        await agent.prompt("Go")
    assert str(raised.value) == str(error)
    assert {key: str(value) for key, value in vars(raised.value).items()} == {
        key: str(value) for key, value in vars(error).items()
    }


async def test_what_the_model_fails_with_is_raised_here(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(["Hel", ModelError("cut", kind="connection")]))
    events: list[Event] = []
    with pytest.raises(ModelError) as raised:
        async with agent.run("Go") as run:
            async for event in run:
                events.append(event)
    assert raised.value.kind == "connection"
    check_events(events)
    assert isinstance(events[-1], AgentEnd)
    assert agent.messages[-1].text == "Hel"


async def test_an_agent_that_cannot_be_made_says_why(cluster: Cluster) -> None:
    with pytest.raises(ModelError, match="no key"):
        await cluster.agent(agents.failing).prompt("Go")
    with pytest.raises(UsageError, match="cannot be sent"):
        cluster.agent(partial(Agent, deps=threading.Lock()))
    with pytest.raises(UsageError, match="where the model is"):
        await cluster.agent(agents.counting, convert=lambda _: None).prompt("Go")


async def test_what_belongs_on_the_worker_is_refused_here(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match="model, tools of an agent on workers"):
        cluster.agent(agents.counting, tools=[], model="offline")
    agent = cluster.agent(agents.counting, deps=threading.Lock())
    with pytest.raises(UsageError, match="cannot be sent to a worker"):
        await agent.prompt("Go")
    assert (await agent.prompt("Go", deps=1)).text == "1"


async def test_what_a_reply_costs_may_be_said_here(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(*SCRIPT), price=_half, limits=Limits(cost=0.4))
    result = await agent.prompt("Go")
    assert (result.cost, result.stop_reason, result.limit) == (0.5, "limit", "cost")


def _half(_: AssistantMessage) -> float:
    return 0.5


async def test_many_prompts_may_go_there(cluster: Cluster) -> None:
    async with each(lambda: cluster.agent(agents.counting), ["a", "b", "c"], at_once=2) as answers:
        done = [answer.result async for answer in answers]
    assert [result is not None and result.text for result in done] == ["1", "1", "1"]


async def test_it_can_be_steered(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(call("wait", id="w"), "Yes, sir."))
    async with agent.run("Go") as run:
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                assert run.running_tools == ("w",)
                run.steer("Stop that", interrupt=True)
        result = await run.result()
    assert [message.role for message in result.messages[2:]] == ["tool", "user", "assistant"]
    assert (result.text, result.undelivered, run.running_tools) == ("Yes, sir.", (), ())


async def test_orders_come_in_the_order_in_which_they_were_given(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(call("wait", id="w"), "Yes.", steering="all"))
    said = [f"thing {number}" for number in range(20)]
    async with agent.run("Go") as run:
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                for text in said:
                    run.steer(text)
                run.cancel_tool("w")
        result = await run.result()
    assert [one.text for one in result.messages if isinstance(one, UserMessage)] == ["Go", *said]


async def test_a_call_can_be_cancelled(cluster: Cluster) -> None:
    agent = cluster.agent(agents.scripted(call("wait", id="w"), "Well."))
    async with agent.run("Go") as run:
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                with pytest.raises(UsageError, match="running: w"):
                    run.cancel_tool("x")
                run.cancel_tool("w")
            if isinstance(event, ToolExecutionEnd):
                assert event.result.outcome == "interrupted"
        assert (await run.result()).text == "Well."


@pytest.mark.parametrize(
    "script", [call("wait"), ["Well", Pause(seconds=3600)]], ids=["tool", "reply"]
)
async def test_it_can_be_ended_in_order(cluster: Cluster, script: Any) -> None:
    agent = cluster.agent(agents.scripted(script, "More"))
    events: list[Event] = []
    async with agent.run("Go") as run:
        async for event in run:
            events.append(event)
            if isinstance(event, ToolExecutionStart) or (
                isinstance(event, MessageUpdate) and event.text
            ):
                assert run.partial is not None
                run.abort()
        result = await run.result()
    check_events(events)
    assert result.stop_reason == "aborted"
    assert agent.messages == result.messages


async def test_calls_may_be_approved_here(cluster: Cluster) -> None:
    asked: list[tuple[str, int]] = []

    async def approve(invocation: Invocation) -> Deny | bool:
        asked.append((invocation.call.arguments["text"], len(invocation.context.messages)))
        await anyio.lowlevel.checkpoint()
        return Deny("not that") if invocation.call.arguments["text"] == "two" else True

    calls = [call("echo", id="a", text="one"), call("echo", id="b", text="two")]
    agent = cluster.agent(agents.scripted(calls, "Well."), approve=approve)
    events = await followed(agent)
    check_events(events)
    assert sorted(asked) == [("one", 4), ("two", 4)]
    answers = {e.call_id: e.verdict for e in events if isinstance(e, ApprovalAnswered)}
    assert answers == {"a": "once", "b": "denied"}
    outcomes = {e.call_id: e.result.outcome for e in events if isinstance(e, ToolExecutionEnd)}
    assert outcomes == {"a": "ok", "b": "denied"}


async def test_a_question_is_withdrawn_where_its_call_ends(cluster: Cluster) -> None:
    async def approve(_: Invocation) -> bool:
        await anyio.sleep_forever()
        return True

    agent = cluster.agent(
        agents.scripted(call("echo", id="a", text="one"), "Well."), approve=approve
    )
    events: list[Event] = []
    async with agent.run("Go") as run:
        async for event in run:
            events.append(event)
            if isinstance(event, ApprovalRequested):
                run.cancel_tool("a")
    check_events(events)
    answers = [event.verdict for event in events if isinstance(event, ApprovalAnswered)]
    assert answers == ["withdrawn"]


async def test_hooks_may_be_here(cluster: Cluster) -> None:
    heard: list[str] = []

    def before(invocation: Invocation) -> Invocation:
        return invocation.with_arguments({"text": "changed"})

    async def around(invocation: Invocation, proceed: Any) -> ToolResult:
        result: ToolResult = await proceed(invocation)
        return ToolResult(f"<{result.content[0].text}>")  # type: ignore[union-attr]

    def after(_: Invocation, result: ToolResult) -> ToolResult:
        return ToolResult(f"[{result.content[0].text}]")  # type: ignore[union-attr]

    def stop(turn: TurnEnd) -> bool:
        return turn.turn == 1

    agent = cluster.agent(
        agents.scripted(call("echo", text="one"), "never"),
        before_tool=before,
        after_tool=after,
        should_stop=stop,
    )
    agent.around_tool(around)
    agent.subscribe(lambda event: heard.append(type(event).__name__))
    result = await agent.prompt("Go")
    assert result.stop_reason == "terminated"
    assert result.messages[-1].content[0].text == "[<changed>]"  # type: ignore[union-attr]
    assert heard[-1] == "AgentEnd"


async def test_a_hook_that_fails_here_ends_the_run(cluster: Cluster) -> None:
    def before(_: Invocation) -> None:
        raise ValueError("no")

    agent = cluster.agent(agents.scripted(call("echo", text="one"), "never"), before_tool=before)
    with pytest.raises(ValueError, match="no"):
        await agent.prompt("Go")
    assert [message.role for message in agent.messages] == ["user", "assistant", "tool"]


async def test_a_listener_that_fails_ends_the_run(cluster: Cluster) -> None:
    agent = cluster.agent(agents.slowly)

    def listen(event: Event) -> None:
        if isinstance(event, MessageUpdate):
            raise ValueError("no")

    agent.subscribe(listen)
    with pytest.raises(ValueError, match="no"):
        await agent.prompt("Go")
    assert agent.messages[-1].role == "assistant"
    await agent.wait_idle()


async def test_it_can_be_a_tool(cluster: Cluster) -> None:
    there = cluster.agent(agents.scripted(call("report", id="r"), "Asked."), name="there")
    tool = there.as_tool("ask", "Ask.")
    here = Agent(ScriptedModel(call("ask", id="q", request="Go"), "Well."), tools=[tool])
    events = await followed(here)
    check_events(events)
    inner = [event for event in events if isinstance(event, ToolExecutionUpdate)]
    assert {event.path for event in inner} == {("there",)}
    [result] = [event.result for event in events if isinstance(event, ToolExecutionEnd)]
    assert result.content[0].text == "Asked."  # type: ignore[union-attr]
    assert "None at depth 1" in str(result.details)


async def test_as_a_tool_it_is_cancelled_with_its_parent(cluster: Cluster) -> None:
    tool = cluster.agent(agents.scripted(call("wait", id="w"))).as_tool("ask", "Ask.")
    here = Agent(ScriptedModel(call("ask", id="q", request="Go"), "Well."), tools=[tool])
    async with here.run("Go") as run:
        async for event in run:
            if isinstance(event, ToolExecutionUpdate) and isinstance(
                event.event, ToolExecutionStart
            ):
                run.cancel_tool("q")
        result = await run.result()
    assert result.text == "Well."
    assert [host.runs for host in cluster._hosts] == [0, 0]


async def test_limits_may_be_shared_with_whoever_calls(cluster: Cluster) -> None:
    def reply(text: str) -> AssistantMessage:
        return AssistantMessage(text, usage=Usage(input_tokens=10, output_tokens=10))

    there = cluster.agent(agents.scripted(*[[call("echo", text="x")]] * 50), name="there")
    tool = there.as_tool("ask", "Ask.", limits="shared")
    asks = [call("ask", id="p", request="Go"), call("ask", id="q", request="Go")]
    here = Agent(ScriptedModel(asks, reply("Well.")), tools=[tool], limits=Limits(turns=7))
    async with here.run("Go") as run:
        result = await run.result()
    assert (result.stop_reason, result.limit) == ("limit", "turns")
    turns = run._spent.turns
    assert 7 <= turns <= 8  # two at once may pass the check together
