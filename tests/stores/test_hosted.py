"""A host that keeps its conversations in a database."""

import anyio
import pytest
from tests.stores.conftest import Place

import tether.host
from tether import Agent, AgentEnd, BusyError
from tether.testing import ScriptedModel


def _agent(conversation: object) -> Agent:
    del conversation
    return Agent(ScriptedModel("Good morning.", "Good night."))


async def _said(talk: tether.host.Conversation, prompt: str) -> None:
    after = talk.number
    talk.say(prompt)
    async for _, event in talk.follow(after):
        if isinstance(event, AgentEnd):
            return


async def test_a_conversation_outlasts_its_host(place: Place) -> None:
    with anyio.fail_after(60):
        async with tether.host.open(_agent, store=place.conversations()) as host:
            talk = await host.conversation("trip")
            await _said(talk, "Good evening.")
            talk.title = "Greetings"
        async with tether.host.open(_agent, store=place.conversations()) as host:
            [info] = await host.conversations(search="evening")
            assert (info.id, info.title, info.messages) == ("trip", "Greetings", 2)
            talk = await host.conversation("trip")
            assert [message.role for message in talk.agent.messages] == ["user", "assistant"]
            await _said(talk, "Farewell.")
            assert len(talk.agent.messages) == 4


async def test_two_hosts_do_not_write_to_the_same_conversation(place: Place) -> None:
    with anyio.fail_after(60):
        async with tether.host.open(_agent, store=place.conversations()) as first:
            await _said(await first.conversation("trip"), "Good evening.")
            async with tether.host.open(_agent, store=place.conversations()) as second:
                with pytest.raises(BusyError, match="another writes to the conversation 'trip'"):
                    await second.conversation("trip")
                await _said(await second.conversation("other"), "Good evening.")
                await second.delete("other")
                assert await second.conversations(search="morning") == await first.conversations()
