"""Conversations whose process has ended in the middle of calls: they go on, and their questions wait."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from tests.host.hosting import check_log, danger, everything

import tether.host
from tether import (
    Agent,
    AssistantMessage,
    Deny,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.calls import CallAsked, CallBegun, CallEnded, CallNote
from tether.host import Conversation, FolderStore, LimitReachedError, Store
from tether.stores import SqliteConversations
from tether.testing import Pause, ScriptedModel, call

GUARD = 60


def makes(*replies: object) -> Callable[[Conversation], Agent]:
    def make(talk: Conversation) -> Agent:
        return Agent(ScriptedModel(*replies), tools=[danger], approve=talk.approve)  # type: ignore[arg-type]

    return make


def outcomes(messages: object) -> list[str]:
    assert isinstance(messages, tuple | list)
    return [one.outcome for one in messages if isinstance(one, ToolResultMessage)]


async def left(folder: Path, *notes: CallNote, id: str = "c") -> None:
    """Leave a conversation as a process leaves it that is killed."""
    session = await FolderStore(folder).open(id, "", create=True)
    assert session is not None
    with session:
        session.record(UserMessage("go", id="prompt"))
        calls = [ToolCall(name, "danger", {"what": name}) for name in ("a", "b")]
        session.record(AssistantMessage(calls, stop_reason="tool_calls", id="reply"))
        for note in notes:
            session.note_call(note)


def ended(call_id: str) -> CallEnded:
    return CallEnded(ToolResultMessage(call_id, "danger", "did", id=f"{call_id}.then"))


ASKED = (CallBegun("a"), ended("a"), CallAsked("b", "danger", {"what": "b"}))


@pytest.mark.parametrize(("verdict", "outcome"), [("once", "ok"), (Deny("no"), "denied")])
async def test_a_question_is_answered_by_another_process(
    tmp_path: Path, verdict: Deny, outcome: str
) -> None:
    await left(tmp_path, *ASKED)
    with anyio.fail_after(GUARD):
        async with tether.host.open(makes("Fine."), store=FolderStore(tmp_path)) as host:
            talk = await host.conversation("c")
            assert [asked.call_id for asked in talk.waiting] == ["b"]
            assert talk.state == "waiting"
            talk.answer("b", verdict)
            await talk.wait_idle()
            events = await everything(talk)
            assert [*check_log(events)] == [*talk.agent.messages]
            assert outcomes(talk.agent.messages) == ["ok", outcome]
            assert talk.agent.messages[-1].text == "Fine."
            assert not talk.waiting


async def test_an_answer_may_also_come_after_the_run_has_asked_again(tmp_path: Path) -> None:
    await left(tmp_path, *ASKED)
    with anyio.fail_after(GUARD):
        async with tether.host.open(makes("Fine."), store=FolderStore(tmp_path)) as host:
            talk = await host.conversation("c")
            async for _, event in talk.follow():
                if isinstance(event, tether.ApprovalRequested):
                    break
            assert [asked.call_id for asked in talk.waiting] == ["b"]
            talk.answer("b", "once")
            await talk.wait_idle()
            assert outcomes(talk.agent.messages) == ["ok", "ok"]


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("kept_in", ["folder", "database"])
async def test_a_host_that_is_closed_leaves_its_questions(
    tmp_path: Path, kept_in: str, cancelled: bool
) -> None:
    store: Store = FolderStore(tmp_path)
    if kept_in == "database":
        store = SqliteConversations(tmp_path / "app.db")
    with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
        async with tether.host.open(makes(call("danger", what="it")), store=store) as host:
            talk = await host.conversation("c")
            talk.say("go")
            async for _, event in talk.follow():
                if isinstance(event, tether.ApprovalRequested):
                    break
            if cancelled:
                scope.cancel()
                await anyio.sleep_forever()
    with anyio.fail_after(GUARD):
        async with tether.host.open(makes("Fine."), store=store) as host:
            talk = await host.conversation("c")
            [asked] = talk.waiting
            talk.answer(asked.call_id, "once")
            await talk.wait_idle()
            assert outcomes(talk.agent.messages) == ["ok"]
            assert [*check_log(await everything(talk))] == [*talk.agent.messages]
    if isinstance(store, SqliteConversations):
        store.close()


async def test_a_host_that_is_closed_keeps_what_ended_where_nobody_is_asked(
    tmp_path: Path,
) -> None:
    reached = anyio.Event()
    store = FolderStore(tmp_path)
    with anyio.fail_after(GUARD):
        async with tether.host.open(makes(["He", Pause(reached=reached)]), store=store) as host:
            talk = await host.conversation("c")
            talk.say("go")
            await reached.wait()
        async with tether.host.open(makes(), store=store) as host:
            talk = await host.conversation("c")
            assert talk.state == "idle"
            assert talk.agent.messages[-1].text == "He"


async def test_calls_without_a_question_go_on_when_the_conversation_is_opened(
    tmp_path: Path,
) -> None:
    await left(tmp_path, CallBegun("a"))

    def make(talk: Conversation) -> Agent:
        return Agent(ScriptedModel("Fine."), tools=[danger])

    with anyio.fail_after(GUARD):
        async with tether.host.open(make, store=FolderStore(tmp_path)) as host:
            talk = await host.conversation("c")
            await talk.wait_idle()
            assert outcomes(talk.agent.messages) == ["interrupted", "ok"]
            again = await host.conversation("c")
            assert again is talk


async def test_what_is_said_at_once_is_heard_first(tmp_path: Path) -> None:
    await left(tmp_path, CallBegun("a"), ended("a"))
    with anyio.fail_after(GUARD):
        async with tether.host.open(makes("Fine."), store=FolderStore(tmp_path)) as host:
            talk = await host.conversation("c")
            talk.say("No, wait.")
            await talk.wait_idle()
            assert outcomes(talk.agent.messages) == ["ok", "skipped"]
            assert [*check_log(await everything(talk))] == [*talk.agent.messages]


async def test_where_no_run_may_start_the_question_waits_all_the_same(tmp_path: Path) -> None:
    await left(tmp_path, *ASKED)
    store = FolderStore(tmp_path)

    def make(talk: Conversation) -> Agent:
        replies = [[Pause()]] if talk.id == "busy" else ["Fine."]
        return Agent(ScriptedModel(*replies), tools=[danger], approve=talk.approve)

    with anyio.fail_after(GUARD):
        async with tether.host.open(make, store=store, max_runs=1) as host:
            busy = await host.conversation("busy")
            busy.say("go")
            talk = await host.conversation("c")
            assert talk.state == "idle"
            assert [asked.call_id for asked in talk.waiting] == ["b"]
            with pytest.raises(LimitReachedError):
                talk.answer("b", "once")
            busy.abort()
            await busy.wait_idle()
            talk.answer("b", "once")
            await talk.wait_idle()
            assert outcomes(talk.agent.messages) == ["ok", "ok"]


async def test_an_abort_closes_what_was_left(tmp_path: Path) -> None:
    await left(tmp_path, *ASKED)
    with anyio.fail_after(GUARD):
        async with tether.host.open(makes(), store=FolderStore(tmp_path)) as host:
            talk = await host.conversation("c")
            talk.abort()
            await talk.wait_idle()
            assert outcomes(talk.agent.messages) == ["ok", "skipped"]
    reopened = await FolderStore(tmp_path).open("c", "", create=False)
    assert reopened is not None
    with reopened:
        assert reopened.open_calls is None
