"""`check_events` accepts the runs that the grammar of events allows, and shows where another breaks it."""

import re
from collections.abc import Sequence

import pytest
from attrs import evolve

from tether import (
    AgentEnd,
    AgentStart,
    ApprovalAnswered,
    ApprovalRequested,
    AssistantMessage,
    Event,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    ModelRetry,
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
from tether.deltas import BlockEnd, ToolCallDelta, ToolCallStart
from tether.messages import Failure
from tether.testing import check_events

HI = UserMessage("hi", id="u1")
SHOWN = [
    MessageUpdate(ThinkingDelta("hm")),
    MessageUpdate(BlockEnd(Thinking("hm"))),
    MessageUpdate(TextDelta("on ", 1)),
    MessageUpdate(TextDelta("it", 1)),
    MessageUpdate(BlockEnd(Text("on it"), 1)),
    MessageUpdate(ToolCallStart("c1", "add", 2)),
    MessageUpdate(ToolCallStart("c2", "sub", 3)),
    MessageUpdate(ToolCallDelta('{"x"', 2)),
    MessageUpdate(ToolCallDelta(":1}", 2)),
    MessageUpdate(BlockEnd(ToolCall("c1", "add", {"x": 1}), 2)),
    MessageUpdate(BlockEnd(ToolCall("c2", "sub"), 3)),
]
CALLING = AssistantMessage(
    [Thinking("hm"), Text("on it"), ToolCall("c1", "add", {"x": 1}), ToolCall("c2", "sub")],
    stop_reason="tool_calls",
    id="a1",
)
R1 = ToolResultMessage("c1", "add", "3", id="r1")
R2 = ToolResultMessage("c2", "sub", "no", outcome="denied", id="r2")
RETRY = ModelRetry(1, 0.5, Failure("overloaded", "busy"))
DONE = AssistantMessage([Text("done")], id="a2")
EMPTY = AssistantMessage(())

CHILD: list[Event] = [
    AgentStart(),
    TurnStart(1),
    MessageStart(UserMessage("sum")),
    MessageEnd(UserMessage("sum")),
    MessageStart(EMPTY),
    MessageUpdate(TextDelta("3")),
    MessageUpdate(BlockEnd(Text("3"))),
    MessageEnd(AssistantMessage([Text("3")])),
    TurnEnd(1, AssistantMessage([Text("3")])),
    AgentEnd("stop"),
]

RUN: list[Event] = [
    AgentStart(),
    TurnStart(1),
    MessageStart(HI),
    MessageEnd(HI),
    RETRY,
    RETRY,
    MessageStart(EMPTY),
    *SHOWN,
    MessageEnd(CALLING),
    ToolExecutionStart("c1", "add", {"x": 1}),
    ToolExecutionStart("c2", "sub", {}),
    ApprovalRequested("c1", "add", {"x": 1}),
    ToolExecutionUpdate("c1", "add", details=1),
    ApprovalAnswered("c1", "add", "once"),
    ToolExecutionEnd("c2", "sub", R2, 0.0),
    *(ToolExecutionUpdate("c1", "add", event=event, path=("kid",)) for event in CHILD),
    ToolExecutionEnd("c1", "add", R1, 0.1),
    MessageStart(R1),
    MessageEnd(R1),
    MessageStart(R2),
    MessageEnd(R2),
    TurnEnd(1, CALLING, (R1, R2)),
    TurnStart(2),
    MessageStart(EMPTY),
    MessageUpdate(TextDelta("done")),
    MessageUpdate(BlockEnd(Text("done"))),
    MessageEnd(DONE),
    TurnEnd(2, DONE),
    AgentEnd("stop"),
]


def replaced(old: Event, *new: Event, events: Sequence[Event] = RUN) -> list[Event]:
    """The run with other events in place of the first that equals `old`."""
    place = list(events).index(old)
    return [*events[:place], *new, *events[place + 1 :]]


def faults(events: Sequence[Event], *, complete: bool = True) -> str:
    with pytest.raises(AssertionError) as raised:
        check_events(events, complete=complete)
    return str(raised.value).splitlines()[0]


def test_a_whole_run_passes() -> None:
    check_events(RUN)
    check_events(CHILD)


def test_every_beginning_of_a_run_is_one_that_was_cut_off_and_none_is_whole() -> None:
    for length in range(len(RUN)):
        check_events(RUN[:length], complete=False)
        assert "the run has no end" in faults(RUN[:length])


def test_no_event_can_be_left_out_but_those_that_need_not_come() -> None:
    passed: list[Event] = []
    for place, event in enumerate(RUN):
        try:
            check_events([*RUN[:place], *RUN[place + 1 :]])
        except AssertionError:
            continue
        passed.append(event)
    assert passed == [RETRY, RETRY, ToolExecutionUpdate("c1", "add", details=1)]


def test_no_event_can_come_twice_but_those_that_may() -> None:
    passed: list[Event] = []
    for place, event in enumerate(RUN):
        try:
            check_events([*RUN[:place], event, *RUN[place:]])
        except AssertionError:
            continue
        passed.append(event)
    assert passed == [RETRY, RETRY, ToolExecutionUpdate("c1", "add", details=1)]


def test_neighbours_change_places_only_where_tools_or_blocks_interleave() -> None:
    passed: list[tuple[int, int]] = []
    for place in range(len(RUN) - 1):
        first, second = RUN[place : place + 2]
        try:
            check_events([*RUN[:place], second, first, *RUN[place + 2 :]])
        except AssertionError:
            continue
        passed.append((place, place + 1))
    retries = [(4, 5)]
    blocks = [(8, 9), (11, 12), (12, 13), (13, 14), (16, 17)]
    executions = [(19, 20), (20, 21), (21, 22), (22, 23), (23, 24), (24, 25)]
    assert passed == [*retries, *blocks, *executions]


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([TurnStart(1)], "event 0: TurnStart before the run began; next is AgentStart"),
        (
            replaced(TurnStart(1), TurnStart(2)),
            "event 1: turn 2 follows turn 0",
        ),
        (
            replaced(MessageEnd(HI), MessageEnd(UserMessage("ho", id="u1"))),
            "event 3: it began as UserMessage(content=(Text(text='hi'",
        ),
        (
            replaced(MessageStart(EMPTY), MessageStart(DONE)),
            "event 6: a reply begins with something in it",
        ),
        (
            replaced(MessageStart(EMPTY), MessageStart(evolve(EMPTY, id="a9"))),
            "event 18: reply 'a9' ends as 'a1'",
        ),
        (
            replaced(SHOWN[3], MessageUpdate(TextDelta("that", 1))),
            "event 11: block 1 ends as Text(text='on it', details=None), but its deltas made 'on that'",
        ),
        (
            replaced(SHOWN[8], MessageUpdate(ToolCallDelta(":2}", 2))),
            "event 16: block 2 ends as ToolCall(id='c1'",
        ),
        (
            replaced(SHOWN[8]),
            """event 15: block 2 ends as ToolCall(id='c1', name='add', arguments={'x': 1}, malformed=None"""
            """, details=None), but its deltas are not JSON: '{"x"'""",
        ),
        (
            replaced(SHOWN[4]),
            "event 17: the reply ends while its blocks [1] are open",
        ),
        (
            replaced(MessageEnd(CALLING), MessageEnd(evolve(CALLING, content=[Text("on it")]))),
            "event 18: the reply ends as (Text(text='on it'",
        ),
        (
            replaced(
                ToolExecutionStart("c1", "add", {"x": 1}),
                ToolExecutionStart("c3", "add", {"x": 1}),
            ),
            "event 19: the reply makes no call 'c3', but ['c1', 'c2']",
        ),
        (
            replaced(ToolExecutionStart("c2", "sub", {}), ToolExecutionStart("c2", "add", {})),
            "event 20: 'c2' is a call of 'sub', not of 'add'",
        ),
        (
            replaced(
                ToolExecutionUpdate("c1", "add", details=1),
                ToolExecutionStart("c1", "add", {"x": 1}),
            ),
            "event 22: 'c1' starts again",
        ),
        (
            replaced(
                ToolExecutionEnd("c1", "add", R1, 0.1),
                ToolExecutionEnd("c1", "add", R1, 0.1),
                ToolExecutionUpdate("c1", "add"),
            ),
            "event 36: 'c1' is not running",
        ),
        (
            replaced(
                ToolExecutionEnd("c1", "add", R1, 0.1), ToolExecutionEnd("c1", "add", R2, 0.1)
            ),
            "event 35: 'c1' ends with a result of [sub 'c2'] (denied): 'no'",
        ),
        (
            replaced(ToolExecutionEnd("c1", "add", R1, 0.1)),
            "event 35: the result of 'c1' comes, but ['c1'] are running",
        ),
        (
            [
                event
                for event in RUN
                if not (isinstance(event, ToolExecutionStart | ToolExecutionEnd))
                or event.call_id != "c2"
            ],
            "event 34: the result of 'c1' comes, but ['c2'] have not started",
        ),
        (
            replaced(MessageStart(R1), MessageStart(R2)),
            "event 36: the result of 'c2' comes; due is ['c1']",
        ),
        (
            replaced(MessageStart(R1), MessageStart(evolve(R1, outcome="timeout"))),
            "event 36: its call ended with ToolResultMessage(call_id='c1'",
        ),
        (
            [event for event in RUN if event not in (MessageStart(R2), MessageEnd(R2))],
            "event 38: the turn ends without a result for ['c2']",
        ),
        (
            replaced(TurnEnd(1, CALLING, (R1, R2)), TurnEnd(1, CALLING, (R2, R1))),
            "event 40: TurnEnd has other results than its turn",
        ),
        (
            replaced(TurnEnd(2, DONE), TurnEnd(2, CALLING)),
            "event 46: TurnEnd has another reply than its turn",
        ),
        (
            replaced(TurnEnd(2, DONE), TurnEnd(1, DONE)),
            "event 46: turn 2 ends as turn 1",
        ),
        (
            replaced(ApprovalAnswered("c1", "add", "once")),
            "event 34: 'c1' ends with a question open",
        ),
        (
            replaced(ApprovalRequested("c1", "add", {"x": 1})),
            "event 22: nobody has asked about 'c1'",
        ),
        (
            replaced(
                ApprovalAnswered("c1", "add", "once"),
                ApprovalRequested("c1", "add", {"x": 1}),
            ),
            "event 23: 'c1' is asked about already",
        ),
        (
            replaced(
                ApprovalAnswered("c1", "add", "once"),
                ApprovalAnswered("c1", "sub", "once"),
            ),
            "event 23: 'c1' is a call of 'add', not of 'sub'",
        ),
        (
            replaced(AgentEnd("stop"), AgentEnd("limit")),
            "event 47: it ends with limit, limit None",
        ),
        (
            replaced(AgentEnd("stop"), AgentEnd("error")),
            "event 47: it ends with an error and shows none",
        ),
        ([*RUN, AgentStart()], "event 48: AgentStart after the end of the run; next is nothing"),
    ],
)
def test_a_fault_is_named_with_its_place(events: Sequence[Event], fault: str) -> None:
    assert faults(events).startswith(fault)
    if not fault.startswith("the run"):
        assert faults(events, complete=False).startswith(fault)


