"""Laws of a log, whatever was told, and wherever a viewer stands."""

import json
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tests.host.hosting import check_log
from tests.short_form import short

from tether import (
    AgentEnd,
    AgentStart,
    AssistantMessage,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    ToolResultMessage,
    TurnEnd,
    TurnStart,
    UserMessage,
)
from tether.deltas import BlockDelta, BlockEnd, ToolCallDelta, ToolCallStart
from tether.host.fragments import Sealed
from tether.host.log import Log
from tether.messages import AssistantBlock

ROOM = 10**9

pieces = st.lists(st.text(max_size=4), min_size=1, max_size=5)


@st.composite
def blocks(draw: st.DrawFn, index: int, calls: bool) -> list[BlockDelta]:
    """The deltas of a block, from its first to its end."""
    match draw(st.sampled_from(["text", "thinking", *(["call"] if calls else [])])):
        case "text":
            texts = draw(pieces)
            deltas = [TextDelta(text, index) for text in texts]
            return [*deltas, BlockEnd(Text("".join(texts)), index)]
        case "thinking":
            texts = draw(pieces)
            thoughts = [ThinkingDelta(text, index) for text in texts]
            return [*thoughts, BlockEnd(Thinking("".join(texts)), index)]
        case _:
            id_, arguments = f"call-{index}", {"text": draw(st.text(max_size=6))}
            written = json.dumps(arguments)
            cut = draw(st.integers(0, len(written)))
            parts = [ToolCallDelta(part, index) for part in (written[:cut], written[cut:])]
            call = ToolCall(id_, "do", arguments)
            return [ToolCallStart(id_, "do", index), *parts, BlockEnd(call, index)]


@st.composite
def replies(draw: st.DrawFn, calls: bool) -> tuple[list[Event], AssistantMessage]:
    """The events of a reply whose blocks come one after the other or interleaved; and the reply."""
    made = [draw(blocks(index, calls)) for index in range(draw(st.integers(1, 3)))]
    ends = [deltas[-1] for deltas in made]
    content = [end.block for end in ends if isinstance(end, BlockEnd)]
    whole = AssistantMessage(content, model="m", stop_reason="stop", id="reply")
    mixed: list[BlockDelta] = []
    if draw(st.booleans()):
        mixed = [delta for deltas in made for delta in deltas]
    else:
        left = [list(deltas) for deltas in made]
        while left:
            one = draw(st.sampled_from(left))
            mixed.append(one.pop(0))
            left = [deltas for deltas in left if deltas]
    begin = evolve(whole, content=(), stop_reason=None)
    updates = [MessageUpdate(delta) for delta in mixed]
    return [MessageStart(begin), *updates, MessageEnd(whole)], whole


@st.composite
def runs(draw: st.DrawFn, deep: bool = True) -> list[Event]:
    """The events of a run, with those of agents within the agent."""
    events: list[Event] = [AgentStart()]
    for turn in range(1, draw(st.integers(1, 3)) + 1):
        events.append(TurnStart(turn))
        if draw(st.booleans()):
            said = UserMessage(draw(st.text(max_size=5)), id="said")
            events += [MessageStart(said), MessageEnd(said)]
        told, reply = draw(replies(deep))
        events += told
        results = [ToolResultMessage(call.id, "do", "done") for call in reply.tool_calls]
        events += draw(calls(results))
        for result in results:
            events += [MessageStart(result), MessageEnd(result)]
        events.append(TurnEnd(turn, reply, tuple(results)))
    return [*events, AgentEnd("stop")]


@st.composite
def calls(draw: st.DrawFn, results: Sequence[ToolResultMessage]) -> list[Event]:
    """The calls of a reply, interleaved."""
    left: list[list[Event]] = []
    for result in results:
        report = partial(ToolExecutionUpdate, result.call_id, "do")
        updates: list[Event] = [report(content=(Text(text),)) for text in draw(pieces)]
        if draw(st.booleans()):
            updates += [report(event=told, path=("child",)) for told in draw(runs(deep=False))]
        start = ToolExecutionStart(result.call_id, "do", {})
        left.append([start, *updates, ToolExecutionEnd(result.call_id, "do", result, 0.1)])
    told: list[Event] = []
    while left:
        told.append(draw(st.sampled_from(left)).pop(0))
        left = [events for events in left if events]
    return told


conversations = st.lists(runs(), min_size=1, max_size=2).map(
    lambda runs: [event for run in runs for event in run]
)


def logged(events: Sequence[Event], max_bytes: int = ROOM) -> Log:
    log = Log(max_bytes=max_bytes)
    for event in events:
        log.append(event)
    return log


def rest(log: Log, number: int) -> Iterator[tuple[int, Event]]:
    """What a viewer gets that has the events up to a number."""
    while (found := log.after(number)) is not None:
        assert found[0] > number
        number = found[0]
        yield found


