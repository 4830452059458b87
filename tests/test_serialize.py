"""What is written can be read back, what cannot be read is refused, and every refusal names its place."""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from enum import IntEnum, StrEnum
from typing import Any, assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import strategies as some

from tether.deltas import BlockEnd, Delta, ReplyEnd, ReplyInfo, TextDelta, ToolCallDelta
from tether.errors import DecodeError, UsageError
from tether.events import (
    AgentEnd,
    AgentStart,
    Event,
    MessageEnd,
    MessageUpdate,
    ToolExecutionUpdate,
    TurnEnd,
)
from tether.media import Image
from tether.messages import (
    AssistantMessage,
    Block,
    CustomMessage,
    Failure,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
)
from tether.serialize import Serializable, from_builtins, from_json, to_builtins, to_json

VOCABULARY: Sequence[Any] = [
    pytest.param(some.messages, Message, id="messages"),
    pytest.param(some.events, Event, id="events"),
    pytest.param(some.deltas, Delta, id="deltas"),
    pytest.param(some.blocks, Block, id="blocks"),
    pytest.param(some.usages, Usage, id="usages"),
    pytest.param(some.failures, Failure, id="failures"),
]
EVERYTHING: Any = Message | Event | Delta | Block
anything = some.messages | some.events | some.deltas | some.blocks


class TestRoundTrip:
    @pytest.mark.parametrize(("values", "expected"), VOCABULARY)
    @given(data=st.data())
    def test_what_is_written_reads_back_equal(
        self, values: st.SearchStrategy[Any], expected: Any, data: st.DataObject
    ) -> None:
        """Equal, and written again the same: 0, 0.0, -0.0 and False are equal to Python, not to JSON."""
        value = data.draw(values)
        written = to_json(value)
        back = from_json(written, expected)
        assert back == value
        assert to_json(back) == written

    @given(some.messages | some.events)
    def test_messages_and_events_need_no_expectation(self, value: Message | Event) -> None:
        assert from_json(to_json(value)) == value

    @given(anything)
    def test_the_tag_alone_tells_what_it_is(self, value: Serializable) -> None:
        assert from_json(to_json(value), EVERYTHING) == value

    @given(anything)
    def test_builtins_are_what_a_json_library_reads(self, value: Serializable) -> None:
        """Whichever library it is: they can be put into something larger and taken out again."""
        line = json.dumps({"id": 1, "value": to_builtins(value)})
        assert from_builtins(json.loads(line)["value"], EVERYTHING) == value
        assert json.loads(to_json(value)) == to_builtins(value)

    @given(anything)
    def test_it_is_one_line_of_utf_8(self, value: Serializable) -> None:
        written = to_json(value)
        assert len(written.splitlines()) == 1
        assert from_json(written.decode(), EVERYTHING) == value

    @given(anything)
    def test_the_tag_comes_first(self, value: Serializable) -> None:
        name, tag = next(iter(to_builtins(value).items()))
        assert getattr(type(value), name) == tag

    @given(st.lists(some.messages, max_size=4), st.sampled_from([list, tuple]))
    def test_sequences_are_lists(self, messages: list[Message], kind: Any) -> None:
        """What a page needs that is loaded again: the whole conversation, as one value."""
        written = to_json(kind(messages))
        assert json.loads(written) == [to_builtins(message) for message in messages]
        assert from_json(written, Sequence[Message]) == tuple(messages)
        assert from_json(written, tuple[Message, ...]) == tuple(messages)
        assert from_json(written, list[Message]) == messages
        assert from_builtins(to_builtins(kind(messages)), Sequence[Message]) == tuple(messages)

    def test_an_empty_sequence_and_a_mixed_one_are_sequences_too(self) -> None:
        assert from_json(to_json([]), Sequence[Message]) == ()
        mixed: list[Serializable] = [AgentStart(), UserMessage("hi"), TextDelta("h"), Text("hi")]
        assert from_json(to_json(mixed), list[EVERYTHING]) == mixed

    def test_nothing_is_shared_with_what_was_written(self) -> None:
        message = CustomMessage("note", {"list": [1]})
        written = to_builtins(message)
        written["data"]["list"].append(2)
        assert message == CustomMessage("note", {"list": [1]})

    def test_nothing_is_shared_with_what_was_read(self) -> None:
        source = to_builtins(CustomMessage("note", {"list": [1]}))
        message = from_builtins(source)
        source["data"]["list"].append(2)
        assert message == CustomMessage("note", {"list": [1]})

    def test_types_are_known_to_a_checker(self) -> None:
        """The laws here are the checker's; that it runs shows that the calls are right."""
        message = to_json(UserMessage("hi"))
        assert_type(from_json(message), Message | Event)
        assert_type(from_json(message, Message), Message)
        assert_type(from_json(message, UserMessage), UserMessage)
        assert_type(from_builtins(to_builtins(TextDelta("hi")), Delta, path="$.delta"), Delta)
        assert_type(from_json(b"[]", Sequence[Message]), Sequence[Message])
        assert_type(from_json(b"[]", tuple[Event, ...]), tuple[Event, ...])
        assert_type(to_builtins([UserMessage("hi")]), list[dict[str, Any]])


