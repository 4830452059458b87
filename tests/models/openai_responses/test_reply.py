"""The Responses decoder, on streams no recording shows."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.decoding import Decoding
from tests.models.openai_responses.events import CALLS, CREATED, SAYS, added, done, ended, more
from tests.models.replay import pieces

from tether import AssistantMessage, ModelError, Text, Thinking, Usage
from tether.deltas import PartialReply
from tether.messages import ProviderItem
from tether.models.openai_responses.reply import decode

DECODING = Decoding("openai-responses", decode)
deltas_of, decoded = DECODING.deltas_of, DECODING.decoded
failing, read = DECODING.failing, DECODING.read


def test_text_with_its_usage_id_and_model() -> None:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20},
    }
    assert decoded(
        CREATED,
        SAYS,
        more("output_text", "Hel", item_id="m", content_index=0),
        more("output_text", "lo", item_id="m", content_index=0),
        {"type": "response.output_text.done", "item_id": "m", "output_index": 0, "text": "Hello"},
        done(0, type="message", id="m", content=[{"type": "output_text", "text": "Hello"}]),
        ended(usage=usage),
    ) == AssistantMessage(
        [Text("Hello", {"id": "m"})],
        model="gpt-real",
        api="openai-responses",
        usage=Usage(input_tokens=100, output_tokens=30, cache_read_tokens=60, reasoning_tokens=20),
        response_id="r",
    )


def test_a_refusal_is_text_that_says_it_is_one() -> None:
    reply = decoded(CREATED, SAYS, more("refusal", "I will not.", item_id="m"), ended())
    assert reply.content == (Text("I will not.", {"id": "m", "refusal": True}),)
    assert reply.stop_reason == "refusal"


@pytest.mark.parametrize(
    ("reason", "stop", "details"),
    [
        ("max_output_tokens", "length", None),
        ("content_filter", "refusal", {"stop_reason": "content_filter"}),
        ("something_new", "length", {"stop_reason": "something_new"}),
    ],
)
def test_a_response_that_is_not_complete_says_why(
    reason: str, stop: str, details: dict[str, Any] | None
) -> None:
    reply = decoded(
        CREATED,
        SAYS,
        more("output_text", "half"),
        ended("incomplete", incomplete_details={"reason": reason}),
    )
    assert (reply.text, reply.stop_reason, reply.details) == ("half", stop, details)


def test_a_limit_within_a_call_leaves_its_arguments_unread() -> None:
    reply = decoded(
        CREATED,
        CALLS,
        more("function_call_arguments", '{"path": "/et'),
        ended("incomplete", incomplete_details={"reason": "max_output_tokens"}),
    )
    [call] = reply.tool_calls
    assert (call.id, call.name, call.malformed) == ("c", "f", '{"path": "/et')
    assert reply.stop_reason == "length"


def test_calls_whose_fragments_take_turns() -> None:
    reply = decoded(
        CREATED,
        CALLS,
        added(1, type="function_call", id="fd", call_id="d", name="g", arguments=""),
        more("function_call_arguments", '{"x":', 0, item_id="fc"),
        more("function_call_arguments", '{"y":', 1, item_id="fd"),
        more("function_call_arguments", " 1}", 0, item_id="fc"),
        more("function_call_arguments", " 2}", 1, item_id="fd"),
        ended(),
    )
    calls = [(call.id, call.name, call.arguments) for call in reply.tool_calls]
    assert calls == [("c", "f", {"x": 1}), ("d", "g", {"y": 2})]
    assert reply.stop_reason == "tool_calls"


def test_a_summary_in_several_parts_is_read_as_paragraphs_and_kept_as_it_came() -> None:
    summary = [{"type": "summary_text", "text": text} for text in ("One.", "Two.")]
    reply = decoded(
        CREATED,
        added(0, type="reasoning", id="rs", summary=[]),
        more("reasoning_summary_text", "One.", item_id="rs", summary_index=0),
        more("reasoning_summary_text", "Two.", item_id="rs", summary_index=1),
        done(0, type="reasoning", id="rs", summary=summary, encrypted_content="sealed"),
        ended(),
    )
    assert reply.content == (
        Thinking("One.\n\nTwo.", "sealed", details={"id": "rs", "summary": summary}),
    )


def test_sealed_reasoning_without_a_word_is_redacted() -> None:
    reply = decoded(
        CREATED,
        done(0, type="reasoning", id="rs", summary=[], encrypted_content="sealed"),
        ended(),
    )
    assert reply.content == (Thinking("", "sealed", redacted=True, details={"id": "rs"}),)


def test_what_the_server_ran_is_kept_as_it_came() -> None:
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"q": "x"}}
    reply = decoded(
        CREATED, added(0, **search), done(0, **search), SAYS | {"output_index": 1}, ended()
    )
    assert reply.content[0] == ProviderItem("openai-responses", search)


def test_citations_are_details_of_the_text_they_stand_in() -> None:
    citation = {"type": "url_citation", "url": "https://example.org", "start_index": 0}
    reply = decoded(
        CREATED,
        SAYS,
        more("output_text", "Said.", item_id="m", content_index=0),
        {
            "type": "response.output_text.annotation.added",
            "item_id": "m",
            "output_index": 0,
            "content_index": 0,
            "annotation": citation,
        },
        ended(),
    )
    assert reply.content == (Text("Said.", {"id": "m", "annotations": [citation]}),)


def test_a_reply_that_comes_only_at_the_end_is_whole() -> None:
    """Servers that speak the API without its fragments send the items with the last event."""
    output = [
        {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi."}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x": 1}'},
    ]
    reply = decoded(ended(output=output, model="n"))
    assert (reply.text, reply.model) == ("Hi.", "n")
    assert [call.arguments for call in reply.tool_calls] == [{"x": 1}]


def test_an_item_may_have_another_id_in_each_event() -> None:
    reply = decoded(
        CREATED,
        added(0, type="message", id="one", content=[]),
        more("output_text", "a", item_id="two", content_index=0),
        more("output_text", "b", item_id="three", content_index=0),
        done(0, type="message", id="four", content=[{"type": "output_text", "text": "ab"}]),
        ended(),
    )
    assert reply.text == "ab"


def test_events_nobody_knows_are_passed_over() -> None:
    strange = {"type": "response.telepathy.delta", "delta": "?", "output_index": 0}
    reply = decoded(CREATED, strange, SAYS, more("output_text", "Hi."), strange, ended())
    assert reply.text == "Hi."


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (
            {"type": "error", "code": "server_error", "message": "Oh."},
            "server",
            "Oh.",
        ),
        (
            {
                "type": "error",
                "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Slow."},
            },
            "rate_limit",
            "Slow.",
        ),
        (
            ended("failed", error={"code": "context_length_exceeded", "message": "Too long."}),
            "context_overflow",
            "Too long.",
        ),
        (
            ended("cancelled"),
            "server",
            "the response is marked as cancelled",
        ),
    ],
)
def test_an_error_within_the_stream_keeps_what_had_arrived(
    event: dict[str, Any], kind: str, message: str
) -> None:
    error = failing(CREATED, SAYS, more("output_text", "half"), event)
    assert (error.kind, error.failure.message) == (kind, message)
    assert error.partial is not None
    assert (error.partial.text, error.partial.stop_reason) == ("half", "error")


def test_a_stream_that_just_stops_is_a_lost_connection() -> None:
    error = failing(CREATED, CALLS, more("function_call_arguments", '{"x"'))
    assert error.kind == "connection"
    assert error.partial is not None
    assert error.partial.tool_calls == ()
    assert error.partial.details == {
        "unfinished_calls": [{"id": "c", "name": "f", "arguments": '{"x"'}]
    }


WHOLE = [
    CREATED,
    added(0, type="reasoning", id="rs", summary=[]),
    more("reasoning_summary_text", "Hm.", item_id="rs", summary_index=0),
    done(0, type="reasoning", id="rs", summary=[{"type": "summary_text", "text": "Hm."}]),
    added(1, type="message", id="m", content=[]),
    more("output_text", "Grüße ", 1, item_id="m", content_index=0),
    more("output_text", "🌍", 1, item_id="m", content_index=0),
    added(2, type="function_call", id="fc", call_id="c", name="f", arguments=""),
    more("function_call_arguments", '{"x": 1}', 2, item_id="fc"),
    ended(usage={"input_tokens": 1, "output_tokens": 2}),
]
BODY = b"".join(
    b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
    for event in WHOLE
)


@given(st.lists(st.integers(0, len(BODY)), max_size=30))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    assert read(list(pieces(BODY, cuts))).complete == decoded(*WHOLE)


@given(st.integers(0, len(BODY) - 1))
def test_a_body_cut_off_anywhere_is_an_error_with_what_had_arrived(length: int) -> None:
    whole = decoded(*WHOLE)
    with pytest.raises(ModelError) as caught:
        read([BODY[:length]])
    assert caught.value.kind in {"connection", "malformed"}
    assert caught.value.partial is not None
    assert whole.text.startswith(caught.value.partial.text)


EVENTS = st.sampled_from([*WHOLE, SAYS, CALLS, ended("incomplete"), ended("failed")])
NOISE = st.one_of(
    st.binary(max_size=60),
    EVENTS.map(lambda event: json.dumps(event).encode()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "item", "part", "delta", "response", "output", "id", "error"]
                ),
                inner,
                max_size=4,
            )
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
