"""The Gemini decoder, on streams no recording shows."""

import base64
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
    Image,
    ModelError,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
)
from tether.deltas import PartialReply
from tether.messages import ProviderItem
from tether.models.google.reply import decode
from tether.models.google.request import encode

API = "google-generate"
DECODING = Decoding(API, decode)
deltas_of, decoded = DECODING.deltas_of, DECODING.decoded
failing, read = DECODING.failing, DECODING.read


def chunk(*parts: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    facts = {
        key: more.pop(key) for key in [*more] if key.endswith("Metadata") and key != "usageMetadata"
    }
    reason = {"finishReason": finish} if finish else {}
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "index": 0, **reason, **facts}], **more}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"text": text, **more}


END = chunk(finish="STOP")


def test_pieces_of_text_are_one_text_and_counts_hold_what_tools_and_thoughts_took() -> None:
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 4,
        "cachedContentTokenCount": 2,
    }
    facts = {"modelVersion": "gemini-real", "responseId": "r"}
    assert decoded(
        chunk(said("Hm."), usageMetadata={"promptTokenCount": 10}, **facts),
        chunk(said("Hel", thought=False), **facts),
        chunk(said("lo"), finish="STOP", usageMetadata=usage, **facts),
    ) == AssistantMessage(
        "Hm.Hello",
        model="gemini-real",
        api=API,
        response_id="r",
        usage=Usage(input_tokens=15, output_tokens=7, cache_read_tokens=2, reasoning_tokens=4),
    )


def test_thoughts_and_signatures_stay_where_they_came() -> None:
    reply = decoded(
        chunk(said("Let me", thought=True)),
        chunk(said(" see.", thought=True)),
        chunk(said("Yes."), said("", thoughtSignature="s1")),
        chunk(said("No.", thoughtSignature="s2"), said("Well.")),
        chunk({"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "s3"}),
        END,
    )
    assert reply.content == (
        Thinking("Let me see."),
        Text("Yes."),
        Text("", {"thoughtSignature": "s1"}),
        Text("No.", {"thoughtSignature": "s2"}),
        Text("Well."),
        ToolCall("call-5", "f", {"x": 1}, details={"thoughtSignature": "s3"}),
    )
    [_, written, _] = encode(
        ModelRequest(messages=[UserMessage("?"), reply, ToolResultMessage("call-5", "f", "x")]),
        "gemini-3-flash",
    )["contents"]
    assert written["parts"] == [
        said("Let me see.", thought=True),
        said("Yes."),
        said("", thoughtSignature="s1"),
        said("No.", thoughtSignature="s2"),
        said("Well."),
        {
            "functionCall": {"name": "f", "args": {"x": 1}},
            "thoughtSignature": "s3",
        },
    ]


def test_calls_side_by_side_with_ids_of_their_own_or_ours() -> None:
    reply = decoded(
        chunk(
            {"functionCall": {"name": "f"}},
            {"functionCall": {"id": "own", "name": "g", "args": {}}},
            responseId="r",
        ),
        END,
    )
    assert reply.tool_calls == (ToolCall("r-0", "f"), ToolCall("own", "g"))
    assert reply.stop_reason == "tool_calls"


def test_a_call_may_come_in_pieces() -> None:
    def piece(path: str, more: bool = False, **value: Any) -> dict[str, Any]:
        return {"jsonPath": path, "willContinue": more, **value}

    reply = decoded(
        chunk({"functionCall": {"name": "f", "willContinue": True}}),
        chunk(
            {
                "functionCall": {
                    "partialArgs": [
                        piece("$.place.city", more=True, stringValue="Bos"),
                        piece("$.place.city", stringValue="ton"),
                        piece("$.days[0]", numberValue=3),
                        piece("$.days[1]", numberValue=4),
                        piece("$.sure", boolValue=True),
                        piece("$.none", nullValue="NULL_VALUE"),
                        piece("$", stringValue="nowhere"),
                        piece("$.days.x", numberValue=1),
                        piece("$.days[7]", numberValue=1),
                    ],
                    "willContinue": True,
                }
            }
        ),
        chunk({"functionCall": {}}),
        END,
    )
    assert reply.tool_calls[0].arguments == {
        "place": {"city": "Boston"},
        "days": [3, 4],
        "sure": True,
        "none": None,
    }


def test_what_the_provider_ran_and_what_nobody_knows_is_kept_as_it_came() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1 + 1"}}
    ran = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
    picture = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(b"png").decode()}}
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}
    reply = decoded(
        chunk(code, ran, said("2")),
        chunk(picture, sound, {"telepathy": {}}),
        chunk(finish="STOP", groundingMetadata={"groundingChunks": [1]}, citationMetadata={"x": 1}),
    )
    assert reply.content == (
        ProviderItem(API, code),
        ProviderItem(API, ran),
        Text("2"),
        Image(b"png", "image/png"),
        ProviderItem(API, sound),
        ProviderItem(API, {"telepathy": {}}),
    )
    assert reply.details == {
        "groundingMetadata": {"groundingChunks": [1]},
        "citationMetadata": {"x": 1},
    }
    [_, written] = encode(ModelRequest(messages=[UserMessage("?"), reply]), "m")["contents"]
    assert written["parts"] == [code, ran, said("2"), picture, sound, {"telepathy": {}}]


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "refusal"),
        ("RECITATION", "refusal"),
        ("PROHIBITED_CONTENT", "refusal"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_a_reply_says_why_it_ended(reason: str, ours: str) -> None:
    reply = decoded(chunk(said("Hm.")), chunk(finish=reason))
    plain = reason in {"STOP", "MAX_TOKENS"}
    assert (reply.stop_reason, reply.details) == (ours, None if plain else {"stop_reason": reason})


def test_a_call_that_cannot_be_read_is_an_error() -> None:
    error = failing(chunk(said("So:")), chunk(finish="MALFORMED_FUNCTION_CALL"))
    assert (error.kind, error.message) == (
        "malformed",
        "the reply ended with MALFORMED_FUNCTION_CALL",
    )


def test_a_prompt_that_is_blocked_is_an_error() -> None:
    error = failing({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "No."}})
    assert (error.kind, error.message) == ("content_filter", "the prompt was blocked (SAFETY): No.")


