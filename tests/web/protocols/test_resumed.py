"""Conversations that a restarted server goes on with: the calls keep their ids, and their questions can be answered."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.web.asgi import opened
from tests.web.protocols.test_endpoints import ag_ui, chunks, delete, ui_answers, vercel

import tether
from tether import (
    Agent,
    AgentEnd,
    AssistantMessage,
    Event,
    Message,
    Session,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.calls import CallAsked, CallBegun, CallEnded
from tether.host import Conversation, FolderStore
from tether.testing import ScriptedModel
from tether.web import app
from tether.web.protocols.ag_ui_events import AgUiRun
from tether.web.protocols.vercel_chunks import UiMessageStream


async def left(folder: Path) -> None:
    """Leave a conversation as a server leaves it that is killed while a person thinks."""
    session = await FolderStore(folder).open("t", "", create=True)
    assert session is not None
    with session:
        _fill(session)


def _fill(session: Session) -> None:
    session.record(UserMessage("go", id="u0"))
    calls = [ToolCall(name, "delete", {"path": name}) for name in ("a", "b")]
    session.record(AssistantMessage(calls, stop_reason="tool_calls", id="reply"))
    session.note_call(CallBegun("a"))
    session.note_call(CallEnded(ToolResultMessage("a", "delete", "deleted a", id="reply.1")))
    session.note_call(CallAsked("b", "delete", {"path": "b"}))


def make_agent(talk: Conversation) -> Agent:
    return Agent(ScriptedModel("Fine."), tools=[delete], approve=talk.approve)


async def test_a_question_is_answered_over_ag_ui_after_a_restart(tmp_path: Path) -> None:
    await left(tmp_path)
    with anyio.fail_after(30):
        async with opened(app(make_agent, store=FolderStore(tmp_path))) as client:
            resume = [
                {"interruptId": "reply-1", "status": "resolved", "payload": {"approved": True}}
            ]
            told = chunks(await ag_ui(client, "go", resume=resume))
    results = {one["toolCallId"]: one for one in told if one["type"] == "TOOL_CALL_RESULT"}
    assert results["reply-1"]["content"] == "deleted b"
    assert told[-1]["outcome"] == {"type": "success"}


async def test_a_question_is_answered_by_use_chat_after_a_restart(tmp_path: Path) -> None:
    await left(tmp_path)
    with anyio.fail_after(30):
        async with opened(app(make_agent, store=FolderStore(tmp_path))) as client:
            told = chunks(await vercel(client, ui_answers(**{"reply-1": True})))
    outputs = {one["toolCallId"]: one for one in told if one["type"] == "tool-output-available"}
    assert outputs["reply-1"]["output"] == "deleted b"
    assert told[-1]["type"] == "finish"


async def _resumed(tmp_path: Path) -> tuple[tuple[Message, ...], list[Event]]:
    with Session(tmp_path / "s.jsonl") as session:
        _fill(session)
        agent = Agent(ScriptedModel("Fine."), tools=[delete], session=session)
        before = agent.messages[:-2]
        async with agent.run() as run:
            return before, [event async for event in run]


@pytest.mark.parametrize("kind", ["ag_ui", "vercel"])
async def test_the_results_are_those_of_the_calls_that_the_client_knows(
    tmp_path: Path, kind: str
) -> None:
    before, events = await _resumed(tmp_path)
    fold: Any = AgUiRun("t", "r", before=before)
    if kind == "vercel":
        fold = UiMessageStream("m", before=before)
    told = [*fold.begin()]
    for event in events:
        told += fold.take(event)
        assert not fold.suspended
    ids = [one["toolCallId"] for one in told if "toolCallId" in one]
    assert ids == ["reply-1", "reply-0"]
    assert isinstance(events[-1], AgentEnd)


async def test_the_run_waits_for_the_person_although_no_reply_has_come(tmp_path: Path) -> None:
    await left(tmp_path)
    with anyio.fail_after(30):
        async with tether.host.open(make_agent, store=FolderStore(tmp_path)) as host:
            talk = await host.conversation("t")
            fold = AgUiRun("t", "r", before=talk.agent.messages)
            async for _, event in talk.follow(talk.number):
                for _ in fold.take(event):
                    pass
                if fold.suspended:
                    break
            assert [question.id for question in fold.questions] == ["reply-1"]
