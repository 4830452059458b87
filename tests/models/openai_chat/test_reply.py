"""The chat-completions decoder, on streams no recording shows."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.models.decoding import Decoding
from tests.models.replay import pieces

from tether import Image, ModelError, ModelRequest, Text, Thinking, ToolCall, Usage, UserMessage
from tether.deltas import BlockEnd, ReplyEnd, ReplyInfo, ToolCallDelta, ToolCallStart
from tether.messages import ProviderItem
from tether.models._wire.sse import frame_events
from tether.models.openai_chat.api import OPENROUTER_CHAT
from tether.models.openai_chat.reply import decode

DECODING = Decoding("openai-chat", decode)
deltas_of, decoded = DECODING.deltas_of, DECODING.decoded
failing, read = DECODING.failing, DECODING.read


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
        # Text, thinking and fragments of an earlier call between the fragments of a call.
        (
            [
                call(index=0, id="a", name="f", arguments='{"x":'),
                part(content="text"),
                call(index=0, arguments=" 1"),
                call(index=1, id="b", name="g", arguments='{"y"'),
                part(reasoning="thinking"),
                call(index=1, arguments=': "\u00e9'),
                call(index=0, arguments="}"),
                call(index=1, arguments='"}'),
            ],
            [("a", "f", {"x": 1}), ("b", "g", {"y": "\u00e9"})],
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
        # The whole sent once more, with all that belongs to it.
        (
            [
                call(index=0, id="a", name="f", arguments='{"x":1}'),
                call(index=0, id="a", name="f", arguments='{"x":1}'),
            ],
            [("a", "f", {"x": 1})],
        ),
        # The same, by a server that gives no ids.
        (
            [
                call(index=0, name="f", arguments='{"x":1}'),
                call(index=0, name="f", arguments='{"x":1}'),
            ],
            [("call_1", "f", {"x": 1})],
        ),
        # Neither numbers nor ids: whole calls, and the same one twice.
        (
            [call(name="f", arguments='{"x":1}'), call(name="f", arguments='{"x":1}')],
            [("call_1", "f", {"x": 1}), ("call_2", "f", {"x": 1})],
        ),
        # Id and name in every fragment.
        (
            [
                call(index=0, id="a", name="f", arguments='{"x":'),
                call(index=0, id="a", name="f", arguments=" 1"),
                call(index=0, id="a", name="f", arguments="}"),
            ],
            [("a", "f", {"x": 1})],
        ),
        # The name in every fragment, and nothing else to tell by.
        (
            [
                call(name="f", arguments='{"x":'),
                call(name="f", arguments="1}"),
                call(name="f", arguments='{"x":2}'),
                call(name="g", arguments=""),
            ],
            [("call_1", "f", {"x": 1}), ("call_2", "f", {"x": 2}), ("call_3", "g", {})],
        ),
        # One number and no ids for all.
        (
            [
                call(index=0, name="f", arguments='{"x":1}'),
                call(index=0, name="f", arguments='{"x":2}'),
                call(index=0, name="g", arguments='{"y":3}'),
            ],
            [("call_1", "f", {"x": 1}), ("call_2", "f", {"x": 2}), ("call_3", "g", {"y": 3})],
        ),
        # Two calls that share an id.
        (
            [
                call(index=0, id="a", name="f", arguments='{"x":1}'),
                call(index=1, id="a", name="f", arguments='{"x"'),
                call(index=1, arguments=":2}"),
            ],
            [("a", "f", {"x": 1}), ("a-2", "f", {"x": 2})],
        ),
        # The id after the name.
        (
            [
                call(index=0, name="f"),
                call(index=0, id="a"),
                call(index=0, arguments='{"x":1}'),
            ],
            [("a", "f", {"x": 1})],
        ),
        # An id that looks like one of ours.
        (
            [
                call(index=0, id="call_2", name="f", arguments="{}"),
                call(index=1, name="g", arguments="{}"),
            ],
            [("call_2", "f", {}), ("call_2-2", "g", {})],
        ),
        # Numbers that begin anywhere, fragments that say nothing.
        (
            [
                call(index=7, id="a", name="f", arguments=""),
                call(index=7),
                call(index=3, id="b", name="g", arguments="{"),
                call(index=7, arguments='{"x":1}'),
                call(index=3, arguments="}"),
            ],
            [("a", "f", {"x": 1}), ("b", "g", {})],
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


def test_a_call_is_announced_by_the_id_it_keeps() -> None:
    """Consumers follow a call by its id, so it is told late rather than changed."""
    deltas = list(
        deltas_of(
            call(index=0, name="f"),
            call(index=0, id="a", arguments='{"x"'),
            call(index=1, name="g"),
            call(index=0, arguments=":1}"),
            part("tool_calls"),
            DONE,
        )
    )
    assert [delta for delta in deltas if not isinstance(delta, ReplyInfo | ReplyEnd)] == [
        ToolCallStart("a", "f", 0),
        ToolCallDelta('{"x"', 0),
        ToolCallDelta(":1}", 0),
        BlockEnd(ToolCall("a", "f", {"x": 1}), 0),
        ToolCallStart("call_2", "g", 1),
        BlockEnd(ToolCall("call_2", "g"), 1),
    ]


def test_an_id_and_a_model_that_come_with_the_arguments_are_taken() -> None:
    named = call(index=0, arguments="1}") | {"id": "r", "model": "m2"}
    first = call(index=0, id="a", name="f", arguments='{"x"') | {"id": "", "model": ""}
    message = decoded(first, call(index=0, arguments=":"), named, part("tool_calls"), DONE)
    assert (message.response_id, message.model) == ("r", "m2")
    assert message.tool_calls == (ToolCall("a", "f", {"x": 1}),)


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


def test_usage_is_read_where_a_server_puts_it() -> None:
    counts = {"prompt_tokens": 3, "completion_tokens": 2.0, "prompt_cache_hit_tokens": 1, "x": None}
    message = decoded(part(content="a"), {**part("stop"), "x_groq": {"usage": counts}}, DONE)
    assert message.usage == Usage(input_tokens=3, output_tokens=2, cache_read_tokens=1)


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "eos", None, "STOP", "new_reason"])
def test_a_reply_without_calls_did_not_stop_for_them(reason: str | None) -> None:
    assert decoded(part(reason, content="a"), DONE).stop_reason == "stop"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("error", "server"),
        ("network_error", "server"),
        ("insufficient_system_resource", "overloaded"),
    ],
)
def test_a_reason_to_stop_that_is_a_failure_is_one(reason: str, kind: str) -> None:
    assert failing(part(content="a"), part(reason)).kind == kind


def test_typed_parts_are_text_thinking_and_what_refers_to_them() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True}
    reference = {"type": "reference", "reference_ids": [1]}
    message = decoded(
        part(content=[{"type": "thinking", "thinking": []}]),
        part(content=[thinking]),
        part(content=[{"type": "text", "text": "So"}, reference]),
        part("stop", content="."),
        DONE,
    )
    assert message.content == (Thinking("hm"), Text("So.", {"annotations": [reference]}))


def test_reasoning_details_are_put_together_and_sent_back() -> None:
    def detail(**fields: Any) -> dict[str, Any]:
        return part(reasoning_details=[fields])

    text = {"type": "reasoning.text", "index": 0, "format": "f"}
    sealed = {"type": "reasoning.encrypted", "data": "x"}
    message = decoded(
        detail(**text, text="so "),
        detail(**text, text="it is"),
        detail(**text, text=None, signature="sig"),
        detail(**sealed),
        part(content="Yes."),
        detail(**sealed, id="late"),
        part("stop", content=" No."),
        DONE,
    )
    whole = [{**text, "text": "so it is", "signature": "sig"}, sealed]
    late = [{**sealed, "id": "late"}]
    assert message.content == (
        Thinking("so it is", details={"reasoning_details": whole}),
        Text("Yes. No."),
        Thinking("", details={"reasoning_details": late}),
    )
    spoken = OPENROUTER_CHAT.encode(ModelRequest(messages=[message, UserMessage("?")]), "m")
    assert spoken["messages"][0] == {
        "role": "assistant",
        "content": "Yes. No.",
        "reasoning_details": whole + late,
    }


def test_citations_are_kept_in_the_details() -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://x"}}
    message = decoded(
        part(content="See"),
        part(annotations=[citation]),
        {**part("stop"), "citations": ["https://y"], "search_results": [{"url": "https://y"}]},
        DONE,
    )
    assert message.content == (Text("See", {"annotations": [citation]}),)
    assert message.details == {
        "citations": ["https://y"],
        "search_results": [{"url": "https://y"}],
    }


def test_a_picture_in_the_reply_is_an_image() -> None:
    url = "data:image/png;base64,cG5n"
    images: list[Any] = [{"image_url": {"url": url}}, {"image_url": {"url": "https://x"}}]
    message = decoded(part(content="Here:"), part("stop", images=images), DONE)
    assert message.content == (Text("Here:"), Image(b"png"), ProviderItem("openai-chat", images[1]))


def test_an_error_inside_the_stream_has_its_kind() -> None:
    error = failing(part(content="a"), {"error": {"code": 429, "message": "Rate limit exceeded"}})
    assert (error.kind, error.status) == ("rate_limit", 429)


def test_a_stream_without_end_is_cut_short() -> None:
    assert "ended before the reply" in failing(part(content="a")).message


def test_a_server_may_leave_the_last_line_out_once_it_gave_a_reason() -> None:
    assert decoded(part(content="a"), part("stop")).text == "a"


def test_what_is_no_unicode_is_replaced() -> None:
    """Invalid UTF-8 as the standard for event streams has it, and half a surrogate pair likewise."""
    broken = [
        b'{"choices":[{"delta":{"content":"a\xff"}}]}',
        b'{"choices":[{"delta":{"content":"b\\ud83d"}}]}',
        b'{"choices":[{"delta":{"content":"\\ud83d\\ude00"}}]}',
    ]
    assert decoded(*broken, part("stop"), DONE).text == "a\ufffdb\ufffd\U0001f600"


@pytest.mark.parametrize("data", [b"{", b"hello", b'{"choices":', b"[" * 100_000])
def test_what_is_no_json_is_malformed_and_shown(data: bytes) -> None:
    error = failing(part(content="a"), data)
    assert error.kind == "malformed"
    assert repr(data[:20].decode())[1:-1] in error.message
    assert len(error.message) < 500


@given(st.binary(max_size=60))
def test_any_bytes_give_a_reply_or_a_model_error(data: bytes) -> None:
    with suppress(ModelError):
        decoded(part(content="a"), data, DONE)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXT = st.none() | st.text(max_size=5)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of these fields, and now and then one of them of any kind."""
    wrong = st.dictionaries(st.sampled_from(sorted(fields)), ANYTHING, max_size=1)
    right = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda r, w: r | w, right, wrong) | right | right


