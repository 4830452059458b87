"""A conversation as an async generator."""

import collections.abc
import gc

import anyio
import pytest

from tether import Agent, MessageUpdate, ModelError, TextDelta
from tether.testing import Pause, ScriptedModel


async def test_a_chat_is_sent_requests_and_gives_answers() -> None:
    chat = Agent(ScriptedModel("one", "two")).chat()
    assert isinstance(chat, collections.abc.AsyncGenerator)
    assert await chat.asend("a") == "one"
    assert await chat.asend("b") == "two"


async def test_priming_does_nothing() -> None:
    chat = Agent(ScriptedModel("one")).chat()
    assert await chat.asend(None) == ""
    assert await chat.asend("a") == "one"


async def test_iterating_answers_what_waits() -> None:
    agent = Agent(ScriptedModel("one", "two"))
    agent.follow_up("a")
    assert [answer async for answer in agent.chat()] == ["one"]
    agent.steer("b")
    assert [answer async for answer in agent.chat()] == ["two"]


async def test_a_closed_chat_ends_and_the_agent_goes_on() -> None:
    agent = Agent(ScriptedModel("one", "two"))
    chat = agent.chat()
    await chat.aclose()
    with pytest.raises(StopAsyncIteration):
        await chat.asend("a")
    with pytest.raises(LookupError, match="thrown"):
        await agent.chat().athrow(LookupError("thrown"))
    assert await agent.chat().asend("b") == "one"


async def test_a_cancelled_send_and_a_failed_one_leave_the_conversation_usable() -> None:
    reached = anyio.Event()
    model = ScriptedModel(Pause(reached=reached), ModelError("no", kind="server"), "fine")
    chat = Agent(model).chat()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chat.asend, "a")
        await reached.wait()
        tasks.cancel_scope.cancel()
    with pytest.raises(ModelError):
        await chat.asend("b")
    assert await chat.asend("c") == "fine"
    del chat
    gc.collect()


async def test_a_send_may_be_followed() -> None:
    chat = Agent(ScriptedModel("Hello there.")).chat()
    async with chat.events("a") as run:
        deltas = [
            e.delta.text
            async for e in run
            if isinstance(e, MessageUpdate) and isinstance(e.delta, TextDelta)
        ]
    assert deltas == ["Hello", " there."]