class TestForm:
    """The form is a promise to whoever reads it elsewhere: it changes only with this test."""

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (
                UserMessage(["hé", Image(b"\x00\xff", "image/png")], id="m1", timestamp=1.5),
                '{"role":"user","content":[{"type":"text","text":"hé","details":null},'
                '{"type":"image","data":"AP8=","media_type":"image/png",'
                '"url":null,"file_id":null}],"id":"m1","timestamp":1.5}',
            ),
            (
                AssistantMessage(
                    [Thinking("hm", "sig"), ToolCall("c1", "add", {"a": [1, 2.0]})],
                    model="m",
                    stop_reason="error",
                    error=Failure("server", "broken", 500),
                ),
                '{"role":"assistant","content":[{"type":"thinking","text":"hm","signature":"sig",'
                '"redacted":false,"details":null},{"type":"tool_call","id":"c1","name":"add",'
                '"arguments":{"a":[1,2.0]},"malformed":null,"details":null}],"model":"m","api":"",'
                '"stop_reason":"error","usage":{"input_tokens":0,"output_tokens":0,'
                '"cache_read_tokens":0,"cache_write_tokens":0,"reasoning_tokens":0,"estimated":false},'
                '"error":{"kind":"server","message":"broken","status":500,"request_id":null},'
                '"response_id":null,"details":null,"id":"","timestamp":0.0}',
            ),
            (
                ToolResultMessage("c1", "add", "3", {"sum": 3}, "timeout"),
                '{"role":"tool","call_id":"c1","name":"add","content":[{"type":"text","text":"3",'
                '"details":null}],"details":{"sum":3},"outcome":"timeout","id":"","timestamp":0.0}',
            ),
            (
                CustomMessage("note", ["x\ny", None]),
                r'{"role":"custom","kind":"note","data":["x\ny",null],"id":"","timestamp":0.0}',
            ),
            (AgentStart(), '{"type":"agent_start"}'),
            (
                ToolExecutionUpdate("c1", "ask", event=AgentStart(), path=("child",)),
                '{"type":"tool_execution_update","call_id":"c1","name":"ask","content":[],'
                '"details":null,"event":{"type":"agent_start"},"path":["child"]}',
            ),
            (
                MessageUpdate(BlockEnd(Text("hi"), 2)),
                '{"type":"message_update","delta":{"type":"block_end","block":{"type":"text",'
                '"text":"hi","details":null},"index":2}}',
            ),
            (
                ReplyInfo(model="m"),
                '{"type":"reply_info","model":"m","api":null,"response_id":null,"usage":null}',
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_it_is_written_like_this(self, value: Serializable, text: str) -> None:
        assert to_json(value).decode() == text
        assert from_json(text, EVERYTHING) == value

    def test_what_has_a_default_may_be_left_out(self) -> None:
        assert from_json('{"role":"user","content":[]}') == UserMessage(())
        assert from_json('{"type":"agent_end","stop_reason":"stop"}') == AgentEnd("stop")

    def test_a_whole_number_will_do_for_a_float(self) -> None:
        message = from_json('{"role":"user","content":[],"timestamp":3}', UserMessage)
        assert (message.timestamp, type(message.timestamp)) == (3.0, float)

    def test_numbers_may_be_longer_than_the_machines(self) -> None:
        value = CustomMessage("n", [2**64, -(2**200), 5e-324, -0.0])
        assert repr(from_json(to_json(value))) == repr(value)

    def test_free_data_is_taken_as_json_has_it(self) -> None:
        """What is a string, a number, a list or an object in all but name becomes one."""

        class Colour(StrEnum):
            RED = "red"

        class Size(IntEnum):
            BIG = 3

        data = {"tuple": (1, ()), "enums": [Colour.RED, Size.BIG], Colour.RED: 1.0}
        back = from_json(to_json(CustomMessage("n", data)), CustomMessage)
        assert repr(back.data) == "{'tuple': [1, []], 'enums': ['red', 3], 'red': 1.0}"


class TestSurrogates:
    """A reply cut inside a character can leave half of a pair, which no UTF-8 can hold."""

    @pytest.mark.parametrize(
        ("text", "read"),
        [
            ("\ud83d", "\N{REPLACEMENT CHARACTER}"),
            ("a\ude00b", "a\N{REPLACEMENT CHARACTER}b"),
            ("\ud83d\ude00!", "\N{GRINNING FACE}!"),
            ("\ude00\ud83d", "\N{REPLACEMENT CHARACTER}" * 2),
            ("\ud83dé\N{GRINNING FACE}", "\N{REPLACEMENT CHARACTER}é\N{GRINNING FACE}"),
        ],
        ids=ascii,
    )
    def test_halves_that_meet_are_a_character_and_lone_ones_are_marked(
        self, text: str, read: str
    ) -> None:
        assert from_json(to_json(TextDelta(text)), Delta) == TextDelta(read)
        assert from_json(to_json(CustomMessage("k", {text: text}))) == CustomMessage(
            "k", {read: read}
        )

    @given(st.text(st.characters()))
    def test_whatever_arrived_can_be_written(self, text: str) -> None:
        written = to_json(ToolCallDelta(text))
        back = from_json(written.decode(), ToolCallDelta)
        assert to_json(back) == written
        assert len(back.arguments) <= len(text)

    def test_escaped_halves_are_refused_in_text_and_mended_in_builtins(self) -> None:
        """JSON libraries differ: ours does not read them, and others do."""
        line = r'{"type":"text_delta","text":"\ud83d"}'
        with pytest.raises(DecodeError):
            from_json(line, Delta)
        assert from_builtins(json.loads(line), Delta) == TextDelta("\N{REPLACEMENT CHARACTER}")


def user(text: str) -> str:
    return f'{{"role":"user","content":[{{"type":"text",{text}}}]}}'


MESSAGE_TAGS = "'user', 'assistant', 'tool', 'custom'"
USER_BLOCK_FIELDS = "'type', 'text', 'details'"


class TestRefusedToRead:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (user('"text":5'), "$.content[0].text: expected a string, got a number"),
            (
                f'{{"type":"message_end","message":{user(chr(34) + "text" + chr(34) + ":null")}}}',
                "$.message.content[0].text: expected a string, got null",
            ),
            (user('"details":null'), "$.content[0].text: the field is missing"),
            (
                user('"text":"","colour":1'),
                f"$.content[0].colour: unknown field; known are {USER_BLOCK_FIELDS}",
            ),
            (
                user('"text":"","a b":1'),
                f"$.content[0]['a b']: unknown field; known are {USER_BLOCK_FIELDS}",
            ),
            (
                user('"text":"","details":[]'),
                "$.content[0].details: expected an object, got a list",
            ),
            (
                '{"role":"user","content":[{"type":"thinking","text":""}]}',
                "$.content[0].type: expected one of 'text', 'image', 'document', 'audio', 'video'; got 'thinking'",
            ),
            (
                '{"role":"user","content":[{"text":""}]}',
                "$.content[0]: the object has no 'type' ('text', 'image', 'document', 'audio', 'video')",
            ),
            ('{"role":"user","content":["hi"]}', "$.content[0]: expected an object, got a string"),
            ('{"role":"user","content":"hi"}', "$.content: expected a list, got a string"),
            ('{"role":"bot"}', f"$.role: expected one of {MESSAGE_TAGS}; got 'bot'"),
            ('{"role":["user"]}', "$.role: expected a string, got a list"),
            (
                '{"role":"user","content":[],"timestamp":"1"}',
                "$.timestamp: expected a number, got a string",
            ),
            (
                '{"role":"user","content":[],"timestamp":true}',
                "$.timestamp: expected a number, got a boolean",
            ),
            (
                f'{{"role":"user","content":[],"timestamp":1{"0" * 400}}}',
                "$.timestamp: the number is too large",
            ),
            ('{"type":"turn_start","turn":1.0}', "$.turn: expected a whole number, got a number"),
            ('{"type":"turn_start","turn":true}', "$.turn: expected a whole number, got a boolean"),
            (
                '{"type":"agent_end","stop_reason":"limit","limit":"money"}',
                "$.limit: expected one of 'turns', 'tool_calls', 'input_tokens', 'output_tokens', "
                "'cost', 'seconds'; got 'money'",
            ),
            (
                '{"role":"user","content":[{"type":"image","data":"***"}]}',
                "$.content[0].data: expected base64: Only base64 data is allowed",
            ),
            (
                '{"role":"user","content":[{"type":"image","data":"00=="}]}',
                "$.content[0].data: expected base64: bits that belong to no byte are not zero",
            ),
            (
                '{"role":"assistant","content":[{"type":"thinking","text":"","redacted":0}]}',
                "$.content[0].redacted: expected true or false, got a number",
            ),
            (
                '{"type":"tool_execution_update","call_id":"","name":"",'
                '"event":{"type":"turn_start"}}',
                "$.event.turn: the field is missing",
            ),
            (
                '{"type":"turn_end","turn":1,"message":{"role":"user","content":[]}}',
                "$.message.role: expected one of 'assistant'; got 'user'",
            ),
            (
                '{"type":"turn_end","turn":1,"message":{"content":[]}}',
                "$.message.role: the field is missing",
            ),
            ("[]", "$: expected an object, got a list"),
        ],
    )
    def test_the_text_says_what_is_wrong_and_where(self, text: str, message: str) -> None:
        with pytest.raises(DecodeError) as caught:
            from_json(text)
        assert str(caught.value) == message
        assert caught.value.path == message.partition(": ")[0]

    def test_an_object_without_a_tag_is_told_all_there_are(self) -> None:
        with pytest.raises(DecodeError) as caught:
            from_json("{}")
        assert str(caught.value) == (
            f"$: the object has no 'role' ({MESSAGE_TAGS}) or 'type' ('agent_start', 'turn_start', "
            "'message_start', 'message_update', 'message_end', 'model_retry', "
            "'tool_execution_start', 'approval_requested', 'approval_answered', "
            "'tool_execution_update', 'tool_execution_end', 'turn_end', "
            "'agent_end')"
        )

    @pytest.mark.parametrize("data", ["", "nope", "{", b"\xff", "\ud800", "1 2", '"\x00"', "NaN"])
    def test_what_is_not_json_is_said_to_be_so(self, data: bytes | str) -> None:
        with pytest.raises(DecodeError, match=r"^\$: not JSON: ."):
            from_json(data)

    def test_the_path_begins_where_the_value_was_taken_from(self) -> None:
        with pytest.raises(DecodeError) as caught:
            from_builtins(json.loads(user('"text":5')), Message, path="line 3, $.message")
        assert caught.value.path == "line 3, $.message.content[0].text"

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_builtins_have_no_numbers_that_json_has_not(self, number: float) -> None:
        """Python's own library reads them."""
        with pytest.raises(DecodeError, match=r"^\$.data\[0\]: JSON has no number -?(nan|inf)$"):
            from_builtins({"role": "custom", "kind": "k", "data": [number]})

    def test_builtins_are_no_other_types(self) -> None:
        with pytest.raises(DecodeError) as caught:
            from_builtins({"role": "custom", "kind": "k", "data": {"a": {1, 2}}})
        assert str(caught.value) == "$.data.a: JSON cannot hold a value of type set"

    def test_what_is_deep_can_be_read(self) -> None:
        text = deep(100)
        assert to_json(from_json(text, CustomMessage)) == text

    @pytest.mark.parametrize("depth", [500, 2_000, 100_000])
    def test_what_is_too_deep_is_refused(self, depth: int) -> None:
        with pytest.raises(DecodeError) as caught:
            from_json(deep(depth))
        assert caught.value.path == "$"

    @pytest.mark.parametrize("text", ['[{"role":"user","content":[]},{"role":"bot"}]', "{}", '"x"'])
    def test_of_a_sequence_the_place_is_named(self, text: str) -> None:
        with pytest.raises(DecodeError) as caught:
            from_json(text, Sequence[Message])
        assert caught.value.path == ("$[1].role" if text.startswith("[") else "$")

    @pytest.mark.parametrize(
        "expected", [dict, list[str], Sequence[int], tuple[int, str], Usage | Failure]
    )
    def test_what_cannot_be_expected_is_the_callers_error(self, expected: Any) -> None:
        with pytest.raises(UsageError, match="is not one of the types that can be written or read"):
            from_json("{}", expected)

    @given(st.binary() | st.text(st.characters()))
    def test_any_bytes_are_read_or_refused(self, data: bytes | str) -> None:
        with pytest.raises(DecodeError):
            from_json(data)

    @given(some.json_values, st.sampled_from([Message, Event, Delta, Block, Usage | None]))
    def test_any_json_is_read_or_refused(self, value: Any, expected: Any) -> None:
        read_or_refused(json.dumps(value), expected)

    @given(anything, st.data())
    def test_what_is_accepted_is_what_would_be_written(
        self, value: Serializable, data: st.DataObject
    ) -> None:
        """Change any one thing in a document: it is refused, or read for exactly what it says."""
        changed = data.draw(changes(to_builtins(value)))
        read_or_refused(json.dumps(changed), EVERYTHING)


