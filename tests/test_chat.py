"""A conversation as an async generator, and the face for programs without an event loop."""

import collections.abc
import gc
import threading
from typing import Any

import anyio
import pytest

from tether import (
    Agent,
    AgentEnd,
    MessageUpdate,
    ModelError,
    TextDelta,
    ToolContext,
    UsageError,
    blocking,
    tool,
)
from tether.testing import Pause, ScriptedModel, call


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
    chat = Agent(ScriptedModel(Pause(), ModelError("no", kind="server"), "fine")).chat()
    with anyio.move_on_after(0.5):
        await chat.asend("a")
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


BACKENDS: list[Any] = ["asyncio", "trio"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocking_prompts_and_runs(backend: Any) -> None:
    agent = Agent(ScriptedModel("one", "two", [Pause()]))
    assert blocking.prompt(agent, "a", backend=backend).text == "one"
    with blocking.run(agent, "b", backend=backend) as run:
        events = list(run)
        assert run.result().text == "two"
    assert isinstance(events[-1], AgentEnd)
    with blocking.run(agent, "c", backend=backend) as run:
        run.abort()
        assert run.result().stop_reason == "aborted"


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocking_raises_what_failed_and_ends_what_is_left(backend: Any) -> None:
    agent = Agent(ScriptedModel(ModelError("no", kind="server"), [TextDelta("x"), Pause()]))
    with pytest.raises(ModelError, match="no"):
        blocking.prompt(agent, "a", backend=backend)
    with pytest.raises(LookupError), blocking.run(agent, "b", backend=backend) as run:
        next(iter(run))
        raise LookupError
    assert not agent.state.running


def test_blocking_works_in_several_threads_at_once() -> None:
    answers: list[str] = []

    def ask(number: int) -> None:
        answers.append(blocking.prompt(Agent(ScriptedModel(f"{number}")), "?").text)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["0", "1", "2", "3", "4"]


async def test_blocking_is_refused_where_it_would_stop_an_event_loop() -> None:
    with pytest.raises(UsageError, match=r"use `await agent\.prompt"):
        blocking.prompt(Agent(ScriptedModel("x")), "a")

    @tool
    def nested(context: ToolContext[None]) -> str:
        """Ask another agent from a worker thread."""
        return blocking.prompt(Agent(ScriptedModel("x")), "a").text

    agent = Agent(ScriptedModel(call("nested"), "ok"), tools=[nested])
    await agent.prompt("go")
    assert "use anyio.from_thread.run(agent.prompt, ...)" in agent.messages[2].text


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_blocking_chat_is_a_generator(backend: Any) -> None:
    agent = Agent(ScriptedModel("One.", ModelError("gone", kind="server"), "Two.", "Three."))
    chat = blocking.chat(agent, backend=backend)
    assert isinstance(chat, collections.abc.Generator)
    assert chat.send(None) == ""
    assert chat.send("first") == "One."
    with pytest.raises(ModelError, match="gone"):
        chat.send("second")
    assert chat.send("second again") == "Two."
    agent.follow_up("third")
    assert list(chat) == ["Three."]
    chat.close()
    with pytest.raises(StopIteration):
        chat.send("fourth")
    with pytest.raises(LookupError, match="x"):
        blocking.chat(agent).throw(LookupError("x"))
