"""`check_transcript` accepts what a transcript promises, and shows where something else does not."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether import (
    AssistantMessage,
    CustomMessage,
    Message,
    Text,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.testing import check_transcript
from tether.transcript import Transcript, repaired

HI = UserMessage("hi")
NOTE = CustomMessage("note")
CALLS = AssistantMessage([Text("on it"), ToolCall("c1", "add"), ToolCall("c2", "sub")])
R1 = ToolResultMessage("c1", "add", "3")
R2 = ToolResultMessage("c2", "sub", "1", outcome="error")
DONE = AssistantMessage([Text("done")])


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [HI],
        [NOTE, HI, DONE],
        [HI, CALLS, R1, R2],
        [HI, CALLS, R1, R2, DONE, HI, CALLS, R1, R2, NOTE],
    ],
)
def test_a_valid_conversation_passes(messages: Sequence[Message]) -> None:
    check_transcript(messages)


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([HI, CALLS], "the end: no result yet for 'c1', 'c2'"),
        ([HI, CALLS, R1], "the end: no result yet for 'c2'"),
        ([HI, CALLS, HI, R1, R2], "message 2: no result yet for 'c1', 'c2'"),
        ([HI, CALLS, R1, NOTE, R2], "message 3: no result yet for 'c2'"),
        ([HI, CALLS, R1, DONE], "message 3: no result yet for 'c2'"),
        ([HI, CALLS, R2, R1], "message 2: a result for 'c2', where that of 'c1' is due"),
        ([HI, CALLS, R1, R1, R2], "message 3: a result for 'c1', where that of 'c2' is due"),
        (
            [HI, CALLS, R1, R2, R2],
            "message 4: a result for 'c2', which no call before it waits for",
        ),
        ([R1], "message 0: a result for 'c1', which no call before it waits for"),
        (
            [HI, CALLS, ToolResultMessage("c1", "sub", "")],
            "message 2: the result of 'c1' names 'sub', its call 'add'",
        ),
        (
            [AssistantMessage([ToolCall("c", "a"), ToolCall("c", "b")])],
            "message 0: two calls have the id 'c'",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(messages: Sequence[Message], fault: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(fault) + r"\n"):
        check_transcript(messages)


def test_the_place_is_shown_among_its_neighbours() -> None:
    cut = AssistantMessage([Text("x" * 70), ToolCall("c1", "add")], stop_reason="aborted")
    with pytest.raises(AssertionError) as raised:
        check_transcript([HI, HI, HI, cut, NOTE, R2, HI, HI])
    assert str(raised.value).splitlines() == [
        "message 4: no result yet for 'c1'",
        "    0: user: 'hi'",
        "    1: user: 'hi'",
        "    2: user: 'hi'",
        f"    3: assistant (aborted): '{'x' * 57}...' [add 'c1']",
        "  > 4: custom: note",
        "    5: result of [sub 'c2'] (error): '1'",
        "    6: user: 'hi'",
    ]


@given(st.lists(st.sampled_from([HI, NOTE, CALLS, R1, R2, DONE])))
def test_whatever_is_repaired_is_valid(messages: list[Message]) -> None:
    check_transcript(repaired(messages))


@given(st.lists(st.sampled_from([HI, NOTE, CALLS, R1, R2, DONE])))
def test_a_fault_is_found_exactly_where_there_is_one(messages: list[Message]) -> None:
    """Valid is what a transcript would have made of the same replies, if their results are set aside."""
    transcript = Transcript()
    for message in messages:
        if not isinstance(message, ToolResultMessage):
            transcript.append(message)
    skeleton = [m.call_id if isinstance(m, ToolResultMessage) else m for m in transcript]
    valid = skeleton == [m.call_id if isinstance(m, ToolResultMessage) else m for m in messages]
    try:
        check_transcript(messages)
    except AssertionError:
        assert not valid
    else:
        assert valid


@pytest.mark.parametrize("given", ["text", [1], [HI, None]], ids=repr)
def test_what_is_no_message_is_a_fault(given: Any) -> None:
    with pytest.raises(AssertionError, match=r"message \d: .* is not a message"):
        check_transcript(given)
