"""Long conversations are shortened by a summary, and nothing is lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tether import (
    Agent,
    AssistantMessage,
    CustomMessage,
    Event,
    Limits,
    Message,
    ModelError,
    ModelRequest,
    ModelRetry,
    Session,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
    tool,
)
from tether.advice.compaction import COMPACTION, SUMMARISE, compact
from tether.hooks import ProceedModel
from tether.testing import (
    ScriptedModel,
    cancel_at_every_step,
    check_events,
    check_transcript,
)
from tether.testing.scripted import Reply

SUMMARY = (
    "This is a summary of our conversation so far, which was left out for its length:\n\nLong."
)
OVERFLOW = ModelError("prompt is too long", kind="context_overflow")


@tool
async def look(at: str) -> str:
    """Look at something."""
    return at * 3


def said(text: str, tokens: int) -> AssistantMessage:
    return AssistantMessage(text, usage=Usage(input_tokens=tokens, output_tokens=0))


def seen(request: ModelRequest) -> list[str]:
    return [message.text for message in request.messages]


def agent_with(*replies: Reply, messages: Sequence[Message] = (), **how: Any) -> Agent:
    return Agent(
        ScriptedModel(*replies),
        system="Be brief.",
        tools=[look],
        messages=messages,
        transform_context=compact(**{"window": 100, "keep": 2, **how}),
    )


def talk(turns: int, tokens: int = 90) -> list[Message]:
    """A conversation of some turns, of which the last reply says how long it is."""
    messages: list[Message] = []
    for number in range(turns):
        messages += [UserMessage(f"q{number}", id=f"q{number}"), said(f"a{number}", 1)]
    return [*messages[:-1], said(f"a{turns - 1}", tokens)]


async def test_a_full_window_is_emptied_by_a_summary_that_the_model_writes() -> None:
    agent = agent_with("Long.", said("Yes.", 20), "Yes again.", messages=talk(3))
    events: list[Event] = []
    async with agent.run("q3") as run:
        async for event in run:
            events.append(event)
    check_events(events)
    asked, answered = _requests(agent)
    assert seen(asked) == ["q0", "a0", "q1", "a1", "q2", SUMMARISE]
    assert (asked.system, asked.options.tool_choice, len(asked.tools)) == ("Be brief.", "none", 1)
    assert seen(answered) == [SUMMARY, "a2", "q3"]
    assert answered.system == "Be brief."
    [record] = [m for m in agent.messages if isinstance(m, CustomMessage)]
    assert (record.kind, record.data) == (COMPACTION, {"summary": "Long.", "stands_for": 5})
    assert [m.text for m in agent.messages][:7] == ["q0", "a0", "q1", "a1", "q2", "a2", "q3"]
    await agent.prompt("q4")
    assert seen(_requests(agent)[-1]) == [SUMMARY, "a2", "q3", "Yes.", "q4"]


def _requests(agent: Agent) -> list[ModelRequest]:
    assert isinstance(agent.model, ScriptedModel)
    return agent.model.requests


async def test_a_window_with_room_is_left_alone() -> None:
    agent = agent_with("Yes.", messages=talk(3, tokens=70))
    await agent.prompt("q3")
    assert [len(request.messages) for request in _requests(agent)] == [7]


async def test_what_came_since_the_last_count_is_estimated() -> None:
    agent = agent_with("Long.", "Yes.", messages=talk(3, tokens=70))
    await agent.prompt("word " * 20)
    assert len(_requests(agent)) == 2


async def test_a_second_summary_holds_the_first() -> None:
    agent = agent_with(
        "Long.", said("Yes.", 20), said("Well.", 95), "Longer.", "No.", messages=talk(3)
    )
    for question in ("q3", "q4", "q5"):
        await agent.prompt(question)
    assert seen(_requests(agent)[3]) == [SUMMARY, "a2", "q3", "Yes.", "q4", SUMMARISE]
    assert seen(_requests(agent)[4]) == [SUMMARY.replace("Long.", "Longer."), "Well.", "q5"]


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 5])
async def test_a_call_is_never_parted_from_its_result(keep: int) -> None:
    messages: list[Message] = [UserMessage("go")]
    for number in range(4):
        calls = [ToolCall(f"{number}{which}", "look", {"at": "x"}) for which in "ab"]
        messages.append(AssistantMessage(calls, usage=Usage(input_tokens=95)))
        messages += [ToolResultMessage(call.id, "look", "x" * 9_000) for call in calls]
    agent = agent_with("Long.", "Done.", messages=messages, keep=keep)
    await agent.prompt()
    asked, answered = _requests(agent)
    assert len(answered.messages) < len(messages)
    for request in (asked, answered):
        check_transcript(request.messages)
    results = [m for m in asked.messages if isinstance(m, ToolResultMessage)]
    assert all(len(result.text) < 4_100 for result in results), "shown in brief"


async def test_an_overflow_shortens_once_and_asks_again() -> None:
    agent = agent_with(OVERFLOW, "Long.", "Yes.", messages=talk(3, tokens=1), window=None)
    events: list[Event] = []
    async with agent.run("q3") as run:
        async for event in run:
            events.append(event)
    check_events(events)
    assert (await run.result()).text == "Yes."
    assert [e.error.kind for e in events if isinstance(e, ModelRetry)] == ["context_overflow"]
    assert seen(_requests(agent)[-1]) == [SUMMARY, "a2", "q3"]


async def test_what_cannot_be_shortened_or_does_not_help_is_the_models_error() -> None:
    short = agent_with(OVERFLOW, window=None)
    with pytest.raises(ModelError, match="too long"):
        await short.prompt("q0")
    assert len(_requests(short)) == 1
    stubborn = agent_with(OVERFLOW, "Long.", OVERFLOW, messages=talk(3, tokens=1), window=None)
    with pytest.raises(ModelError, match="too long"):
        await stubborn.prompt("q3")
    assert len(_requests(stubborn)) == 3
    check_transcript(stubborn.messages)


async def test_a_hook_that_does_not_ask_why_is_asked_again_and_changes_nothing() -> None:
    model = ScriptedModel(OVERFLOW)
    agent = Agent(model, transform_context=lambda messages: messages[-1:])
    with pytest.raises(ModelError, match="too long"):
        await agent.prompt("q0")
    assert len(model.requests) == 1


async def test_where_no_summary_comes_the_conversation_goes_on_as_it_is() -> None:
    agent = agent_with(ModelError("busy", kind="overloaded"), "Yes.", messages=talk(3))
    assert (await agent.prompt("q3")).text == "Yes."
    assert len(_requests(agent)[-1].messages) == 7


async def test_what_the_summary_took_counts_for_the_run() -> None:
    agent = agent_with(said("Long.", 50), said("Yes.", 7), messages=talk(3))
    agent.price = lambda reply: reply.usage.input_tokens / 10
    result = await agent.prompt("q3")
    assert (result.usage.input_tokens, result.cost) == (57, 5.7)
    agent.limits = Limits(input_tokens=1)


async def test_a_session_resumes_with_the_summary_and_a_fork_before_it_sees_the_originals(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        agent = Agent(
            ScriptedModel("a0", said("a1", 95), "Long.", said("a2", 20)),
            session=session,
            transform_context=compact(window=100, keep=2),
        )
        for number in range(3):
            await agent.prompt(f"q{number}")
        [before, *_] = [m.id for m in agent.messages if m.text == "a1"]
    with Session.open(path) as session:
        again = Agent(
            ScriptedModel("Yes."), session=session, transform_context=compact(window=100, keep=2)
        )
        await again.prompt("q3")
        assert seen(_requests(again)[-1]) == [SUMMARY, "a1", "q2", "a2", "q3"]
        session.fork(before)
        other = Agent(
            ScriptedModel("Yes."), session=session, transform_context=compact(window=1000)
        )
        await other.prompt("q9")
        assert seen(_requests(other)[-1]) == ["q0", "a0", "q1", "a1", "q9"]


@pytest.mark.parametrize(
    ("how", "told"),
    [({"threshold": 0}, "threshold"), ({"threshold": 2}, "threshold"), ({"keep": 0}, "keep")],
)
def test_what_makes_no_sense_is_refused(how: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        compact(**how)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_anywhere_the_conversation_goes_on(backend: Any) -> None:
    async def program(agent: Agent) -> None:
        await agent.prompt("q3")

    def check(agent: Agent) -> None:
        check_transcript(agent.messages)
        assert [m.text for m in agent.messages][:6] == ["q0", "a0", "q1", "a1", "q2", "a2"]

    report = cancel_at_every_step(
        program,
        setup=lambda: agent_with("Long.", said("Yes.", 20), messages=talk(3)),
        check=check,
        backend=backend,
    )
    assert report.points > 10


async def test_a_summary_that_fails_is_tried_again_at_the_next_turn() -> None:
    down = ModelError("down", kind="authentication")
    agent = agent_with(down, "Yes.", "Long.", said("Again.", 20), messages=talk(3))
    assert (await agent.prompt("q3")).text == "Yes."
    agent.reset([*agent.messages[:-1], said("Yes.", 95)])
    assert (await agent.prompt("q4")).text == "Again."
    requests = _all_requests(agent)
    assert seen(requests[1])[0] == "q0"  # nothing was left out for want of a summary
    assert seen(requests[3])[0] == SUMMARY


async def test_a_summary_that_is_empty_stands_for_nothing() -> None:
    agent = agent_with("  ", "Yes.", messages=talk(3))
    assert (await agent.prompt("q3")).text == "Yes."
    assert not any(isinstance(message, CustomMessage) for message in agent.messages)


async def test_where_the_model_refuses_and_no_summary_is_to_be_had_its_error_is_raised() -> None:
    down = ModelError("down", kind="authentication")
    agent = agent_with(OVERFLOW, down, messages=talk(3, tokens=10))
    with pytest.raises(ModelError, match="down"):
        await agent.prompt("q3")
    check_transcript(agent.messages)


def _all_requests(agent: Agent) -> list[ModelRequest]:
    model = agent.model
    assert isinstance(model, ScriptedModel)
    return list(model.requests)


async def test_the_request_for_a_summary_is_within_the_hooks_around_requests() -> None:
    agent = agent_with("Long.", "Yes.", messages=talk(3))
    asked: list[str] = []

    @agent.around_model
    def watch(request: ModelRequest, proceed: ProceedModel) -> Any:
        asked.append(seen(request)[-1])
        return proceed(request)

    await agent.prompt("q3")
    assert asked == [SUMMARISE, "q3"]
