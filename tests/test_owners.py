"""What holds a resource has one owner: it is neither copied nor pickled, and an attempt does no harm."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from tether import Agent, EventStream, Session, UserMessage, blocking, create_event_stream
from tether.stream import EventSink

WAYS: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    pickle.dumps,
    lambda held: copy.deepcopy({"as a part": [held]}),
]


def refused(held: Any, instead: str = "") -> None:
    for way in WAYS:
        with pytest.raises(TypeError, match=rf"{type(held).__name__}: it has one owner{instead}$"):
            way(held)


def test_a_session_goes_on_after_an_attempt_to_copy_it(tmp_path: Path) -> None:
    with Session(tmp_path / "log.jsonl") as session:
        refused(session, "; Session.read opens .*")
        child = session.child("helper", "c1")
        refused(child, ".*")
        child.label("of the child")
        session.label("of the parent")
        assert [entry.kind for entry in session.branch] == ["label"]
        assert [entry.kind for entry in child.branch] == ["child", "label"]
    assert len(Session.read(tmp_path / "log.jsonl").entries) == 3


def test_a_session_that_is_read_is_not_copied_either(tmp_path: Path) -> None:
    Session(tmp_path / "log.jsonl").close()
    refused(Session.read(tmp_path / "log.jsonl"), ".*")


async def test_neither_end_of_a_stream_is_copied() -> None:
    ends: tuple[EventSink[str], EventStream[str, str]] = create_event_stream(max_buffer_size=4)
    sink, stream = ends
    refused(sink)
    refused(stream, "; branch makes .*")
    sink.send_nowait("one")
    sink.end("result")
    assert [event async for event in stream] == ["one"]
    assert await stream.result() == "result"


async def test_a_run_is_not_copied_before_during_and_after_it() -> None:
    agent = Agent("offline")
    pending = agent.run("hello")
    refused(pending)
    async with pending as run:
        refused(run, "; branch makes .*")
        assert (await run.result()).stop_reason == "stop"
    refused(run, ".*")


async def test_an_attempt_to_copy_an_iterator_does_not_end_its_run() -> None:
    async with anyio.create_task_group() as tasks:
        pieces = Agent("offline").stream_text("hello", tasks)
        refused(pieces)
        assert [piece async for piece in pieces]
        assert (await pieces.result()).stop_reason == "stop"


def test_the_handles_of_plain_functions_are_not_copied() -> None:
    with blocking.run(Agent("offline"), "hello") as run:
        stream = run.branch()
        refused(run)
        refused(stream)
        stream.close()
        assert run.result().stop_reason == "stop"


async def test_an_agent_says_how_it_is_copied(tmp_path: Path) -> None:
    for agent in (Agent("offline"), Agent("offline", session=tmp_path / "log.jsonl")):
        with pytest.raises(TypeError, match=r"use agent\.copy\(messages="):
            copy.copy(agent)
        if agent.session is not None:
            agent.session.close()


async def test_a_deep_copy_of_an_agent_has_a_conversation_of_its_own() -> None:
    agent = Agent("offline", messages=[UserMessage("before")])
    other = copy.deepcopy(agent)
    await other.prompt("hello")
    assert len(agent.messages) == 1
    assert len(other.messages) == 3


async def test_an_agent_that_holds_something_is_not_copied_deep(tmp_path: Path) -> None:
    with Session(tmp_path / "log.jsonl") as session:
        agent = Agent("offline", session=session)
        with pytest.raises(TypeError, match="a Session: it has one owner"):
            copy.deepcopy(agent)


async def test_an_agent_is_not_copied_deep_while_it_is_at_work() -> None:
    agent = Agent("offline")
    async with agent.run("hello"):
        with pytest.raises(TypeError, match="a run of the agent is going"):
            copy.deepcopy(agent)
    async with agent.opened():
        with pytest.raises(TypeError, match="the agent is opened"):
            copy.deepcopy(agent)
    assert (await copy.deepcopy(agent).prompt("again")).stop_reason == "stop"
