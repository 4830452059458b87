"""Hosts with scripted agents, and what their viewers are shown."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

import tether
from tether import (
    Agent,
    AgentEnd,
    AgentStart,
    Event,
    Message,
    MessageEnd,
    MessageStart,
    UserMessage,
    tool,
)
from tether.host import Conversation, Host
from tether.testing import Reply, ScriptedModel, check_events


@tool
async def danger(what: str) -> str:
    """Do something dangerous."""
    return f"did {what}"


def scripted(*replies: Reply, **options: Any) -> Callable[[Conversation], Agent]:
    """A `make_agent`: each agent plays the script from its start."""

    def make(talk: Conversation) -> Agent:
        return Agent(ScriptedModel(*replies), tools=[danger], approve=talk.approve, **options)

    return make


@asynccontextmanager
async def hosting(*replies: Reply, **options: Any) -> AsyncIterator[Host]:
    """A host whose agents play a script, guarded against waiting for ever."""
    with anyio.fail_after(30):
        async with tether.host.open(scripted(*replies), **options) as host:
            yield host


async def told(talk: Conversation, prompt: str | UserMessage) -> Sequence[tuple[int, Event]]:
    """Say something, and follow the conversation to the end of the run."""
    before = talk.number
    talk.say(prompt)
    seen: list[tuple[int, Event]] = []
    async for number, event in talk.follow(before):
        seen.append((number, event))
        if isinstance(event, AgentEnd):
            break
    await talk.wait_idle()
    return seen


async def everything(talk: Conversation) -> Sequence[Event]:
    """What a viewer is shown who comes now."""
    viewer = talk.follow()
    return [(await anext(viewer))[1] for _ in iter(lambda: viewer.number < talk.number, False)]


def check_log(events: Iterable[Event], *, complete: bool = True) -> Sequence[Message]:
    """Check that events from the beginning of a log are legal, and return the messages that have ended."""
    told = list(events)
    kept = 0
    while kept < len(told) and not isinstance(told[kept], AgentStart):
        start, end = told[kept : kept + 2]
        assert isinstance(start, MessageStart)
        assert isinstance(end, MessageEnd)
        assert start.message == end.message
        kept += 2
    run: list[Event] = []
    for event in told[kept:]:
        run.append(event)
        if isinstance(event, AgentEnd):
            check_events(run)
            run = []
    if run:
        assert not complete
        check_events(run, complete=False)
    return [event.message for event in told if isinstance(event, MessageEnd)]