ARGUMENTS = st.sampled_from(["", "{", "}", "{}", '{"x":1}', "[", ' "x"', "null"]) | TEXT
CALLS = st.lists(
    objects(
        index=st.none() | st.integers(0, 2),
        id=st.none() | st.sampled_from(["", "a", "b", "call_1"]),
        function=objects(name=st.none() | st.sampled_from(["", "f", "g"]), arguments=ARGUMENTS),
    ),
    max_size=3,
)
DETAILS = st.lists(
    objects(
        type=st.sampled_from(["reasoning.text", "reasoning.encrypted"]), text=TEXT, index=SCALARS
    ),
    max_size=2,
)
FIELDS = objects(
    content=TEXT | st.lists(objects(type=TEXT, text=TEXT, thinking=ANYTHING), max_size=2),
    reasoning=TEXT,
    reasoning_content=TEXT,
    reasoning_details=DETAILS,
    refusal=TEXT,
    tool_calls=CALLS,
    annotations=st.lists(ANYTHING, max_size=2),
    executed_tools=st.lists(objects(index=SCALARS, type=TEXT), max_size=2),
    images=st.lists(objects(image_url=objects(url=TEXT)), max_size=2),
)
CHOICE = objects(
    delta=FIELDS,
    index=st.sampled_from([0, 0, 0, 1]),
    finish_reason=st.sampled_from([None, None, None, "stop", "length", "tool_calls"]),
)
CHUNK = objects(
    choices=st.lists(CHOICE, max_size=2),
    id=TEXT,
    model=TEXT,
    usage=st.none() | st.dictionaries(st.sampled_from(["prompt_tokens", "total_tokens"]), ANYTHING),
    error=st.none(),
    citations=st.lists(ANYTHING, max_size=1),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHUNK, max_size=6), st.booleans())
