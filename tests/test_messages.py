"""Messages are plain data: they take what a person would write, and what they derive is derived."""

from collections.abc import Sequence
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import strategies as some

from tether import messages as module
from tether.media import Audio, Document, Image, Media, Video
from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Block,
    CustomMessage,
    Failure,
    Message,
    Outcome,
    ProviderItem,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserBlock,
    UserMessage,
    as_user_blocks,
)

PICTURE = Image(b"\x89PNG")
CALL = ToolCall("c1", "add", {"a": 1})


class TestContent:
    @pytest.mark.parametrize(
        ("content", "blocks"),
        [
            ("hi", (Text("hi"),)),
            ("", (Text(""),)),
            (Text("hi"), (Text("hi"),)),
            (PICTURE, (PICTURE,)),
            (["look:", PICTURE], (Text("look:"), PICTURE)),
            ((), ()),
            ((block for block in [Text("a"), Text("b")]), (Text("a"), Text("b"))),
        ],
    )
    def test_a_person_may_write_it_in_any_form(self, content: Any, blocks: Sequence[Any]) -> None:
        assert as_user_blocks(content) == blocks

    def test_every_message_with_content_takes_those_forms(self) -> None:
        assert UserMessage("hi").content == (Text("hi"),)
        assert ToolResultMessage("c", "n", PICTURE).content == (PICTURE,)
        assert AssistantMessage("hi").content == (Text("hi"),)
        assert AssistantMessage(CALL).content == (CALL,)
        assert AssistantMessage(["on it", CALL]).content == (Text("on it"), CALL)

    @pytest.mark.parametrize(
        "content", [CALL, [Thinking("hm")], {"text": "hi"}, 5, None, [5], [["hi"]]]
    )
    def test_what_a_person_cannot_say_is_refused(self, content: Any) -> None:
        single = content[0] if isinstance(content, list) else content
        with pytest.raises(TypeError) as caught:
            UserMessage(content)
        assert str(caught.value) == (
            "expected a string, a Path, Text, Image, Document, Audio or Video; "
            f"got {type(single).__name__}"
        )

    @pytest.mark.parametrize("content", [{"text": "hi"}, 5, None, [5], [UserMessage("hi")]])
    def test_what_a_model_cannot_say_is_refused(self, content: Any) -> None:
        single = content[0] if isinstance(content, list) else content
        with pytest.raises(TypeError) as caught:
            AssistantMessage(content)
        assert str(caught.value) == f"expected a string or a block, got {type(single).__name__}"

    @given(some.messages)
    def test_content_is_a_tuple_of_the_blocks_it_may_hold(self, message: Message) -> None:
        if isinstance(message, CustomMessage):
            return
        allowed = AssistantBlock if isinstance(message, AssistantMessage) else UserBlock
        assert isinstance(message.content, tuple)
        assert [block for block in message.content if not isinstance(block, allowed)] == []


class TestWhatIsDerived:
    @given(some.assistant_messages)
    def test_a_reply_sorts_its_blocks(self, reply: AssistantMessage) -> None:
        assert reply.text == "".join(b.text for b in reply.content if type(b) is Text)
        assert reply.thinking == "".join(b.text for b in reply.content if type(b) is Thinking)
        assert reply.tool_calls == tuple(b for b in reply.content if type(b) is ToolCall)

    def test_text_is_joined_round_other_blocks(self) -> None:
        blocks: list[str | UserBlock] = ["a", PICTURE, "b"]
        assert UserMessage(blocks).text == "ab"
        assert ToolResultMessage("c", "n", blocks).text == "ab"

    @pytest.mark.parametrize("reason", get_args(StopReason))
    def test_a_reply_is_cut_off_by_an_error_or_an_abort(self, reason: StopReason) -> None:
        assert AssistantMessage("", stop_reason=reason).incomplete is (
            reason in {"error", "aborted"}
        )

    @pytest.mark.parametrize("outcome", get_args(Outcome))
    def test_a_result_is_an_error_unless_it_is_ok(self, outcome: Outcome) -> None:
        assert ToolResultMessage("c", "n", "", outcome=outcome).is_error is (outcome != "ok")


class TestUsage:
    @given(some.usages, some.usages, some.usages)
    def test_it_adds_like_numbers(self, a: Usage, b: Usage, c: Usage) -> None:
        assert a + b == b + a
        assert (a + b) + c == a + (b + c)
        assert a + Usage() == a
        assert sum([a, b, c], Usage()) == a + b + c

    @given(some.usages, some.usages)
    def test_each_count_adds_for_itself(self, a: Usage, b: Usage) -> None:
        *of_a, a_is_estimated = attrs.astuple(a)
        *of_b, b_is_estimated = attrs.astuple(b)
        *of_both, both_are_estimated = attrs.astuple(a + b)
        assert of_both == [x + y for x, y in zip(of_a, of_b, strict=True)]
        assert both_are_estimated == (a_is_estimated or b_is_estimated)

    @given(some.usages)
    def test_its_total_counts_nothing_twice(self, usage: Usage) -> None:
        """Cached and reasoning tokens are parts of input and output."""
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens


PUBLIC = [getattr(module, name) for name in module.__all__]
CLASSES = [one for one in PUBLIC if isinstance(one, type) and attrs.has(one)]


class TestShape:
    @pytest.mark.parametrize("cls", [*CLASSES, *get_args(Media)])
    def test_everything_is_frozen_and_has_slots(self, cls: Any) -> None:
        assert hasattr(cls, "__slots__")
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            cls.__setattr__(cls.__new__(cls), "text", "x")

    def test_tags_tell_blocks_and_messages_apart(self) -> None:
        """They are the form's, in `tether.serialize`, and may not change."""
        assert {cls: cls.type for cls in get_args(Block)} == {
            Text: "text",
            Thinking: "thinking",
            ToolCall: "tool_call",
            ProviderItem: "provider_item",
            Image: "image",
            Document: "document",
            Audio: "audio",
            Video: "video",
        }
        assert {cls: cls.role for cls in get_args(Message)} == {
            UserMessage: "user",
            AssistantMessage: "assistant",
            ToolResultMessage: "tool",
            CustomMessage: "custom",
        }

    def test_every_class_is_a_block_a_message_or_a_part_of_one(self) -> None:
        assert {*CLASSES, *get_args(Media)} == {
            *get_args(Block),
            *get_args(Message),
            Usage,
            Failure,
        }

    @given(st.binary(min_size=1000, max_size=1010))
    def test_a_picture_is_not_poured_into_a_log(self, data: bytes) -> None:
        assert repr(Image(data)) == f"Image(data=<{len(data)} bytes>, media_type='image/png')"
