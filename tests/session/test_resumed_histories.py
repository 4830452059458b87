"""Random histories of calls that a process has left open: each call becomes what its notes say."""

import itertools
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import anyio
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st
from tests.session.stores import MemoryStore

from tether import (
    Agent,
    AssistantMessage,
    Event,
    MessageEnd,
    Session,
    ToolCall,
    ToolContext,
    ToolResultMessage,
    UserMessage,
    tool,
)
from tether.calls import CallBegun, CallEnded, CallFate, OpenCalls
from tether.messages import Outcome, StopReason
from tether.testing import Backend, ScriptedModel, check_events, check_transcript

Note: TypeAlias = Literal["begun", "result"]
RESULT: Final = "what it gave"


@frozen
class History:
    """What a process has left of the calls of a reply."""

    idempotent: Sequence[bool]
    """Of each call, whether its tool is."""
    notes: Sequence[tuple[Note, int]] = ()
    """In the order in which they were written: a call, by its place, has begun or ended."""
    told: int = 0
    """The results of so many calls are in the conversation, from the first on."""
    prompt: str | None = None
    incomplete: bool = False
    crashes: Sequence[int] = field(default=())
    """How many entries each of the processes has written that came after, and were killed too."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    idempotent = draw(st.lists(st.booleans(), min_size=1, max_size=5))
    count = len(idempotent)
    incomplete = draw(st.integers(0, 5)) == 0
    steps: list[tuple[Note, int]] = []
    for place in range(count):
        reached = draw(st.integers(0, 2)) if not incomplete else 0
        done: list[tuple[Note, int]] = [("begun", place), ("result", place)]
        steps += done[:reached]
    # Calls run at once: their notes come in any order, each call's own in theirs.
    order = draw(st.permutations([place for _, place in steps]))
    left = {place: iter([note for note, one in steps if one == place]) for place in range(count)}
    notes = [(next(left[place]), place) for place in order]
    ended = {place for note, place in notes if note == "result"}
    whole = next((n for n in range(count) if n not in ended), count)
    return History(
        idempotent,
        notes,
        draw(st.integers(0, whole)),
        draw(st.sampled_from([None, None, "No, wait."])),
        incomplete,
        draw(st.lists(st.integers(0, 12), max_size=3)),
    )


def left(history: History) -> list[Any]:
    """The entries of the log that it is."""
    session = Session(store := MemoryStore())
    session.record(UserMessage("go", id="prompt"))
    calls = [
        ToolCall(f"c{place}", "again" if again else "once", {})
        for place, again in enumerate(history.idempotent)
    ]
    stop: StopReason = "aborted" if history.incomplete else "tool_calls"
    session.record(AssistantMessage(calls, stop_reason=stop, id="reply"))
    for note, place in history.notes:
        if note == "begun":
            session.note_call(CallBegun(f"c{place}"))
        else:
            session.note_call(CallEnded(_result(history, place)))
    for place in range(history.told):
        session.record(_result(history, place))
    return store.kept


def _result(history: History, place: int) -> ToolResultMessage:
    name = "again" if history.idempotent[place] else "once"
    return ToolResultMessage(f"c{place}", name, RESULT, id=f"reply.{place + 1}")


async def resumed(kept: Sequence[Any], prompt: str | None) -> tuple[Agent, list[Any], list[str]]:
    """Run it; return the agent, what its store has taken, and which calls have begun."""
    ran: list[str] = []

    async def work(context: ToolContext[None]) -> str:
        ran.append(context.call_id)
        await anyio.lowlevel.checkpoint()
        return RESULT

    store = MemoryStore(kept)
    session = Session(store)
    check_transcript(session.messages)
    tools = [
        tool(name="once", description="Once.")(work),
        tool(name="again", description="Again.", idempotent=True)(work),
    ]
    agent = Agent(ScriptedModel("Fine."), tools=tools, session=session)
    opened = session.open_calls
    events: list[Event] = []
    with anyio.fail_after(30):
        async with agent.run(prompt) as run:
            async for event in run:
                events.append(event)
    check_events(events)
    check_transcript(agent.messages)
    assert session.messages == agent.messages
    told = [event.message for event in events if isinstance(event, MessageEnd)]
    assert told == [*agent.messages[-len(told) :]]
    if opened is not None:
        _as_foretold(opened, agent, ran, runs=prompt is None)
    return agent, store.kept, ran


def _as_foretold(left: OpenCalls, agent: Agent, ran: Sequence[str], *, runs: bool) -> None:
    results = {one.call_id: one for one in agent.messages if isinstance(one, ToolResultMessage)}
    outcomes: dict[CallFate, Outcome] = {
        "run": "ok",
        "run again": "ok",
        "kept": "ok",
        "interrupted": "interrupted",
        "skipped": "skipped",
    }
    for one in left.calls:
        fate = left.fate(one, idempotent=one.name == "again", runs=runs)
        kept = left.ended.get(one.id)
        expected = outcomes[fate] if kept is None else kept.result.outcome
        assert results[one.id].outcome == expected, (fate, results[one.id])
        assert (one.id in ran) == (fate in {"run", "run again"})


async def try_history(history: History) -> None:
    kept, ran = left(history), list[str]()
    begun = {f"c{place}" for note, place in history.notes if note == "begun"}
    for after in history.crashes:
        if Session(MemoryStore(kept)).open_calls is None:
            return
        _, more, now = await resumed(kept, None)
        # The process was killed when it had written so many entries; what it did until then counts.
        kept = more[: len(kept) + after]
        noted = {entry.data["call_id"] for entry in kept if entry.kind == "begun"}
        ran += [call_id for call_id in now if call_id in noted - begun]
        begun |= noted
    if Session(MemoryStore(kept)).open_calls is None:
        return
    agent, _, now = await resumed(kept, history.prompt)
    ran += now
    for place, again in enumerate(history.idempotent):
        assert again or ran.count(f"c{place}") + (("begun", place) in history.notes) <= 1
    results = itertools.takewhile(
        lambda message: isinstance(message, ToolResultMessage), agent.messages[2:]
    )
    assert [one.id for one in results] == [f"reply.{n + 1}" for n in range(len(history.idempotent))]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(history=histories())
def test_each_call_becomes_what_its_notes_say(backend: Backend, history: History) -> None:
    anyio.run(try_history, history, backend=backend)