def deep(depth: int) -> bytes:
    data = "[" * depth + "]" * depth
    return f'{{"role":"custom","kind":"k","data":{data},"id":"","timestamp":0.0}}'.encode()


def read_or_refused(text: str, expected: Any) -> None:
    try:
        value = from_json(text, expected)
    except DecodeError:
        return
    assert value is None or says_all_of(to_builtins(value), json.loads(text))


def says_all_of(written: Any, given: Any) -> bool:
    """The same, but for defaults that are written out, whole numbers that are floats, and media types in capitals."""
    if isinstance(given, dict):
        return (
            isinstance(written, dict)
            and given.keys() <= written.keys()
            and all(says_all_of(written[key], _in_one_way(key, given[key])) for key in given)
        )
    if isinstance(given, list):
        return (
            isinstance(written, list)
            and len(written) == len(given)
            and all(map(says_all_of, written, given))
        )
    if type(given) is int and type(written) is float:
        return float(given) == written
    return type(written) is type(given) and bool(written == given)


def _in_one_way(key: str, given: Any) -> Any:
    return given.lower() if key == "media_type" and isinstance(given, str) else given


def places(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where everything in a document stands."""
    yield path
    items = (
        tree.items()
        if isinstance(tree, Mapping)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, item in items:
        yield from places(item, (*path, key))


@st.composite
def changes(draw: st.DrawFn, tree: Any) -> Any:
    """A document in which one thing is something else, or gone, or new."""
    *path, key = draw(st.sampled_from([place for place in places({"": tree}) if place]))
    root = deepcopy({"": tree})
    parent: Any = root
    for step in path:
        parent = parent[step]
    match draw(st.sampled_from(["other", "gone", "new"])):
        case "gone" if path:
            del parent[key]
        case "new" if isinstance(parent[key], dict):
            parent[key][draw(some.names)] = draw(some.json_leaves)
        case _:
            parent[key] = draw(some.json_values)
    return root[""]


def holding_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


class TestRefusedToWrite:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (
                CustomMessage("k", {"a": [1, {2}]}),
                "$.data.a[1]: JSON cannot hold a value of type set",
            ),
            (CustomMessage("k", b"x"), "$.data: JSON cannot hold a value of type bytes"),
            (CustomMessage("k", Text("x")), "$.data: JSON cannot hold a value of type Text"),
            (
                MessageEnd(ToolResultMessage("c", "n", "", {"x y": object()})),
                "$.message.details['x y']: JSON cannot hold a value of type object",
            ),
            (
                TurnEnd(1, AssistantMessage([ToolCall("c", "n", {"a": float("nan")})])),
                "$.message.content[0].arguments.a: JSON has no number nan",
            ),
            (UserMessage("", timestamp=float("-inf")), "$.timestamp: JSON has no number -inf"),
            (
                CustomMessage("k", {1: 2}),
                "$.data: the keys of an object are strings; 1 is a number",
            ),
            (
                CustomMessage("k", 10**5000),
                "$.data: the number has more digits than Python writes or reads",
            ),
            (CustomMessage("k", holding_itself()), "$: nested too deeply, or holding itself"),
            # What a type checker would have found:
            (Text(5), "$.text: expected a string, got a number"),  # type: ignore[arg-type] # on purpose
            (
                AgentEnd("done"),  # type: ignore[arg-type] # on purpose
                "$.stop_reason: expected one of 'stop', 'terminated', 'limit', 'length', 'aborted', 'error'; "
                "got 'done'",
            ),
            (
                ReplyEnd(UserMessage("x")),  # type: ignore[arg-type] # on purpose
                "$.message: expected AssistantMessage, got a value of type UserMessage",
            ),
            (
                MessageEnd(Text("x")),  # type: ignore[arg-type] # on purpose
                "$.message: expected one of UserMessage, AssistantMessage, ToolResultMessage, "
                "CustomMessage; got a value of type Text",
            ),
            (
                ReplyInfo(usage={}),  # type: ignore[arg-type] # on purpose
                "$.usage: expected Usage, got an object",
            ),
            (
                ToolExecutionUpdate("c", "n", "text"),  # type: ignore[arg-type] # on purpose
                "$.content: expected a list, got a string",
            ),
            ({}, "$: expected a message, event, delta or block, got an object"),
            ("text", "$: expected a message, event, delta or block, got a string"),
            (
                [UserMessage("x"), "x"],
                "$[1]: expected a message, event, delta or block, got a string",
            ),
            (
                [UserMessage("x"), CustomMessage("k", {1})],
                "$[1].data: JSON cannot hold a value of type set",
            ),
            ([[UserMessage("x")]], "$[0]: expected a message, event, delta or block, got a list"),
        ],
    )
    def test_the_text_says_what_is_wrong_and_where(self, value: Any, message: str) -> None:
        """It is found before it is kept, and not when someone needs it back."""
        for write in (to_json, to_builtins):
            with pytest.raises(UsageError) as caught:
                write(value)
            assert str(caught.value) == message
