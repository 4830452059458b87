"""The fold: in whatever order a reply arrives, it is the same, and at every point a beginning of it."""

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from tests import strategies as some
from tests.strategies import ArrivingReply

from tether.deltas import (
    BlockEnd,
    Delta,
    PartialReply,
    ReplyEnd,
    ReplyInfo,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
)
from tether.media import Image
from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Failure,
    ProviderItem,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tether.serialize import to_json


def folded(deltas: Sequence[Delta]) -> PartialReply:
    partial = PartialReply(model="asked-for", api="wire")
    for delta in deltas:
        partial.add(delta)
    return partial


def ended(deltas: Sequence[Delta]) -> set[int]:
    return {delta.index for delta in deltas if isinstance(delta, BlockEnd)}


@st.composite
def cut_replies(draw: st.DrawFn) -> tuple[ArrivingReply, Sequence[Delta]]:
    """A reply, and as much of it as has arrived: anything from nothing to all but its end."""
    reply = draw(some.arriving_replies())
    return reply, reply.deltas[: draw(st.integers(0, len(reply.deltas) - 1))]


class TestWhole:
    @given(some.arriving_replies())
    def test_its_end_is_the_message(self, reply: ArrivingReply) -> None:
        partial = folded(reply.deltas)
        assert partial.complete == reply.message
        assert partial.preview() == reply.message
        assert partial.incomplete("aborted") == reply.message

    @given(some.arriving_replies())
    def test_before_its_end_it_has_all_blocks_and_no_end(self, reply: ArrivingReply) -> None:
        partial = folded(reply.deltas[:-1])
        assert partial.complete is None
        assert partial.preview().content == reply.message.content
        assert partial.incomplete("aborted").content == reply.message.content

    @given(some.arriving_replies(), st.data())
    def test_blocks_fold_to_the_same_however_they_interleave(
        self, reply: ArrivingReply, data: st.DataObject
    ) -> None:
        queues = list(reply.by_block.values())
        one, other = (data.draw(some.interleavings(queues)) for _ in range(2))
        assert folded(one).preview() == folded(other).preview()

    @given(st.data())
    def test_fragments_fold_to_the_same_wherever_they_are_cut(self, data: st.DataObject) -> None:
        """Open blocks are equal when their fragments join to the same, at any time."""
        text = data.draw(st.text())
        one, other = (data.draw(some.pieces(text)) for _ in range(2))
        for kind in (TextDelta, ThinkingDelta):
            deltas = [[kind(piece) for piece in pieces] for pieces in (one, other)]
            assert folded(deltas[0]).preview() == folded(deltas[1]).preview()


class TestPreview:
    @given(cut_replies())
    def test_at_every_point_it_is_a_beginning_of_the_reply(
        self, arrived: tuple[ArrivingReply, Sequence[Delta]]
    ) -> None:
        """Each block that has begun shows as much as has come, and one that has ended shows whole."""
        reply, deltas = arrived
        shown = folded(deltas).preview().content
        begun = sorted({d.index for d in deltas if not isinstance(d, ReplyInfo | ReplyEnd)})
        assert len(shown) == len(begun)
        for index, block in zip(begun, shown, strict=True):
            whole = reply.message.content[index]
            if index in ended(deltas):
                assert block == whole
            else:
                assert is_beginning_of_block(block, whole)

    @given(cut_replies())
    def test_it_never_shrinks(self, arrived: tuple[ArrivingReply, Sequence[Delta]]) -> None:
        _, deltas = arrived
        partial, before = PartialReply(), ""
        for delta in deltas:
            partial.add(delta)
            text = "".join(
                block.text for block in partial.preview().content if isinstance(block, Text)
            )
            assert len(text) >= len(before)
            before = text

    @given(cut_replies())
    def test_looking_changes_nothing(self, arrived: tuple[ArrivingReply, Sequence[Delta]]) -> None:
        reply, deltas = arrived
        partial = PartialReply()
        for delta in reply.deltas:
            assert partial.preview() == partial.preview()
            assert partial.incomplete("aborted") == partial.incomplete("aborted")
            partial.add(delta)
        assert partial.complete == reply.message
        shown = folded(deltas).preview()
        assert folded(deltas).preview() == shown

    def test_it_shows_what_can_be_read_of_a_call(self) -> None:
        partial = folded([ToolCallStart("c1", "write")])
        seen: list[Any] = []
        begun = ['{"pa', 'th": "a.t', 'xt", "text', '": "one', ' two", "lines": [1, {"n']
        for fragment in [*begun, '": 12', "}]}"]:
            partial.add(ToolCallDelta(fragment))
            [call] = partial.preview().tool_calls
            assert (call.id, call.name) == ("c1", "write")
            seen.append(call.arguments)
        assert seen == [
            {},
            {"path": "a.t"},
            {"path": "a.txt"},
            {"path": "a.txt", "text": "one"},
            {"path": "a.txt", "text": "one two", "lines": [1, {}]},
            {"path": "a.txt", "text": "one two", "lines": [1, {"n": 12}]},
            {"path": "a.txt", "text": "one two", "lines": [1, {"n": 12}]},
        ]

    @given(st.text(st.characters()) | st.text('{}[]",:\\u0d8ntf-1e '))
    def test_arguments_that_are_no_json_break_nothing(self, arguments: str) -> None:
        """What is shown can always be written as JSON, too: it goes into events."""
        partial = folded([ToolCallStart("c", "n"), ToolCallDelta(arguments)])
        shown = partial.preview()
        assert [type(call.arguments) for call in shown.tool_calls] == [dict]
        assert to_json(shown)

    @pytest.mark.parametrize(
        "arguments", ["[1]", '"text"', "12", "null", '{"a": NaN', "\ud800", " "]
    )
    def test_what_is_no_object_shows_as_none(self, arguments: str) -> None:
        partial = folded([ToolCallStart("c", "n"), ToolCallDelta(arguments)])
        assert partial.preview().content == (ToolCall("c", "n"),)


