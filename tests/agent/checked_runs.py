"""Runs that are checked as they go, the tools that they call, and what they leave."""

from collections.abc import Sequence

import anyio

from tether import Agent, Event, ToolResultMessage, tool
from tether.model import ModelMessage
from tether.testing import ScriptedModel, check_events, check_transcript

GUARD = 60


@tool
async def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@tool
async def fail() -> str:
    """Fail."""
    raise ValueError("no luck")


async def events_of(
    agent: Agent, prompt: str | None = "go", *, complete: bool = True
) -> list[Event]:
    events: list[Event] = []
    with anyio.fail_after(GUARD):
        async with agent.run(prompt) as run:
            async for event in run:
                events.append(event)
    check_events(events, complete=complete)
    check_transcript(agent.messages)
    return events


def kinds(events: Sequence[Event]) -> list[type]:
    return [type(event) for event in events]


def results(agent: Agent) -> list[ToolResultMessage]:
    return [message for message in agent.messages if isinstance(message, ToolResultMessage)]


def last_request(model: ScriptedModel) -> list[ModelMessage]:
    return list(model.requests[-1].messages)