def incomplete(kept: str) -> list[Event]:
    reply = AssistantMessage([Text(kept)] if kept else (), stop_reason="aborted")
    return [
        AgentStart(),
        TurnStart(1),
        MessageStart(EMPTY),
        MessageUpdate(TextDelta("on ")),
        MessageEnd(reply),
        TurnEnd(1, reply),
        AgentEnd("aborted"),
    ]


def test_a_cut_off_reply_keeps_at_least_what_was_shown() -> None:
    """Its last delta may have arrived and not been told any more; what was told is not forgotten."""
    check_events(incomplete("on "))
    check_events(incomplete("on it"))
    assert faults(incomplete("on")) == (
        "event 4: the cut-off reply keeps 'on' of 'on ', which was shown"
    )


def test_an_edited_reply_passes_where_replies_are_edited() -> None:
    edited = AssistantMessage([Text("dxxx")], id="a2")
    events = replaced(TurnEnd(2, DONE), TurnEnd(2, edited))
    events = replaced(MessageEnd(DONE), MessageEnd(edited), events=events)
    check_events(events, replies_edited=True)
    assert faults(events).startswith("event 45: the reply ends as")


def nested(*events: tuple[Event, tuple[str, ...]], result: ToolResultMessage = R1) -> list[Event]:
    """A run whose one tool tells these events of children."""
    calling = AssistantMessage([ToolCall("c1", "add")])
    return [
        AgentStart(),
        TurnStart(1),
        MessageStart(EMPTY),
        MessageUpdate(ToolCallStart("c1", "add")),
        MessageUpdate(BlockEnd(ToolCall("c1", "add"))),
        MessageEnd(calling),
        ToolExecutionStart("c1", "add", {}),
        *(ToolExecutionUpdate("c1", "add", event=event, path=path) for event, path in events),
        ToolExecutionEnd("c1", "add", result, 0.1),
        MessageStart(result),
        MessageEnd(result),
        TurnEnd(1, calling, (result,)),
        AgentEnd("terminated"),
    ]