def is_beginning_of_block(shown: AssistantBlock, whole: AssistantBlock) -> bool:
    match shown, whole:
        case (Text(text), Text(all_of_it)) | (Thinking(text), Thinking(all_of_it)):
            return all_of_it.startswith(text)
        case ToolCall(id_, name, arguments), ToolCall():
            same = (id_, name) == (whole.id, whole.name)
            return same and is_beginning(arguments, whole.arguments)
        case _:
            return False


def is_beginning(shown: Any, whole: Any) -> bool:
    """What was read of a JSON text that was cut: only the last thing in it can be less than whole."""
    if isinstance(whole, dict):
        if not isinstance(shown, dict) or list(shown) != list(whole)[: len(shown)]:
            return False
        return is_beginning(list(shown.values()), list(whole.values()))
    if isinstance(whole, list):
        if not isinstance(shown, list) or len(shown) > len(whole):
            return False
        pairs = list(zip(shown, whole, strict=False))
        return all(a == b for a, b in pairs[:-1]) and all(is_beginning(*p) for p in pairs[-1:])
    if isinstance(whole, str):
        return isinstance(shown, str) and whole.startswith(shown)
    is_number = isinstance(whole, int | float) and not isinstance(whole, bool)
    return isinstance(shown, int | float) if is_number else shown is whole


class TestFacts:
    def test_until_the_reply_says_it_is_what_was_asked_for(self) -> None:
        assert folded([]).preview() == AssistantMessage(
            (), model="asked-for", api="wire", stop_reason=None
        )

    def test_later_facts_count_and_missing_ones_change_nothing(self) -> None:
        infos = [
            ReplyInfo(model="m-1", usage=Usage(input_tokens=1)),
            ReplyInfo(response_id="r", api="other"),
            ReplyInfo(usage=Usage(input_tokens=1, output_tokens=2)),
            ReplyInfo(),
        ]
        told = AssistantMessage(
            (),
            model="m-1",
            api="other",
            response_id="r",
            usage=Usage(input_tokens=1, output_tokens=2),
            stop_reason=None,
        )
        assert folded(infos).preview() == told
        assert folded(infos).incomplete("error") == evolve(told, stop_reason="error")


