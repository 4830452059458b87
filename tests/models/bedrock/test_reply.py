"""Bedrock's decoder, and the frames it reads."""

import base64
import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.bedrock.streams import (
    STREAM,
    WHOLE,
    delta,
    end,
    event,
    exception,
    framed,
    message,
    start,
    stop,
)
from tests.models.decoding import Decoding
from tests.models.replay import pieces

from tether import Image, ModelError, Text, Thinking, ToolCall, Usage
from tether.deltas import PartialReply
from tether.messages import AssistantMessage, FailureKind, ProviderItem
from tether.models.bedrock.frames import frame_messages
from tether.models.bedrock.reply import decode

BEDROCK = Decoding("bedrock-converse", decode)
BLOCKS = (Thinking("Hm.", "sig"), Text("Hello"), ToolCall("c", "f", {"x": 1}))


def read(*chunks: bytes) -> AssistantMessage:
    """Read a body as the client does."""
    partial, frames, decoder = PartialReply(model="asked"), frame_messages(), decode("asked")
    next(frames)
    next(decoder)
    try:
        for chunk in (*chunks, None):
            for one in frames.send(chunk):
                for found in decoder.send(one):
                    partial.add(found)
        decoder.send(None)
    except StopIteration as over:
        for found in over.value:
            partial.add(found)
    assert partial.complete is not None
    return partial.complete


@pytest.mark.parametrize("events", [STREAM, [WHOLE]], ids=["streamed", "whole"])
def test_a_reply_is_read(events: list[Any]) -> None:
    reply = BEDROCK.decoded(*events)
    assert reply.content == BLOCKS
    assert (reply.stop_reason, reply.model) == ("tool_calls", "asked")
    assert reply.usage == Usage(input_tokens=5, output_tokens=3)


def test_what_was_cached_is_input_too() -> None:
    events = [delta(0, text="x"), *end(cacheReadInputTokens=10, cacheWriteInputTokens=20)]
    counted = BEDROCK.decoded(*events).usage
    assert (counted.input_tokens, counted.cache_read_tokens, counted.cache_write_tokens) == (
        35,
        10,
        20,
    )


@pytest.mark.parametrize(
    ("events", "blocks"),
    [
        ([delta(0, text="a"), delta(1, text="b")], [Text("a"), Text("b")]),
        ([start(0), delta(0, text="a"), stop(0)], [Text("a")]),
        ([delta(0, text=""), stop(0)], []),
        (
            [delta(0, reasoningContent={"redactedContent": "c2VhbGVk"}), stop(0)],
            [Thinking("", "c2VhbGVk", redacted=True)],
        ),
        (
            [delta(0, text="a"), delta(0, citation={"title": "T"}), stop(0)],
            [Text("a", {"citations": [{"title": "T"}]})],
        ),
        ([start(0, toolUse={"toolUseId": "c", "name": "f"})], [ToolCall("c", "f")]),
        (
            [
                start(0, image={"format": "png"}),
                delta(0, image={"source": {"bytes": base64.b64encode(b"\x89PNG").decode()}}),
                stop(0),
            ],
            [Image(b"\x89PNG")],
        ),
        (
            [
                start(0, toolUse={"toolUseId": "s", "name": "search", "type": "server_tool_use"}),
                delta(0, toolUse={"input": '{"q": "x"}'}),
                stop(0),
                start(1, toolResult={"toolUseId": "s", "type": "search_result"}),
                delta(1, toolResult=[{"text": "a"}]),
                delta(1, toolResult=[{"text": "b"}]),
                stop(1),
            ],
            [
                ProviderItem(
                    "bedrock-converse",
                    {
                        "toolUse": {
                            "toolUseId": "s",
                            "name": "search",
                            "type": "server_tool_use",
                            "input": {"q": "x"},
                        }
                    },
                ),
                ProviderItem(
                    "bedrock-converse",
                    {
                        "toolResult": {
                            "toolUseId": "s",
                            "type": "search_result",
                            "content": [{"text": "a"}, {"text": "b"}],
                        }
                    },
                ),
            ],
        ),
    ],
)
def test_blocks(events: list[Any], blocks: list[Any]) -> None:
    assert list(BEDROCK.decoded(*events, *end()).content) == blocks