def test_children_run_beside_each_other_and_after_each_other() -> None:
    pairs = [(event, (name,)) for event in CHILD for name in ("kid", "other")]
    check_events(nested(*pairs, *((event, ("kid",)) for event in CHILD)))


def test_a_child_obeys_the_grammar_too() -> None:
    kid = [(event, ("kid",)) for event in CHILD]
    assert faults(nested(*kid[:3], *kid[4:])) == (
        "event 10: from kid in 'c1': MessageStart of a reply inside a message; next is MessageEnd"
    )


def test_a_child_may_be_cut_off_only_if_its_call_was() -> None:
    kid = [(event, ("kid",)) for event in CHILD[:5]]
    check_events(nested(*kid, result=evolve(R1, outcome="interrupted")))
    assert faults(nested(*kid)) == "event 12: child 'kid' of 'c1' stops inside the reply"


def test_a_grandchild_is_checked_where_its_path_names_one_run() -> None:
    inner = [
        event
        for event in nested(*((event, ("leaf",)) for event in CHILD))
        if not isinstance(event, ToolExecutionUpdate)
    ]
    leaf = [(event, ("kid", "leaf")) for event in CHILD]
    kid = [(event, ("kid",)) for event in inner]
    check_events(nested(*kid[:7], *leaf, *kid[7:]))
    assert faults(nested(*kid[:7], *leaf[1:], *kid[7:])) == (
        "event 14: from kid > leaf in 'c1': TurnStart before the run began; next is AgentStart"
    )


