"""The chat-completions decoder and encoder, on streams no recording shows."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tether import (
    AssistantMessage,
    Image,
    Message,
    ModelError,
    ModelOptions,
    ModelRequest,
    PartialReply,
    ReplyEnd,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    ToolSpec,
    Usage,
    UserMessage,
    VendorItem,
)
from tether.models.openai_chat import decode, encode


def decoded(*chunks: Any, end: bool = True) -> AssistantMessage:
    """Decode chunks; check on the way that the deltas fold to the message."""
    decoder = decode("asked")
    partial = PartialReply()
    next(decoder)
    try:
        for chunk in chunks:
            data = chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()
            for delta in decoder.send(("", data)):
                partial.add(delta)
        if end:
            decoder.send(None)
    except StopIteration as stop:
        *last, finish = stop.value
        for delta in last:
            partial.add(delta)
        assert isinstance(finish, ReplyEnd)
        assert partial.preview().content == finish.message.content
        return finish.message
    raise AssertionError("the decoder did not end")


def part(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(**fields: Any) -> dict[str, Any]:
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return part(tool_calls=[{**fields, "function": function}])


DONE = b"[DONE]"


@pytest.mark.parametrize(
    ("fragments", "calls"),
    [
        (
            [
                call(index=0, id="a", name="f", arguments='{"x"'),
                call(index=1, id="b", name="g", arguments=""),
                call(index=0, arguments=": 1}"),
                call(index=1, arguments="{}"),
            ],
            [("a", "f", {"x": 1}), ("b", "g", {})],
        ),
        # The same number for two calls with ids of their own.
        (
            [
                call(index=0, id="a", name="f", arguments="{}"),
                call(index=0, id="b", name="g", arguments="{}"),
            ],
            [("a", "f", {}), ("b", "g", {})],
        ),
        # The id in every fragment.
        (
            [
                call(index=0, id="a", name="f", arguments='{"x":'),
                call(index=0, id="a", arguments="1}"),
            ],
            [("a", "f", {"x": 1})],
        ),
        # No numbers.
        (
            [
                call(id="a", name="f", arguments='{"x":'),
                call(arguments="1}"),
                call(id="b", name="g", arguments="{}"),
            ],
            [("a", "f", {"x": 1}), ("b", "g", {})],
        ),
        # No ids at all.
        (
            [call(name="f", arguments="{}"), call(name="g", arguments='{"y":2}')],
            [("call_1", "f", {}), ("call_2", "g", {"y": 2})],
        ),
        # An empty object first, then the real one.
        (
            [call(index=0, id="a", name="f", arguments="{}"), call(index=0, arguments='{"x":1}')],
            [("a", "f", {"x": 1})],
        ),
        # The whole sent once more at the end.
        (
            [
                call(index=0, id="a", name="f", arguments='{"x":'),
                call(index=0, arguments="1}"),
                call(index=0, arguments='{"x":1}'),
            ],
            [("a", "f", {"x": 1})],
        ),
        # The id before the name, and arguments as an object.
        (
            [call(index=0, id="a"), call(index=0, name="f", arguments={"x": 1})],
            [("a", "f", {"x": 1})],
        ),
    ],
)
def test_fragments_of_calls_find_their_call(fragments: Sequence[Any], calls: Sequence[Any]) -> None:
    message = decoded(*fragments, part("tool_calls"), DONE)
    assert [(c.id, c.name, dict(c.arguments)) for c in message.tool_calls] == list(calls)
    assert message.stop_reason == "tool_calls"


@pytest.mark.parametrize(
    "arguments", ['{"x":', "[1]", "not json", '{"x":1}{"y":2}', '{"a":' * 80 + "1" + "}" * 80]
)
def test_arguments_that_are_no_object_are_kept_as_malformed_and_empty(arguments: str) -> None:
    message = decoded(call(index=0, id="a", name="f", arguments=arguments), part("length"), DONE)
    [found] = message.tool_calls
    assert (dict(found.arguments), found.malformed) == ({}, arguments)


def test_a_refusal_is_a_text_that_is_marked() -> None:
    message = decoded(part(refusal="I will "), part("stop", refusal="not."), DONE)
    assert message.stop_reason == "refusal"
    assert message.content == (Text("I will not.", {"refusal": True}),)


def test_a_content_filter_is_a_refusal_that_keeps_its_reason() -> None:
    message = decoded(part(content="Well"), part("content_filter"), DONE)
    assert (message.text, message.stop_reason) == ("Well", "refusal")
    assert message.details == {"stop_reason": "content_filter"}


def test_of_several_choices_the_first_counts() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": None}]}
    assert decoded(part(content="yes"), other, part("stop"), DONE).text == "yes"


def test_thinking_and_text_take_turns_in_blocks() -> None:
    message = decoded(
        part(reasoning="hm"),
        part(content="a"),
        part(reasoning_content="so"),
        part(content="b"),
        part("stop"),
        DONE,
    )
    assert message.content == (Thinking("hm"), Text("a"), Thinking("so"), Text("b"))


def test_the_last_usage_counts_and_reasoning_is_output() -> None:
    details = {
        "completion_tokens_details": {"reasoning_tokens": 5},
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    first = {**part(content="a"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    last = {
        "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 17, **details},
    }
    message = decoded(first, part("stop"), last, DONE)
    assert message.usage == Usage(
        input_tokens=10, output_tokens=7, cache_read_tokens=3, reasoning_tokens=5
    )


def test_an_error_inside_the_stream_has_its_kind() -> None:
    with pytest.raises(ModelError) as caught:
        decoded(part(content="a"), {"error": {"code": 429, "message": "Rate limit exceeded"}})
    assert (caught.value.kind, caught.value.status) == ("rate_limit", 429)


def test_a_stream_without_end_is_cut_short() -> None:
    with pytest.raises(ModelError, match="ended before the reply"):
        decoded(part(content="a"))


def test_a_server_may_leave_the_last_line_out_once_it_gave_a_reason() -> None:
    assert decoded(part(content="a"), part("stop")).text == "a"


@given(st.binary(max_size=60))
def test_any_bytes_give_a_reply_or_a_model_error(data: bytes) -> None:
    with contextlib.suppress(ModelError):
        decoded(part(content="a"), data, DONE)


STREAM = [
    part(reasoning="hm"),
    part(content="Hel"),
    part(content="lo"),
    call(index=0, id="a", name="f", arguments='{"x": [1, 2'),
    call(index=0, arguments="]}"),
    part("tool_calls"),
]


@given(st.integers(0, len(STREAM) - 1))
def test_any_truncation_gives_a_clear_error_and_what_had_arrived(length: int) -> None:
    decoder = decode("m")
    partial = PartialReply()
    next(decoder)
    for chunk in STREAM[:length]:
        for delta in decoder.send(("", json.dumps(chunk).encode())):
            partial.add(delta)
    with pytest.raises(ModelError, match="before the reply was finished"):
        decoder.send(None)
    cut = partial.cut("error")
    assert cut.tool_calls == ()
    assert "Hello".startswith(cut.text)


PNG = Image(b"png")


def encoded(*messages: Message, **fields: Any) -> Any:
    return encode(ModelRequest(messages=messages, **fields), "m")  # type: ignore[arg-type]  # tests send any


def test_a_conversation_is_written_as_the_api_has_it() -> None:
    reply = AssistantMessage(
        [
            Thinking("hm", "sig"),
            Text("Look."),
            ToolCall("a b", "f", {"x": 1}),
            VendorItem("other", {"type": "x"}),
        ],
        api="other",
    )
    answer = ToolResultMessage("a b", "f", [Text("seen"), PNG])
    body = encoded(
        UserMessage([Text("what"), PNG]),
        reply,
        answer,
        UserMessage("so?"),
        system="be brief",
        tools=[ToolSpec("f", "F.", {"type": "object"})],
    )
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "what"}, image]},
        {
            "role": "assistant",
            "content": "Look.",
            "tool_calls": [
                {
                    "id": "a_b_806c5cd3",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x": 1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "a_b_806c5cd3", "content": "seen"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "The images that f returned:"}, image],
        },
        {"role": "user", "content": "so?"},
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "F.", "parameters": {"type": "object"}},
        }
    ]


def test_orphans_are_repaired_on_the_wire() -> None:
    body = encoded(
        UserMessage("go"),
        AssistantMessage([ToolCall("a", "f")]),
        ToolResultMessage("ghost", "g", "?"),
        UserMessage("and?"),
    )
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "user",
    ]
    assert "interrupted" in body["messages"][2]["content"]


def test_options_become_the_apis_own() -> None:
    options = ModelOptions(
        temperature=0.5,
        max_output_tokens=9,
        stop_sequences=["x"],
        thinking="low",
        tool_choice=("tool", "f"),
        extra={"seed": 1, "stream_options": None},
    )
    body = encoded(UserMessage("go"), options=options)
    del body["messages"]
    assert body == {
        "model": "m",
        "stream": True,
        "stream_options": None,
        "temperature": 0.5,
        "max_completion_tokens": 9,
        "stop": ["x"],
        "reasoning_effort": "low",
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "seed": 1,
    }
