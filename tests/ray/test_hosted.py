"""Conversations of a host, whose runs are on workers."""

from pathlib import Path

import anyio
import pytest

pytest.importorskip("ray")

from tests.ray import agents

import tether.host
from tether import Agent, AgentEnd, ApprovalRequested, Deny, Session, ToolResultMessage
from tether.ray import Cluster
from tether.stores import SqliteConversations
from tether.testing import call, check_events, check_transcript


async def followed(talk: tether.host.Conversation, prompt: str) -> list[tether.Event]:
    """Say something, and follow the run that answers."""
    events: list[tether.Event] = []
    after = talk.number
    talk.say(prompt)
    async for _, event in talk.follow(after):
        events.append(event)
        if isinstance(event, AgentEnd):
            break
    await talk.wait_idle()
    return events


async def test_a_conversation_outlasts_its_host(cluster: Cluster, tmp_path: Path) -> None:
    def make(talk: tether.host.Conversation) -> Agent:
        return cluster.agent(agents.counting, approve=talk.approve)

    store = SqliteConversations(tmp_path / "app.db")
    with anyio.fail_after(60):
        async with tether.host.open(make, store=store) as host:
            talk = await host.conversation("trip")
            check_events(await followed(talk, "One"))
            check_events(await followed(talk, "Two"))
        async with tether.host.open(make, store=store) as host:
            talk = await host.conversation("trip")
            check_events(await followed(talk, "Three"))
            replies = [m.text for m in talk.agent.messages if m.role == "assistant"]
            assert replies == ["1", "3", "5"]
    store.close()


@pytest.mark.parametrize(("verdict", "outcome"), [("once", "ok"), (Deny("no"), "denied")])
async def test_a_question_outlasts_its_host(
    cluster: Cluster, tmp_path: Path, verdict: tether.Verdict, outcome: str
) -> None:
    script = agents.scripted_by_turn(call("echo", id="a", text="x"), "Done.")

    def make(talk: tether.host.Conversation) -> Agent:
        return cluster.agent(script, approve=talk.approve)

    store = SqliteConversations(tmp_path / "app.db")
    with anyio.fail_after(60):
        async with tether.host.open(make, store=store) as host:
            talk = await host.conversation("trip")
            talk.say("Go")
            async for _, event in talk.follow():
                if isinstance(event, ApprovalRequested):
                    break
        async with tether.host.open(make, store=store) as host:
            talk = await host.conversation("trip")
            assert [(one.call_id, one.arguments) for one in talk.waiting] == [("a", {"text": "x"})]
            talk.answer("a", verdict)
            await talk.wait_idle()
            said = talk.agent.messages
    check_transcript(said)
    assert [one.role for one in said] == ["user", "assistant", "tool", "assistant"]
    assert [one.outcome for one in said if isinstance(one, ToolResultMessage)] == [outcome]
    store.close()


async def test_a_question_is_noted_where_the_conversation_is(
    cluster: Cluster, tmp_path: Path
) -> None:
    with Session(tmp_path / "log.jsonl") as session:
        script = agents.scripted(call("echo", id="a", text="x"), "Done.")
        agent = cluster.agent(script, session=session, approve=lambda _: True)
        await agent.prompt("Go")
        kinds = [entry.kind for entry in session.branch]
        notes = [kind for kind in kinds if kind in {"asked", "begun", "result"}]
    assert notes == ["asked", "begun", "result"]