@given(conversations, st.data())
def test_a_viewer_at_any_number_gets_the_rest_and_nothing_twice(
    events: list[Event], data: st.DataObject
) -> None:
    log = logged(events)
    assert log.number == len(events)
    for number in range(len(events) + 1):
        seen = [*events[:number], *(event for _, event in rest(log, number))]
        assert short(seen) == short(events)
    number = data.draw(st.integers(0, len(events)))
    check_log([*events[:number], *(event for _, event in rest(log, number))])


@given(conversations, st.randoms(use_true_random=True))
def test_viewers_at_any_pace_that_leave_and_come_back_see_the_same(
    events: list[Event], chance: Random
) -> None:
    log = Log(max_bytes=ROOM)
    viewers: list[list[tuple[int, Event]]] = [[] for _ in range(3)]
    for event in events:
        log.append(event)
        for seen in viewers:
            match chance.choice(["read", "sleep", "forget", "anew"]):
                case "read":
                    number = seen[-1][0] if seen else 0
                    seen += list(rest(log, number))[: chance.randint(1, 4)]
                case "forget":
                    del seen[chance.randint(0, len(seen)) :]
                case "anew":
                    seen.clear()
                case _:
                    pass
    for seen in viewers:
        check_log([event for _, event in seen], complete=False)
        seen += rest(log, seen[-1][0] if seen else 0)
        assert short([event for _, event in seen]) == short(events)


@given(conversations, st.data())
def test_a_log_in_its_short_form_is_legal_at_every_moment(
    events: list[Event], data: st.DataObject
) -> None:
    moment = data.draw(st.integers(0, len(events)))
    told = [event for _, event in rest(logged(events[:moment]), 0)]
    assert short(told) == short(events[:moment])
    check_log(told, complete=False)


@given(conversations, st.integers(1, 4000))
def test_a_log_that_is_too_small_lets_go_of_updates_of_tools_alone(
    events: list[Event], max_bytes: int
) -> None:
    log = logged(events, max_bytes)
    told = [event for _, event in rest(log, 0)]
    check_log(told)
    assert _without_updates(told) == _without_updates(events)
    assert list(log.messages()) == [e.message for e in events if isinstance(e, MessageEnd)]


def _without_updates(events: Sequence[Event]) -> Sequence[object]:
    return short([event for event in events if not isinstance(event, ToolExecutionUpdate)])


def _reply(block: AssistantBlock, fragments: Sequence[str]) -> list[Event]:
    whole = AssistantMessage([block], model="m", stop_reason="stop")
    return [
        MessageStart(evolve(whole, content=(), stop_reason=None)),
        *(MessageUpdate(TextDelta(fragment)) for fragment in fragments),
        MessageUpdate(BlockEnd(block)),
        MessageEnd(whole),
    ]


def test_a_viewer_in_the_middle_of_a_merged_piece_gets_its_tail() -> None:
    log = logged(_reply(Text("abcdef"), ["ab", "cd", "ef"]))
    tails = {n: log.after(n) for n in range(1, 4)}
    assert {n: event.text for n, (_, event) in _updates(tails).items()} == {
        1: "abcdef",
        2: "cdef",
        3: "ef",
    }
    assert {number for number, _ in _updates(tails).values()} == {4}


def _updates(
    found: dict[int, tuple[int, Event] | None],
) -> dict[int, tuple[int, MessageUpdate]]:
    updates: dict[int, tuple[int, MessageUpdate]] = {}
    for number, one in found.items():
        assert one is not None
        assert isinstance(one[1], MessageUpdate)
        updates[number] = (one[0], one[1])
    return updates


def test_the_text_of_a_reply_is_held_once() -> None:
    """A log costs eight bytes for a fragment: its text is that of the message."""
    fragments = [f"word {number} and more " for number in range(20_000)]
    log = logged(_reply(Text("".join(fragments)), fragments))
    text = len("".join(fragments))
    assert text < log.size < text + 8 * len(fragments) + 2000
    (piece,) = [piece for piece in log._pieces if isinstance(piece, Sealed)]
    end = log.after(log.number - 2)
    assert end is not None
    assert isinstance(end[1], MessageUpdate)
    assert isinstance(end[1].delta, BlockEnd)
    assert isinstance(end[1].delta.block, Text)
    assert piece.text is end[1].delta.block.text
    assert sys.getsizeof(piece._ends) < 10 * len(fragments)


def test_what_programs_report_of_themselves_can_refer_to_itself() -> None:
    details: dict[str, object] = {}
    details["self"] = details
    log = logged([ToolExecutionUpdate("call", "do", details=details)])
    assert log.number == 1
