"""A secret that is cut anywhere between neighbours stands in a recording neither whole nor in pieces."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from tether import Agent, ToolContext, tool
from tether.deltas import BlockEnd, TextDelta, ThinkingDelta
from tether.events import (
    Event,
    MessageEnd,
    MessageUpdate,
    ToolExecutionEnd,
    ToolExecutionUpdate,
    TurnStart,
)
from tether.messages import Text, Thinking, ToolResultMessage, UserMessage
from tether.replay import RecordedRun, read, record, replay
from tether.replay.held import Held
from tether.replay.masking import MASK, Masking
from tether.replay.values import encoded
from tether.serialize import to_builtins
from tether.testing import ScriptedModel, call
from tether.tools import ToolResult

SECRET = 'QXZJ"\\é%QZXX'


def _texts(value: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find all strings, each with the names on the way to it."""
    match value:
        case str():
            yield names, value
        case dict():
            for key, one in value.items():
                yield from _texts(one, (*names, key, str(value.get("type"))))
        case list():
            for one in value:
                yield from _texts(one, names)
        case _:
            pass


def _joined(data: bytes) -> Sequence[str]:
    """Join what stands at the same place of all notes, and of all notes whatever their blocks are."""
    texts: dict[object, str] = {}
    for line in data.splitlines():
        kind, _, said = json.loads(line)
        for names, text in _texts(said):
            for name in ((kind, names), (kind, names[::2])):
                texts[name] = texts.get(name, "") + text
    return [*texts.values()]


async def _replayed(run: RecordedRun) -> None:
    async with replay(run) as events:
        assert [event async for event in events] == [*run.events]


@tool
async def show(context: ToolContext[Any], pieces: list[int]) -> ToolResult:
    """Show."""
    parts = _cut(SECRET, pieces)
    for part in parts:
        await context.update(part)
        await context.update(details={"line": part, "level": "info"})
    for part in parts:
        await context.update(details=part)
        await context.update([Text("all:"), Text(part)])
    lines = ["of", *parts]
    await context.update(list(map(Text, lines)), details=[{"at": line} for line in lines])
    return ToolResult(list(map(Text, lines)), details={"lines": lines})


def _cut(text: str, cuts: Sequence[int]) -> list[str]:
    ends = [0, *sorted({cut % len(text) for cut in cuts} - {0}), len(text)]
    parts = [text[one:other] for one, other in pairwise(ends)]
    return [f"the {parts[0]}", *parts[1:-1], f"{parts[-1]} ends"]


def _reply(parts: Sequence[str], *, is_thought: bool) -> list[Any]:
    """Say parts in a block each, of which every other one may be a thought, each in two deltas."""
    said: list[Any] = []
    for index, part in enumerate(parts):
        thinks = is_thought and index % 2
        kind: Any = ThinkingDelta if thinks else TextDelta
        said += [kind(part[:2], index), kind(part[2:], index)]
        said.append(BlockEnd((Thinking if thinks else Text)(part), index))
    return said


async def _record(path: Path, cuts: Sequence[int], *, is_thought: bool) -> None:
    parts = _cut(SECRET, cuts)
    reply = _reply(parts, is_thought=is_thought)
    child = Agent(ScriptedModel(reply), name="child")
    calls = [call("show", pieces=[*cuts]), call("child", prompt="Go.")]
    agent = Agent(
        ScriptedModel(calls, reply),
        tools=[show, child.as_tool(name="child", description="Ask.")],
    )
    with record(agent, path, secrets=[SECRET]) as recorder:
        await agent.prompt(UserMessage(list(map(Text, parts))))
    assert recorder.failure is None
    [run] = read(path).runs
    await _replayed(run)


@settings(max_examples=6)
@given(st.lists(st.integers(1, len(SECRET) - 1), min_size=1, max_size=3), st.booleans())
def test_a_secret_cut_between_neighbours_is_in_no_recording(
    cuts: Sequence[int], is_thought: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.jsonl")
        anyio.run(lambda: _record(path, cuts, is_thought=is_thought))
        data = path.read_bytes()
    texts = _joined(data)
    assert sum(MASK in text for text in texts) > 10
    halves = [part.removeprefix("the ").removesuffix(" ends") for part in _cut(SECRET, cuts)]
    for part in (SECRET, *(half for half in halves if len(half) > 2)):
        assert not any(part in text for text in texts), part
        assert json.dumps(part)[1:-1].encode() not in data


def _events_of(parts: Sequence[str], kind: str) -> list[Event]:
    match kind:
        case "deltas":
            return [MessageUpdate(TextDelta(part)) for part in parts]
        case "blocks":
            return [MessageUpdate(delta) for delta in _reply(parts, is_thought=False)]
        case "thoughts":
            return [MessageUpdate(ThinkingDelta(part, place)) for place, part in enumerate(parts)]
        case "details":
            return [ToolExecutionUpdate("1", "show", details=[part, "x"]) for part in parts]
        case "contents":
            return [ToolExecutionUpdate("2", "show", (Text(part),)) for part in parts]
        case _:
            below = (MessageUpdate(TextDelta(part)) for part in parts)
            return [ToolExecutionUpdate("3", "child", event=event) for event in below]


CUTS = st.lists(st.integers(1, len(SECRET) - 1), max_size=3)
REPLIES = st.sampled_from(["deltas", "blocks", "thoughts"])


@settings(max_examples=20)
@given(REPLIES, st.tuples(CUTS, CUTS, CUTS, CUTS), st.randoms())
def test_notes_come_out_in_order_and_without_a_secret_whatever_stands_between(
    reply: str, cuts: Sequence[Sequence[int]], random: Any
) -> None:
    kinds = (reply, "details", "contents", "child")
    left = [_events_of(_cut(SECRET, cut), kind) for kind, cut in zip(kinds, cuts, strict=True)]
    held, data, count = Held(Masking([SECRET])), b"", 0
    while any(left):
        events = random.choice([one for one in left if one])
        for event in (events.pop(0), *random.choice([[], [TurnStart(1)]])):
            held.add("event", count, to_builtins(event), event)
            count += 1
            data += b"".join(encoded(note) + b"\n" for note in held.ready())
    held.end()
    data += b"".join(encoded(note) + b"\n" for note in held.ready())
    assert [json.loads(line)[1] for line in data.splitlines()] == [*range(count)]
    assert not any(SECRET in text for text in _joined(data))
    assert SECRET[-4:] not in data.decode()


def test_no_more_waits_than_a_secret_may_have_begun_in() -> None:
    held = Held(Masking(["key-xxyz"]))

    def told(event: Event) -> int:
        held.add("event", 0.0, to_builtins(event), event)
        return len(held.ready())

    assert told(ToolExecutionUpdate("1", "show", (Text("look"),))) == 0
    assert told(TurnStart(1)) == 0
    assert told(ToolExecutionUpdate("1", "show", (Text("look"),))) == 2
    assert told(ToolExecutionUpdate("2", "show", details="a key")) == 0
    result = ToolResultMessage("1", "show", "")
    assert told(ToolExecutionEnd("1", "show", result, 0.0)) == 1
    assert told(ToolExecutionEnd("2", "show", result, 0.0)) == 3
    assert told(MessageEnd(result)) == 1
    assert told(ToolExecutionUpdate("3", "child", event=MessageUpdate(TextDelta("a key")))) == 0
    assert told(ToolExecutionUpdate("3", "child", details="a key")) == 0
    assert told(ToolExecutionUpdate("3", "child", event=MessageEnd(result))) == 1
    assert told(ToolExecutionUpdate("3", "child", details="hole")) == 3