def test_the_last_events_are_shown() -> None:
    with pytest.raises(AssertionError) as raised:
        check_events([*RUN[:4], *RUN[5:20], AgentStart()])
    assert re.sub(r"'a1'.*", "...", str(raised.value)).splitlines() == [
        "event 19: AgentStart after the reply, while tools may run; next is ToolExecutionStart or "
        "ApprovalRequested or ApprovalAnswered or ToolExecutionUpdate or ToolExecutionEnd or "
        "MessageStart of a result or TurnEnd",
        "    12: MessageUpdate ToolCallStart(id='c2', name='sub', index=3)",
        "    13: MessageUpdate ToolCallDelta(arguments='{\"x\"', index=2)",
        "    14: MessageUpdate ToolCallDelta(arguments=':1}', index=2)",
        "    15: MessageUpdate BlockEnd(block=ToolCall(id='c1', name='add', arguments={'x': 1}, "
        "malformed=None, details=None), index=2)",
        "    16: MessageUpdate BlockEnd(block=ToolCall(id='c2', name='sub', arguments={}, "
        "malformed=None, details=None), index=3)",
        "    17: MessageEnd assistant: 'on it' [add 'c1'] [sub 'c2']",
        "    18: ToolExecutionStart add 'c1'",
        "  > 19: AgentStart",
    ]


RESUMED: list[Event] = [
    AgentStart(),
    TurnStart(1),
    ToolExecutionStart("c1", "add", {"x": 1}),
    ToolExecutionStart("c2", "sub", {}),
    ApprovalRequested("c1", "add", {"x": 1}),
    ApprovalAnswered("c1", "add", "once"),
    ToolExecutionEnd("c2", "sub", R2, 0.0),
    ToolExecutionEnd("c1", "add", R1, 0.0),
    MessageStart(R1),
    MessageEnd(R1),
    MessageStart(R2),
    MessageEnd(R2),
    MessageStart(HI),
    MessageEnd(HI),
    MessageStart(EMPTY),
    MessageUpdate(TextDelta("done")),
    MessageUpdate(BlockEnd(Text("done"))),
    MessageEnd(DONE),
    TurnEnd(1, DONE),
    AgentEnd("stop"),
]


def test_a_run_may_begin_with_the_calls_of_an_earlier_reply() -> None:
    check_events(RESUMED)
    for length in range(len(RESUMED)):
        check_events(RESUMED[:length], complete=False)


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([*RESUMED[:3], *RESUMED[4:]], "the reply makes no call 'c2'"),
        ([*RESUMED[:6], *RESUMED[7:]], "'c2'"),
        ([*RESUMED[:7], *RESUMED[8:]], "the result of 'c1' comes, but ['c1'] are running"),
        ([*RESUMED[:10], *RESUMED[12:]], "something else is said without a result for ['c2']"),
        ([*RESUMED[:10], *RESUMED[8:10], *RESUMED[10:]], "the result of 'c1' comes; due is ['c2']"),
        (
            [*RESUMED[:8], MessageStart(evolve(R1, content="4")), *RESUMED[9:]],
            "its call ended with",
        ),
        ([*RESUMED[:2], *RESUMED[12:14], *RESUMED[2:]], "ToolExecutionStart between"),
        (
            [*RESUMED[:-1], TurnStart(2), *RESUMED[2:]],
            "ToolExecutionStart between the beginning of a turn and its reply",
        ),
    ],
)
def test_a_fault_in_such_a_beginning_is_named(events: Sequence[Event], fault: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(fault)):
        check_events(events)