class TestCut:
    @given(cut_replies(), st.none() | some.failures)
    def test_it_keeps_what_arrived_and_no_open_call(
        self, arrived: tuple[ArrivingReply, Sequence[Delta]], error: Failure | None
    ) -> None:
        """Every call it keeps is one that ended; of everything else it has what was shown."""
        reply, deltas = arrived
        partial = folded(deltas)
        cut = partial.incomplete("aborted", error)
        assert (cut.stop_reason, cut.error, cut.incomplete) == ("aborted", error, True)
        assert cut.tool_calls == tuple(
            block
            for index, block in enumerate(reply.message.content)
            if index in ended(deltas) and isinstance(block, ToolCall)
        )
        shown = partial.preview()
        assert (cut.text, cut.thinking) == (shown.text, shown.thinking)

    @given(cut_replies())
    def test_the_remains_of_open_calls_are_kept_as_data(
        self, arrived: tuple[ArrivingReply, Sequence[Delta]]
    ) -> None:
        _, deltas = arrived
        remains = [
            {
                "id": start.id,
                "name": start.name,
                "arguments": "".join(
                    delta.arguments
                    for delta in deltas
                    if isinstance(delta, ToolCallDelta) and delta.index == start.index
                ),
            }
            for start in sorted(
                (delta for delta in deltas if isinstance(delta, ToolCallStart)),
                key=lambda start: start.index,
            )
            if start.index not in ended(deltas)
        ]
        details = {"unfinished_calls": remains} if remains else None
        assert folded(deltas).incomplete("error").details == details

    def test_a_block_that_has_not_said_anything_is_left_out(self) -> None:
        """Providers refuse empty text. One that ended empty was meant so."""
        deltas: list[Delta] = [
            TextDelta("", 0),
            ThinkingDelta("", 1),
            TextDelta("hi", 2),
            BlockEnd(Text(""), 3),
        ]
        assert folded(deltas).incomplete("aborted").content == (Text("hi"), Text(""))

    def test_a_cut_in_each_kind_of_block(self) -> None:
        deltas: list[Delta] = [
            ThinkingDelta("let me ", 0),
            ThinkingDelta("think", 0),
            BlockEnd(Thinking("let me think", "signed"), 0),
            TextDelta("It ", 1),
            ToolCallStart("c1", "add", 2),
            ToolCallDelta('{"a": 1', 2),
            BlockEnd(Image(b"x"), 4),
            BlockEnd(ProviderItem("wire", {"q": 1}), 3),
            TextDelta("is", 1),
            ReplyInfo(response_id="r1"),
        ]
        assert folded(deltas).incomplete(
            "error", Failure("timeout", "no byte")
        ) == AssistantMessage(
            [
                Thinking("let me think", "signed"),
                Text("It is"),
                ProviderItem("wire", {"q": 1}),
                Image(b"x"),
            ],
            model="asked-for",
            api="wire",
            stop_reason="error",
            error=Failure("timeout", "no byte"),
            response_id="r1",
            details={"unfinished_calls": [{"id": "c1", "name": "add", "arguments": '{"a": 1'}]},
        )


WHOLE = ReplyEnd(AssistantMessage("hi"))


class TestRefused:
    def test_a_block_ends_as_one_of_a_model_s_own_class(self) -> None:
        class Cited(Text):
            pass

        end = BlockEnd(Cited("a"))
        assert folded([TextDelta("a"), end]).preview().content == (end.block,)

    @pytest.mark.parametrize(
        ("before", "delta", "message"),
        [
            ([], ToolCallDelta("{}", 1), "ToolCallDelta for block 1, which is not open"),
            ([TextDelta("a")], ThinkingDelta("b"), "ThinkingDelta for block 0, which is text"),
            ([ThinkingDelta("a")], TextDelta("b"), "TextDelta for block 0, which is thinking"),
            (
                [ToolCallStart("c", "n")],
                TextDelta("b"),
                "TextDelta for block 0, which is a tool call",
            ),
            ([TextDelta("a")], ToolCallStart("c", "n"), "block 0 began twice"),
            ([BlockEnd(Text("a"))], ToolCallStart("c", "n"), "block 0 began twice"),
            (
                [BlockEnd(Text("a"))],
                TextDelta("b"),
                "TextDelta for block 0, which has ended",
            ),
            (
                [BlockEnd(Text("a"))],
                BlockEnd(Text("a")),
                "block 0, which has ended, ends as Text",
            ),
            (
                [TextDelta("a")],
                BlockEnd(Thinking("a")),
                "block 0, which is text, ends as Thinking",
            ),
            (
                [ToolCallStart("c", "n")],
                BlockEnd(Text("a")),
                "block 0, which is a tool call, ends as Text",
            ),
            ([WHOLE], TextDelta("a"), "TextDelta after the end of the reply"),
            ([WHOLE], ReplyInfo(), "ReplyInfo after the end of the reply"),
            ([WHOLE], WHOLE, "ReplyEnd after the end of the reply"),
        ],
    )
    def test_a_delta_that_cannot_follow_is_refused_and_changes_nothing(
        self, before: Sequence[Delta], delta: Delta, message: str
    ) -> None:
        partial = folded(before)
        shown = partial.preview()
        with pytest.raises(ValueError, match=f"^{message}$"):
            partial.add(delta)
        assert partial.preview() == shown


class TestCost:
    def test_a_delta_is_kept_and_nothing_is_built_of_it(self) -> None:
        """The last fragment costs what the first did: none is joined, copied or looked at."""

        class Unreadable(str):
            """A fragment that shows when it is used for anything but keeping."""

            __slots__ = ()

            def __add__(self, other: object) -> Any:
                raise AssertionError("joined")

            __radd__ = __len__ = __iter__ = __getitem__ = __contains__ = encode = __add__  # type: ignore[assignment]

        partial = PartialReply()
        partial.add(ToolCallStart("c", "n", 2))
        for _ in range(1000):
            partial.add(TextDelta(Unreadable("a"), 0))
            partial.add(ThinkingDelta(Unreadable("b"), 1))
            partial.add(ToolCallDelta(Unreadable(" "), 2))
        assert partial.preview().text == "a" * 1000