@pytest.mark.parametrize(
    ("reason", "stop_reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop"),
        ("guardrail_intervened", "refusal"),
        ("content_filtered", "refusal"),
        ("model_context_window_exceeded", "length"),
        ("something_new", "stop"),
    ],
)
def test_reasons_to_stop(reason: str, stop_reason: str) -> None:
    assert BEDROCK.decoded(delta(0, text="x"), *end(reason)).stop_reason == stop_reason


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_a_reply_that_cannot_be_read_is_an_error(reason: str) -> None:
    assert BEDROCK.failing(delta(0, text="x"), *end(reason)).kind == "malformed"


def test_a_stream_that_ends_before_its_reply_is_an_error() -> None:
    assert BEDROCK.failing(*STREAM[:4]).kind == "connection"
    assert BEDROCK.decoded(delta(0, text="x"), end()[0]).text == "x"  # without its counts


# Frames.


@given(st.lists(st.integers(0, len(framed(STREAM))), max_size=9))
def test_a_stream_is_read_however_it_is_cut(cuts: list[int]) -> None:
    assert read(*pieces(framed(STREAM), cuts)).content == BLOCKS


def test_a_stream_is_read_byte_by_byte() -> None:
    body = framed(STREAM)
    assert read(*pieces(body, range(len(body)))).content == BLOCKS


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [
        ("throttlingException", "rate_limit", 429),
        ("validationException", "invalid_request", 400),
        ("serviceUnavailableException", "overloaded", 503),
        ("internalServerException", "server", 500),
        ("modelStreamErrorException", "server", 424),
        ("newException", "server", None),
    ],
)
def test_an_exception_in_the_stream_is_an_error(
    name: str, kind: FailureKind, status: int | None
) -> None:
    body = framed(STREAM[:3]) + exception(name, {"message": "It went wrong."})
    with pytest.raises(ModelError) as caught:
        read(body)
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert caught.value.message == "It went wrong."
    assert caught.value.partial is not None
    assert caught.value.partial.thinking == "Hm."


def test_an_input_that_is_too_long_is_known_by_its_words() -> None:
    body = exception("validationException", {"message": "Input is too long for requested model."})
    with pytest.raises(ModelError) as caught:
        read(body)
    assert caught.value.kind == "context_overflow"


def test_an_error_without_a_payload_has_its_header() -> None:
    body = message(b"", message_type="error", error_code="500", error_message="Broken.")
    with pytest.raises(ModelError, match="Broken"):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        framed(STREAM)[:-1] + b"x",
        b"\0\0\0\1" + framed(STREAM),
        b"\0\xff\xff\xff" * 4 + b"\1" * 20,
        b"\0\0\0\x20" + b"\0" * 28,
    ],
)
def test_a_damaged_stream_is_an_error(body: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        read(body)
    assert caught.value.kind in {"malformed", "connection"}


@given(st.binary(max_size=80), st.integers(0, 200))
def test_nothing_but_a_model_error_leaves_the_frames(noise: bytes, place: int) -> None:
    body = framed(STREAM)
    damaged = body[:place] + noise + body[place + random.Random(place).randrange(9) :]
    with contextlib.suppress(ModelError):
        read(damaged)


def test_a_reply_in_one_piece_may_come_where_a_stream_was_asked_for() -> None:
    assert read(json.dumps(WHOLE).encode()).content == BLOCKS


def test_unknown_events_are_passed_over() -> None:
    body = event("somethingNew", {"x": 1}) + framed(STREAM)
    assert read(body).content == BLOCKS
