"""Approvals: what the events of a run say of them, what their time counts for, and what becomes of an open question."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from tests.waiting import until_blocked

from tether import (
    Agent,
    ApprovalAnswered,
    ApprovalRequested,
    Deny,
    Event,
    Invocation,
    Run,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    Verdict,
    tool,
)
from tether.advice import time_limit
from tether.approvals import AskAbout, approval, may_change
from tether.testing import (
    ScriptedModel,
    call,
    cancel_at_every_step,
    check_events,
    check_transcript,
    virtual_clock,
)

GUARD = 60
THINKING = 30


@tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def adds(*names: str) -> list[Any]:
    return [call("add", id=name, a=1, b=1) for name in names]


def of(call_id: str, events: list[Event]) -> list[Event]:
    """The events of a call."""
    return [event for event in events if getattr(event, "call_id", None) == call_id]


def verdicts(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(e.call_id, e.verdict, e.reason) for e in events if isinstance(e, ApprovalAnswered)]


def outcomes(agent: Agent) -> list[str]:
    return [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)]


async def events_of(agent: Agent) -> list[Event]:
    events: list[Event] = []
    with anyio.fail_after(10 * THINKING):  # of the virtual clock, where there is one
        async with agent.run("go") as run:
            async for event in run:
                events.append(event)
    check_events(events)
    check_transcript(agent.messages)
    return events


async def after_thinking(_: Invocation) -> Verdict:
    await anyio.sleep(THINKING)
    return "once"


# What the events say.


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        ("once", "once", ""),
        (True, "once", ""),
        ("always", "always", ""),
        (Deny("not now"), "denied", "not now"),
        (False, "denied", "the user does not want it"),
    ],
)
async def test_a_question_and_its_answer_come_between_start_and_end(
    answer: Verdict, verdict: Literal["once"], reason: str
) -> None:
    agent = Agent(ScriptedModel(adds("c1"), "ok"), tools=[add], approve=lambda _: answer)
    start, requested, answered, end = of("c1", await events_of(agent))
    assert isinstance(start, ToolExecutionStart)
    assert requested == ApprovalRequested("c1", "add", {"a": 1, "b": 1})
    assert answered == ApprovalAnswered("c1", "add", verdict, reason)
    assert isinstance(end, ToolExecutionEnd)
    assert end.result.outcome == ("denied" if reason else "ok")


@pytest.mark.parametrize("max_buffer_size", [0, 1, 64])
@pytest.mark.parametrize("waits", [False, True])
async def test_nobody_is_asked_before_a_consumer_that_reads_has_seen_the_question(
    max_buffer_size: int, *, waits: bool
) -> None:
    seen: list[Event] = []
    had_seen: list[list[type[Event]]] = []

    def approve(invocation: Invocation) -> bool:
        had_seen.append([type(event) for event in of(invocation.call.id, seen)])
        return True

    text = [f"{number} " for number in range(50)]
    script: list[Any] = [[*text, call("add", id="c1", a=1, b=1)], "ok"]
    agent = Agent(ScriptedModel(*script), tools=[add], approve=approve)
    with anyio.fail_after(GUARD):
        async with agent.run("go", max_buffer_size=max_buffer_size) as run:
            async for event in run:
                if waits:
                    await anyio.lowlevel.checkpoint()
                seen.append(event)
    assert had_seen == [[ToolExecutionStart, ApprovalRequested]]


async def test_a_question_shows_the_arguments_that_hooks_have_left() -> None:
    agent = Agent(
        ScriptedModel(adds("c1"), "ok"),
        tools=[add],
        before_tool=lambda invocation: invocation.with_arguments({"a": 5, "b": 6}),
        approve=lambda _: True,
    )
    requested = [e for e in await events_of(agent) if isinstance(e, ApprovalRequested)]
    assert requested == [ApprovalRequested("c1", "add", {"a": 5, "b": 6})]


async def test_what_is_always_allowed_raises_no_question() -> None:
    agent = Agent(
        ScriptedModel(adds("c1"), adds("c2"), "ok"), tools=[add], approve=lambda _: "always"
    )
    assert verdicts(await events_of(agent)) == [("c1", "always", "")]


# One at a time.


async def test_one_question_at_a_time_is_asked_in_the_order_of_the_calls() -> None:
    names = ["c1", "c2", "c3", "c4", "c5"]
    script: list[Any] = [adds(*names), "ok"] * 4
    agent = Agent(ScriptedModel(*script))
    agent.tools = [add]
    open_now: list[str] = []
    asked: list[str] = []

    async def ask(invocation: Invocation) -> Verdict:
        open_now.append(invocation.context.call_id)
        assert len(open_now) == 1
        await until_blocked()
        asked.append(open_now.pop())
        return "once"

    agent.around_tool(approval(ask, one_at_a_time=True))
    for _ in range(4):  # trio starts tasks in any order
        asked.clear()
        events = await events_of(agent)
        dialogue = [type(e) for e in events if isinstance(e, ApprovalRequested | ApprovalAnswered)]
        assert dialogue == [ApprovalRequested, ApprovalAnswered] * 5
        assert len(asked) == 5
        assert asked == [e.call_id for e in events if isinstance(e, ApprovalRequested)]
        assert asked == [e.call_id for e in events if isinstance(e, ToolExecutionStart)]


async def test_an_answer_for_always_answers_those_who_wait_in_line() -> None:
    agent = Agent(ScriptedModel(adds("c1", "c2", "c3"), "ok"), tools=[add])
    agent.around_tool(approval(lambda _: "always", one_at_a_time=True))
    assert verdicts(await events_of(agent)) == [("c1", "always", "")]
    assert outcomes(agent) == ["ok"] * 3


@pytest.mark.parametrize("victim", ["c1", "c2"])
async def test_a_call_that_is_cancelled_gives_its_turn_away(victim: str) -> None:
    answer = anyio.Event()
    agent = Agent(ScriptedModel(adds("c1", "c2", "c3"), "ok"), tools=[add])

    async def ask(invocation: Invocation) -> Verdict:
        if invocation.call.id == "c1":
            await answer.wait()
        return "once"

    agent.around_tool(approval(ask, one_at_a_time=True))
    events: list[Event] = []
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run, anyio.create_task_group() as tasks:

            async def person() -> None:
                await until_blocked()
                run.cancel_tool(victim)
                await until_blocked()
                answer.set()

            tasks.start_soon(person)
            async for event in run:
                events.append(event)
    check_events(events)
    left = [name for name in ("c1", "c2", "c3") if name != victim]
    withdrawn = [("c1", "withdrawn", "")] if victim == "c1" else []
    assert verdicts(events) == [*withdrawn, *((name, "once", "") for name in left)]


# Their time.


def on_virtual_clock(backend: Any, agent: Agent) -> list[Event]:
    name, options = virtual_clock(backend)
    return anyio.run(events_of, agent, backend=name, backend_options=options)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_time_that_a_person_thinks_is_no_part_of_a_call(backend: Any) -> None:
    slow = tool(name="add", timeout=2)(_slow_add)
    agent = Agent(ScriptedModel(adds("c1"), "ok"), tools=[slow], approve=after_thinking)
    events = on_virtual_clock(backend, agent)
    assert durations(events) == {"c1": pytest.approx(1)}
    assert outcomes(agent) == ["ok"]


async def _slow_add(a: int, b: int) -> int:
    """Add, slowly."""
    await anyio.sleep(1)
    return a + b


def durations(events: list[Event]) -> dict[str, float]:
    return {e.call_id: e.duration for e in events if isinstance(e, ToolExecutionEnd)}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_time_in_line_is_no_part_of_a_call(backend: Any) -> None:
    slow = tool(name="add", timeout=2)(_slow_add)
    agent = Agent(ScriptedModel(adds("c1", "c2"), "ok"), tools=[slow])
    agent.around_tool(approval(after_thinking, one_at_a_time=True))
    events = on_virtual_clock(backend, agent)
    assert durations(events) == {"c1": pytest.approx(1), "c2": pytest.approx(1)}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_time_limit_around_an_approval_leaves_it_out(backend: Any) -> None:
    slow = tool(name="add")(_slow_add)
    agent = Agent(ScriptedModel(adds("c1"), "ok"), tools=[slow], approve=after_thinking)
    agent.around_tool(time_limit(2)[1])
    on_virtual_clock(backend, agent)
    assert outcomes(agent) == ["ok"]


def parent_of(child: Agent, *, timeout: float) -> Agent:
    helper = child.as_tool("helper", "Help.", timeout=timeout)
    script = [call("helper", id="h", request="add")]
    return Agent(ScriptedModel(script, "ok"), tools=[helper])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_time_of_a_childs_question_counts_for_no_call_above_it(backend: Any) -> None:
    slow = tool(name="add", timeout=2)(_slow_add)
    child = Agent(ScriptedModel(adds("c1", "c2"), "2"), tools=[slow], name="kid")
    child.around_tool(approval(after_thinking, one_at_a_time=True))
    agent = parent_of(child, timeout=5)
    events = on_virtual_clock(backend, agent)
    assert outcomes(agent) == ["ok"]
    # The two questions are one after the other; the first call's own second is in the time of the second.
    assert durations(events) == {"h": pytest.approx(1)}
    within = [e.event for e in events if isinstance(e, ToolExecutionUpdate) and e.event is not None]
    assert verdicts(within) == [("c1", "once", ""), ("c2", "once", "")]
    assert durations(within) == {"c1": pytest.approx(1), "c2": pytest.approx(1)}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_that_takes_too_long_by_itself_is_still_stopped(backend: Any) -> None:
    slow = tool(name="add")(_slow_add)
    child = Agent(ScriptedModel(adds("c1"), "2"), tools=[slow], approve=after_thinking)
    agent = parent_of(child, timeout=0.5)
    events = on_virtual_clock(backend, agent)
    assert outcomes(agent) == ["timeout"]
    assert durations(events) == {"h": pytest.approx(0.5)}


async def test_children_that_share_an_approval_are_asked_about_in_the_order_of_the_calls_above() -> (
    None
):
    asked: list[tuple[int, ...]] = []

    async def ask(invocation: Invocation) -> Verdict:
        asked.append(invocation.context.order)
        await until_blocked()
        return "once"

    shared = approval(ask, tools=["add"], one_at_a_time=True)
    helpers = []
    for name in ("h1", "h2"):
        child = Agent(ScriptedModel(adds("a", "b"), "2"), tools=[add])
        child.around_tool(shared)
        helpers.append(child.as_tool(name, "Help."))
    script = [*(call(helper.name, request="x") for helper in helpers), *adds("c3")]
    agent = Agent(ScriptedModel(script, "ok"), tools=[*helpers, add])
    agent.around_tool(shared)
    await events_of(agent)
    assert asked[0] == (3,), "the children have to be asked first what they want"
    assert asked[1:] == [(1, 1), (1, 2), (2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("tools", "asked_about"),
    [
        (None, ["look", "add", "other"]),
        (["add"], ["add"]),
        (may_change, ["add", "other"]),
        (lambda tool: tool.kind == "search", ["look"]),
    ],
)
async def test_which_tools_are_asked_about_is_said_by_names_or_by_what_is_known_of_them(
    tools: AskAbout | None, asked_about: list[str]
) -> None:
    asked: list[str] = []

    def ask(invocation: Invocation) -> Verdict:
        asked.append(invocation.tool.name)
        return True

    agent = Agent(
        ScriptedModel([call("look"), *adds("c"), call("other")], "ok"), tools=[add], sequential=True
    )
    agent.tool(name="other", description="")(lambda: "done")
    agent.tool(name="look", description="", read_only=True, kind="search")(lambda: "seen")
    agent.around_tool(approval(ask, tools=tools))
    await events_of(agent)
    assert asked == asked_about
    assert outcomes(agent) == ["ok"] * 3


# A question that nobody answers.


@asynccontextmanager
async def asking(agent: Agent) -> AsyncIterator[tuple[Run, list[Event]]]:
    """A run in which the question is open."""
    events: list[Event] = []
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            async for event in run:
                events.append(event)
                if isinstance(event, ApprovalRequested):
                    break
            yield run, events


async def never(_: Invocation) -> Verdict:
    await anyio.sleep_forever()
    return "once"


@pytest.mark.parametrize("how", ["abort", "steer", "cancel_tool"])
async def test_a_question_is_withdrawn_when_its_call_ends(how: str) -> None:
    agent = Agent(ScriptedModel(adds("c1"), "ok"), tools=[add], approve=never)
    async with asking(agent) as (run, events):
        match how:
            case "abort":
                run.abort()
            case "steer":
                agent.steer("Never mind.", interrupt=True)
            case _:
                run.cancel_tool("c1")
        async for event in run:
            events.append(event)
    check_events(events)
    check_transcript(agent.messages)
    assert verdicts(events) == [("c1", "withdrawn", "")]
    assert outcomes(agent) == ["skipped"]


async def test_a_question_that_fails_is_withdrawn() -> None:
    async def fail(_: Invocation) -> Verdict:
        raise OSError("no person")

    agent = Agent(ScriptedModel(adds("c1", "c2"), "ok"), tools=[add], approve=fail)
    events: list[Event] = []
    with anyio.fail_after(GUARD), pytest.raises(OSError, match="no person"):
        async with agent.run("go") as run:
            async for event in run:
                events.append(event)
    check_events(events[:-1], complete=False)
    check_transcript(agent.messages)
    assert {verdict for _, verdict, _ in verdicts(events)} == {"withdrawn"}


async def test_a_message_that_steers_leaves_the_question_open() -> None:
    answer = anyio.Event()

    async def ask(_: Invocation) -> Verdict:
        await answer.wait()
        return "once"

    agent = Agent(ScriptedModel(adds("c1"), "ok"), tools=[add], approve=ask)
    async with asking(agent) as (run, events):
        agent.steer("Hurry.")
        await until_blocked()
        answer.set()
        async for event in run:
            events.append(event)
    check_events(events)
    assert verdicts(events) == [("c1", "once", "")]
    assert outcomes(agent) == ["skipped"]  # what steers keeps calls from starting


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_may_be_cancelled_at_every_step_of_its_questions(backend: Any) -> None:
    async def ask(_: Invocation) -> Verdict:
        await anyio.lowlevel.checkpoint()
        return "once"

    def setup() -> tuple[Agent, list[Event]]:
        agent = Agent(ScriptedModel(adds("c1", "c2"), "ok"), tools=[add])
        agent.around_tool(approval(ask, one_at_a_time=True))
        return agent, []

    async def program(made: tuple[Agent, list[Event]]) -> None:
        agent, events = made
        async with agent.run("go") as run:
            async for event in run:
                events.append(event)

    def check(made: tuple[Agent, list[Event]]) -> None:
        agent, events = made
        check_events(events, complete=False)
        check_transcript(agent.messages)

    report = cancel_at_every_step(program, setup=setup, check=check, backend=backend)
    assert report.points > 15
