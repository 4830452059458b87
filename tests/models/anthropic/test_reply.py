"""The Anthropic decoder, on streams no recording shows."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.decoding import Decoding
from tests.models.replay import pieces

from tether import (
    AssistantMessage,
    ModelError,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UserMessage,
)
from tether.deltas import PartialReply
from tether.messages import ProviderItem
from tether.models.anthropic.reply import decode
from tether.models.anthropic.request import encode

API = "anthropic-messages"
DECODING = Decoding(API, decode)
deltas_of, decoded = DECODING.deltas_of, DECODING.decoded
failing, read = DECODING.failing, DECODING.read


def start(index: int = 0, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(kind: str, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": f"{kind}_delta", **delta},
    }


def stop(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str = "end_turn", usage: Any = None, **facts: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None, **facts}
    return [
        {"type": "message_delta", "delta": delta, "usage": usage or {}},
        {"type": "message_stop"},
    ]


def says(*parts: str, index: int = 0) -> list[dict[str, Any]]:
    return [
        start(index, type="text", text=""),
        *(more("text", index, text=part) for part in parts),
        stop(index),
    ]


BEGIN = {
    "type": "message_start",
    "message": {"id": "msg", "model": "claude-real", "content": [], "usage": {"input_tokens": 3}},
}
PING = {"type": "ping"}


def test_counts_are_of_the_whole_reply_and_hold_what_a_cache_held() -> None:
    counts = {"cache_read_input_tokens": 50, "cache_creation_input_tokens": 7}
    begin = {**BEGIN, "message": {**BEGIN["message"], "usage": {"input_tokens": 3, **counts}}}  # type: ignore[dict-item]  # a dict it is
    usage = {
        "input_tokens": None,
        "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 20},
    }
    assert decoded(begin, PING, *says("Hel", "lo"), *end(usage=usage)) == AssistantMessage(
        "Hello",
        model="claude-real",
        api=API,
        response_id="msg",
        usage=Usage(
            input_tokens=60,
            output_tokens=30,
            cache_read_tokens=50,
            cache_write_tokens=7,
            reasoning_tokens=20,
        ),
    )


@pytest.mark.parametrize(
    ("reason", "ours", "details"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", {"stop_sequence": "END"}),
        ("max_tokens", "length", None),
        (
            "model_context_window_exceeded",
            "length",
            {"stop_reason": "model_context_window_exceeded"},
        ),
        ("pause_turn", "pause", None),
        ("refusal", "refusal", None),
        ("something_new", "stop", {"stop_reason": "something_new"}),
    ],
)
def test_a_reply_says_why_it_ended(reason: str, ours: str, details: Any) -> None:
    sequence = {"stop_sequence": "END"} if reason == "stop_sequence" else {}
    reply = decoded(BEGIN, *says("Hm."), *end(reason, **sequence))
    assert (reply.stop_reason, reply.details) == (ours, details)


def test_calls_side_by_side_with_their_arguments_in_pieces() -> None:
    reply = decoded(
        BEGIN,
        start(0, type="tool_use", id="a", name="f", input={}),
        start(1, type="tool_use", id="b", name="g", input={}),
        more("input_json", 0, partial_json='{"x":'),
        more("input_json", 1, partial_json=""),
        more("input_json", 0, partial_json=" 1}"),
        stop(0),
        stop(1),
        start(2, type="tool_use", id="c", name="h", input={"whole": True}, caller={"type": "x"}),
        stop(2),
        *end("tool_use"),
    )
    assert reply.content == (
        ToolCall("a", "f", {"x": 1}),
        ToolCall("b", "g", {}),
        ToolCall("c", "h", {"whole": True}, details={"caller": {"type": "x"}}),
    )
    assert reply.stop_reason == "tool_calls"


def test_a_limit_within_a_call_leaves_its_arguments_unread() -> None:
    reply = decoded(
        BEGIN,
        start(0, type="tool_use", id="a", name="f", input={}),
        more("input_json", 0, partial_json='{"path": "/et'),
        stop(0),
        *end("max_tokens"),
    )
    [call] = reply.tool_calls
    assert (call.malformed, reply.stop_reason) == ('{"path": "/et', "length")


def test_thinking_is_signed_or_sealed() -> None:
    reply = decoded(
        BEGIN,
        start(0, type="thinking", thinking="", signature=""),
        more("thinking", 0, thinking="Hm"),
        more("thinking", 0, thinking="."),
        more("signature", 0, signature="si"),
        more("signature", 0, signature="gned"),
        stop(0),
        start(1, type="redacted_thinking", data="sealed"),
        stop(1),
        *says("Yes.", index=2),
        *end(),
    )
    assert reply.content == (
        Thinking("Hm.", "signed"),
        Thinking("", "sealed", redacted=True),
        Text("Yes."),
    )


def test_what_the_server_ran_and_what_nobody_knows_is_kept_as_it_came() -> None:
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "x"}]}
    citation = {"type": "web_search_result_location", "url": "x", "cited_text": "y"}
    reply = decoded(
        BEGIN,
        start(0, type="server_tool_use", id="s", name="web_search", input={}),
        more("input_json", 0, partial_json='{"query": "q"}'),
        stop(0),
        start(1, **found),
        stop(1),
        start(2, type="text", text="", citations=[]),
        more("text", 2, text="Said."),
        more("citations", 2, citation=citation),
        stop(2),
        start(3, type="compaction", content=None),
        more("compaction", 3, content="Long "),
        more("compaction", 3, content="ago."),
        stop(3),
        {"type": "telepathy", "index": 9, "delta": {"type": "x"}},
        *end(),
    )
    assert reply.content == (
        ProviderItem(
            API,
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        ),
        ProviderItem(API, found),
        Text("Said.", {"citations": [citation]}),
        ProviderItem(API, {"type": "compaction", "content": "Long ago."}),
    )
    body = encode(ModelRequest(messages=[UserMessage("?"), reply, UserMessage("!")]), "claude")
    assert [block["type"] for block in body["messages"][1]["content"]] == [
        "server_tool_use",
        "web_search_tool_result",
        "text",
        "compaction",
    ]


def test_texts_without_a_word_are_left_out() -> None:
    assert decoded(BEGIN, *says(), *says("Yes.", index=1), *end()).content == (Text("Yes."),)


def test_blocks_that_were_never_stopped_are_whole_at_the_end() -> None:
    reply = decoded(BEGIN, start(0, type="text", text="Al"), more("text", 0, text="l."), *end())
    assert reply.text == "All."


def test_a_stream_may_end_without_its_last_event_once_the_reason_is_known() -> None:
    assert decoded(BEGIN, *says("Yes."), end()[0]).text == "Yes."
    assert decoded(BEGIN, *says("Yes."), end()[0], b"[DONE]").text == "Yes."
    late = start(0, type="tool_use", id="a", name="f", input={})
    assert decoded(BEGIN, end("tool_use")[0], late).tool_calls == (ToolCall("a", "f"),)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("overloaded_error", "overloaded"),
        ("rate_limit_error", "rate_limit"),
        ("api_error", "server"),
        ("authentication_error", "authentication"),
        ("permission_error", "permission"),
        ("not_found_error", "not_found"),
        ("invalid_request_error", "invalid_request"),
        ("timeout_error", "timeout"),
    ],
)
def test_an_error_within_the_stream_keeps_what_had_arrived(name: str, kind: str) -> None:
    told = {"type": "error", "error": {"type": name, "message": "Oh."}, "request_id": "req"}
    error = failing(BEGIN, start(0, type="text", text=""), more("text", 0, text="half"), told)
    assert (error.kind, error.message, error.request_id) == (kind, "Oh.", "req")
    assert error.partial is not None
    assert (error.partial.text, error.partial.usage.input_tokens) == ("half", 3)


def test_a_prompt_that_is_too_long_is_an_overflow() -> None:
    told = {
        "type": "invalid_request_error",
        "message": "prompt is too long: 210000 tokens > 200000",
    }
    assert failing({"type": "error", "error": told}).kind == "context_overflow"


def test_a_stream_that_just_stops_is_a_lost_connection() -> None:
    call = start(0, type="tool_use", id="a", name="f", input={})
    error = failing(BEGIN, call, more("input_json", 0, partial_json='{"x"'))
    assert error.kind == "connection"
    assert error.partial is not None
    assert error.partial.details == {
        "unfinished_calls": [{"id": "a", "name": "f", "arguments": '{"x"'}]
    }


WHOLE = [
    BEGIN,
    start(0, type="thinking", thinking="", signature=""),
    more("thinking", 0, thinking="Hm."),
    more("signature", 0, signature="signed"),
    stop(0),
    *says("Grüße ", "🌍", index=1),
    start(2, type="tool_use", id="a", name="f", input={}),
    more("input_json", 2, partial_json='{"x": 1}'),
    stop(2),
    *end("tool_use", {"output_tokens": 5}),
]
BODY = b"".join(
    b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
    for event in WHOLE
)


@given(st.lists(st.integers(0, len(BODY)), max_size=30))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    assert read(list(pieces(BODY, cuts))).complete == decoded(*WHOLE)


LENGTH_OF_THE_END = len(BODY) - BODY.index(b"event: message_stop")


@given(st.integers(0, len(BODY) - LENGTH_OF_THE_END - 1))
def test_a_body_cut_off_anywhere_is_an_error_with_what_had_arrived(length: int) -> None:
    whole = decoded(*WHOLE)
    with pytest.raises(ModelError) as caught:
        read([BODY[:length]])
    assert caught.value.kind in {"connection", "malformed"}
    assert caught.value.partial is not None
    assert whole.text.startswith(caught.value.partial.text)


WORDS = ["type", "index", "delta", "content_block", "message", "usage", "text", "input", "error"]
NOISE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(WHOLE).map(lambda event: json.dumps(event).encode()),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["content_block_start", "content_block_delta", "tool_use", "text"]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(st.lists(NOISE, max_size=12))
@settings(max_examples=300)
def test_nothing_that_is_sent_raises_anything_but_a_model_error(events: list[bytes]) -> None:
    partial = PartialReply()
    with suppress(ModelError):
        for delta in deltas_of(*events):
            partial.add(delta)


@pytest.mark.parametrize("name", [str, lambda model: {"model": model}], ids=["name", "object"])
def test_a_reply_is_of_the_model_that_took_over(name: Any) -> None:
    block = {"type": "fallback", "from": name("claude-a"), "to": name("claude-b")}
    message = decoded(BEGIN, *says("So"), start(1, **block), stop(1), *says("Hm", index=2), *end())
    assert (message.model, message.text) == ("claude-b", "SoHm")
    assert ProviderItem(API, block) in message.content
