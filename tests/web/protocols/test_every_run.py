"""Every run obeys the rules of every protocol, wherever it is cut into segments."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from tests.web.protocols.ag_ui_rules import Thread
from tests.web.protocols.told import Plan, ask, plans, told
from tests.web.protocols.vercel_rules import UiMessage

import tether
from tether.approvals import approval
from tether.testing import Pause, ScriptedModel, call
from tether.web.protocols.ag_ui_events import AgUiRun
from tether.web.protocols.openai_chunks import ChatCompletion
from tether.web.protocols.vercel_chunks import UiMessageStream, Version


def ui_streams(events: Sequence[tether.Event], version: Version) -> list[list[dict[str, Any]]]:
    """Tell a run in as many streams as its approvals need."""
    return segments(UiMessageStream("m1", version=version), events)


def ag_ui_runs(events: Sequence[tether.Event]) -> list[list[dict[str, Any]]]:
    return segments(AgUiRun("t1", "r1"), events)


def segments(
    fold: UiMessageStream | AgUiRun, events: Sequence[tether.Event]
) -> list[list[dict[str, Any]]]:
    told = [list(fold.begin())]
    for event in events:
        told[-1] += fold.take(event)
        if fold.suspended:
            told[-1] += fold.pause()
            told.append(list(fold.begin()))
    return told


def replies(events: Sequence[tether.Event]) -> list[tether.AssistantMessage]:
    """The replies of the run itself, not of agents inside its calls."""
    return [
        event.message
        for event in events
        if isinstance(event, tether.MessageEnd)
        and isinstance(event.message, tether.AssistantMessage)
    ]


def texts(events: Sequence[tether.Event]) -> list[str]:
    blocks = [block for reply in replies(events) for block in reply.content]
    return [block.text for block in blocks if isinstance(block, tether.Text) and block.text]


@settings(max_examples=12)
@given(plans)
def test_every_run_obeys_the_rules(plan: Plan) -> None:
    check(told(plan))


def check(events: Sequence[tether.Event]) -> None:
    _check_ui_messages(events, 6)
    _check_ui_messages(events, 7)
    _check_ag_ui(events)
    _check_chat_completion(events)


def _check_ui_messages(events: Sequence[tether.Event], version: Version) -> None:
    message, replayed = UiMessage(), UiMessage()
    *segments, last = ui_streams(events, version)
    for segment in segments:
        message.read(segment, version=version)
        message.check_that_it_waits()
    message.read(last, version=version)
    assert message.text == texts(events)
    if message.ended == "finish":
        message.check_that_it_is_over()
    # A page that comes back reads the run in one stream, without the ends of segments that are over.
    fold = UiMessageStream("m1", version=version)
    replay = [*fold.begin(), *(chunk for event in events for chunk in fold.take(event))]
    replayed.read(replay, version=version)
    assert replayed.content == message.content


def _check_ag_ui(events: Sequence[tether.Event]) -> None:
    thread = Thread()
    *segments, last = ag_ui_runs(events)
    for segment in segments:
        assert thread.read(segment) == "interrupt"
    how = thread.read(last)
    end = events[-1]
    assert isinstance(end, tether.AgentEnd)
    assert how == {"aborted": "cancelled", "error": "error"}.get(end.stop_reason, "success")
    said = [
        event for run in (*segments, last) for event in run if event["type"] == "TEXT_MESSAGE_START"
    ]
    own = [
        thread.texts[e["messageId"]]
        for e in said
        if "subagentRunId" not in e and e["role"] != "user"
    ]
    assert own == texts(events)


def _check_chat_completion(events: Sequence[tether.Event]) -> None:
    fold = ChatCompletion("c1", "m", 1, include_usage=True)
    chunks = [*fold.begin(), *(chunk for event in events for chunk in fold.take(event))]
    if "error" in chunks[-1]:
        assert isinstance(events[-1], tether.AgentEnd)
        assert events[-1].error is not None
        return
    *pieces, finish, usage = chunks
    assert finish["choices"][0]["finish_reason"] == "stop"
    deltas = [chunk["choices"][0]["delta"] for chunk in pieces]
    content = "".join(delta.get("content", "") for delta in deltas)
    said = [reply.text for reply in replies(events) if reply.text]
    assert content == "\n\n".join(said)
    whole = fold.whole()
    assert whole["choices"][0]["message"]["content"] == content
    assert whole["usage"] == usage["usage"]


@pytest.mark.parametrize("inner_calls", [[call("ask", what="it")], ["Let me think.", Pause()]])
def test_a_call_that_is_stopped_leaves_nothing_open_of_the_agent_inside_it(
    inner_calls: list[Any],
) -> None:
    """An agent whose call is over has no more events: not even the ends of its calls."""

    async def stopped() -> list[tether.Event]:
        inner = tether.Agent(ScriptedModel(inner_calls), tools=[ask], name="inner")
        inner.around_tool(approval(_never))
        agent = tether.Agent(
            ScriptedModel(call("inner", request="go"), "Done."),
            tools=[inner.as_tool("inner", "Go.")],
        )
        events: list[tether.Event] = []
        async with agent.run("Go.") as run:
            async for event in run:
                events.append(event)
                if isinstance(event, tether.ToolExecutionUpdate) and isinstance(
                    event.event, tether.ApprovalRequested | tether.MessageUpdate
                ):
                    with suppress(tether.UsageError):
                        run.cancel_tool(event.call_id)
        return events

    events = anyio.run(stopped)
    assert any(isinstance(e, tether.AgentEnd) and e.stop_reason == "stop" for e in events)
    check(events)
    # Where the events of the agent stop with its call, the end of that call is all that shows it.
    ends = [e for e in events if not isinstance(e, tether.ToolExecutionUpdate) or _opens(e.event)]
    check(ends)


def _opens(event: tether.Event | None) -> bool:
    return not isinstance(event, tether.AgentEnd | tether.ToolExecutionEnd | tether.TurnEnd)


async def _never(_: tether.Invocation) -> bool:
    await anyio.sleep_forever()
    return False