def test_whatever_chunks_come_the_deltas_fold_to_the_message_or_to_what_the_error_holds(
    chunks: list[Any], done: bool
) -> None:
    ends = [DONE] if done else []
    try:
        message = decoded(*chunks, *ends)
    except ModelError:
        failing(*chunks, *ends)
    else:
        ids = [c.id for c in message.tool_calls]
        assert len(set(ids)) == len(ids)
        assert "" not in ids


STREAM = [
    part(reasoning="hm"),
    part(content="Hel"),
    part(content="lo \u2028\u00e9"),
    call(index=0, id="a", name="f", arguments='{"x": [1, 2'),
    call(index=1, id="b", name="g", arguments=""),
    call(index=0, arguments="]}"),
    part("tool_calls"),
    {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
]
BODY = b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in STREAM)


def framed(*chunks: bytes) -> list[Any]:
    frames = frame_events()
    next(frames)
    return [data for chunk in chunks for _, data in frames.send(chunk)]


@given(st.lists(st.integers(0, len(BODY))))
def test_any_cutting_gives_the_same_deltas(cuts: list[int]) -> None:
    whole = list(deltas_of(*STREAM, DONE))
    assert list(deltas_of(*framed(*pieces(BODY, cuts)), DONE)) == whole


@given(st.integers(0, len(BODY)))
def test_any_truncation_gives_a_clear_error_and_what_had_arrived(length: int) -> None:
    arrived = framed(BODY[:length])
    if len(arrived) < len(STREAM) - 1:
        error = failing(*arrived)
        assert error.message == "the connection ended before the reply was finished"
        assert error.partial is not None
        assert error.partial.tool_calls == ()
        assert "Hello \u2028\u00e9".startswith(error.partial.text)
    else:
        assert decoded(*arrived).tool_calls == (
            ToolCall("a", "f", {"x": [1, 2]}),
            ToolCall("b", "g"),
        )


def test_a_connection_that_is_lost_leaves_what_had_arrived() -> None:
    decoder = decode("asked")
    next(decoder)
    for item in STREAM[:4]:
        decoder.send(("", json.dumps(item).encode()))
    lost = ModelError("lost", kind="connection")
    with pytest.raises(ModelError) as caught:
        decoder.throw(lost)
    assert caught.value is lost
    assert lost.partial is not None
    assert (lost.partial.thinking, lost.partial.text) == ("hm", "Hello \u2028\u00e9")
    assert lost.partial.details == {
        "unfinished_calls": [{"id": "a", "name": "f", "arguments": '{"x": [1, 2'}]
    }
