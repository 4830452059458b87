"""The events that close a run whose worker is lost: with them, what was told is a whole run."""

from typing import Any

import pytest

pytest.importorskip("ray")

from tests.ray import agents

from tether import Agent, AgentEnd, Event
from tether._engine.parts import LiveRun
from tether.limits import Spent
from tether.messages import Failure
from tether.ray.replica import Replica
from tether.testing import ScriptedModel, call, check_events, check_transcript
from tether.transcript import Transcript

SCRIPT: list[Any] = [
    [call("echo", id="a", text="one"), call("report", id="b")],
    ["Let me see. ", call("echo", id="c", text="two")],
    "All is said.",
]


async def whole_run() -> list[Event]:
    agent = Agent(ScriptedModel(*SCRIPT), tools=agents.TOOLS)
    async with agent.run("Go") as run:
        return [event async for event in run]


async def test_a_run_can_be_closed_after_any_event() -> None:
    events = await whole_run()
    for length in range(1, len(events) + 1):
        replica = Replica(Transcript(), LiveRun())
        for event in events[:length]:
            replica.take(event)
        closing = list(replica.closing(Failure("internal", "lost"), Spent()))
        told = [*events[:length], *closing]
        check_events(told)
        check_transcript(replica.transcript)
        assert isinstance(told[-1], AgentEnd)
        assert bool(closing) == (length < len(events))


async def test_a_run_that_has_not_begun_has_nothing_to_close() -> None:
    replica = Replica(Transcript(), LiveRun())
    assert list(replica.closing(Failure("internal", "lost"), Spent())) == []
