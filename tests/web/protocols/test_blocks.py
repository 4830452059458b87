"""The blocks of replies: each opens, grows and closes, whatever becomes of its reply."""

from tether.deltas import BlockEnd, TextDelta, ToolCallDelta, ToolCallStart
from tether.media import Image
from tether.messages import AssistantMessage, Text, Thinking, ToolCall
from tether.web.protocols.blocks import Closed, Grew, Opened, ReplyBlocks, Shown


def begun(reply_id: str = "r") -> ReplyBlocks:
    blocks = ReplyBlocks()
    blocks.begin(AssistantMessage((), id=reply_id, stop_reason=None))
    return blocks


def test_a_block_of_which_nothing_came_before_its_end_comes_whole() -> None:
    blocks = begun()
    assert list(blocks.add(BlockEnd(Text("Hi"), 0))) == [
        Opened("r-0", "text"),
        Grew("r-0", "text", "Hi"),
        Closed("r-0", "text", "", Text("Hi")),
    ]
    assert list(blocks.add(BlockEnd(Text(""), 1))) == []


def test_what_is_open_when_the_reply_is_cut_off_is_closed_without_a_block() -> None:
    blocks = begun()
    list(blocks.add(TextDelta("Hi", 0)))
    list(blocks.add(ToolCallStart("c", "read", 1)))
    assert list(blocks.end(AssistantMessage(("Hi",), stop_reason="aborted"))) == [
        Closed("r-0", "text", "", None),
        Closed("r-1", "call", "read", None),
    ]


def test_calls_keep_their_block_when_the_end_gives_them_other_ids() -> None:
    blocks = begun()
    for index in (0, 1):
        list(blocks.add(ToolCallStart("same", "read", index)))
        list(blocks.add(ToolCallDelta("{}", index)))
        list(blocks.add(BlockEnd(ToolCall("same", "read"), index)))
    calls = (ToolCall("same", "read"), ToolCall("same-2", "read"))
    assert list(blocks.end(AssistantMessage(calls, stop_reason="tool_calls"))) == []
    assert [blocks.id_of_call(call.id) for call in calls] == ["r-0", "r-1"]


def test_a_call_that_a_hook_puts_in_is_told_and_one_that_it_takes_out_is_over() -> None:
    blocks = begun()
    list(blocks.add(ToolCallStart("a", "read", 0)))
    list(blocks.add(BlockEnd(ToolCall("a", "read"), 0)))
    added = ToolCall("b", "write", {"x": 1})
    steps = list(blocks.end(AssistantMessage((added,), stop_reason="tool_calls")))
    assert steps == [
        Closed("r-0", "call", "read", None),
        Opened("r-b", "call", "write"),
        Grew("r-b", "call", '{"x": 1}'),
        Closed("r-b", "call", "write", added),
    ]
    assert blocks.id_of_call("b") == "r-b"


def test_a_reply_that_was_kept_and_did_not_stream_comes_whole_at_its_end() -> None:
    reply = AssistantMessage((Thinking("Hm"), Text("Hi")), id="r")
    kinds = [(type(step).__name__, step.id) for step in begun().end(reply)]
    assert kinds == [
        ("Opened", "r-0"),
        ("Grew", "r-0"),
        ("Closed", "r-0"),
        ("Opened", "r-1"),
        ("Grew", "r-1"),
        ("Closed", "r-1"),
    ]


def test_a_picture_comes_whole() -> None:
    image = Image(b"\x89PNG\r\n\x1a\n", "image/png")
    assert list(begun().add(BlockEnd(image, 0))) == [Shown("r-0", image)]