def test_of_several_candidates_the_first_is_the_reply() -> None:
    other = {"content": {"parts": [said("Other.")]}, "index": 1, "finishReason": "SAFETY"}
    both = chunk(said("First."), finish="STOP")
    both["candidates"].append(other)
    assert decoded(both).text == "First."


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("RESOURCE_EXHAUSTED", 429, "rate_limit"),
        ("UNAVAILABLE", 503, "overloaded"),
        ("INTERNAL", 500, "server"),
        ("INVALID_ARGUMENT", 400, "invalid_request"),
        ("DEADLINE_EXCEEDED", 504, "timeout"),
    ],
)
def test_an_error_within_the_stream_keeps_what_had_arrived(
    status: str, code: int, kind: str
) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    told = {"code": code, "message": "Oh.", "status": status, "details": [retry]}
    error = failing(chunk(said("half")), {"error": told})
    assert (error.kind, error.message, error.retry_after) == (kind, "Oh.", 7)
    assert error.partial is not None
    assert error.partial.text == "half"


def test_a_stream_that_just_stops_is_a_lost_connection() -> None:
    assert failing(chunk(said("half"))).kind == "connection"
    error = failing(chunk({"functionCall": {"name": "f", "willContinue": True}}))
    assert error.partial is not None
    assert error.partial.tool_calls == ()


WHOLE = [
    chunk(said("Hm.", thought=True), responseId="r"),
    chunk(said("Grüße ")),
    chunk(said("🌍")),
    chunk({"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": "s"}),
    chunk(finish="STOP", usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2}),
]
BODY = b"".join(b"data: %b\r\n\r\n" % json.dumps(event).encode() for event in WHOLE)


@given(st.lists(st.integers(0, len(BODY)), max_size=30))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    assert read(list(pieces(BODY, cuts))).complete == decoded(*WHOLE)


@given(st.integers(0, len(BODY) - 3))
def test_a_body_cut_off_anywhere_is_an_error_with_what_had_arrived(length: int) -> None:
    whole = decoded(*WHOLE)
    with pytest.raises(ModelError) as caught:
        read([BODY[:length]])
    assert caught.value.kind in {"connection", "malformed"}
    assert caught.value.partial is not None
    assert whole.text.startswith(caught.value.partial.text)


WORDS = ["candidates", "content", "parts", "text", "functionCall", "args", "partialArgs", "index"]
NOISE = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(WHOLE).map(lambda event: json.dumps(event).encode()),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["STOP", "$.x", "AA=="]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*WORDS, "inlineData", "jsonPath"]), inner, max_size=4
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
