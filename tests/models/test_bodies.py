"""Bodies of another form than was asked for are read as what they are."""

import json
from typing import Any

import pytest
from tests.models.canned import Answer, Canned, events
from tests.models.replay import pieces
from tests.models.streams import PROVIDERS, STREAMS, WHOLE, each_api

from tether import AssistantMessage, Model, ModelError, ModelRequest, UserMessage
from tether.deltas import Delta, PartialReply
from tether.models._wire.body import IN_ONE_PIECE, frame_body

KINDS = ["text/event-stream", "application/json", "text/html; charset=utf-8", "text/plain", ""]
each_kind = pytest.mark.parametrize("kind", KINDS)


async def deltas_of(model: Model) -> list[Delta]:
    request = ModelRequest(messages=[UserMessage("hi")])
    async with model.stream(request) as deltas:
        return [delta async for delta in deltas]


async def reply_to(api: str, body: bytes, kind: str = KINDS[0]) -> AssistantMessage:
    partial = PartialReply()
    for delta in await deltas_of(Canned([Answer(body, kind=kind)]).model(PROVIDERS[api])):
        partial.add(delta)
    assert partial.complete is not None
    return partial.complete


def check(message: AssistantMessage) -> None:
    assert (message.text, message.thinking) == ("Hello", "Hm.")
    assert [(one.id, one.name, dict(one.arguments)) for one in message.tool_calls] == [
        ("c", "f", {"x": 1})
    ]
    assert (message.usage.input_tokens, message.usage.output_tokens) == (5, 3)
    assert (message.response_id, message.model, message.stop_reason) == ("r", "real", "tool_calls")


@each_kind
@each_api
async def test_an_event_stream_is_one_whatever_its_content_type(api: str, kind: str) -> None:
    check(await reply_to(api, events(*STREAMS[api][1]), kind))


@each_kind
@each_api
async def test_a_reply_in_one_piece_is_read_where_a_stream_was_asked_for(
    api: str, kind: str
) -> None:
    check(await reply_to(api, json.dumps(WHOLE[api], indent=1).encode(), kind))


@each_api
async def test_a_reply_in_one_piece_may_be_an_event(api: str) -> None:
    check(await reply_to(api, events(WHOLE[api])))


async def test_a_list_of_answers_is_their_stream() -> None:
    check(await reply_to("google", json.dumps(STREAMS["google"][1]).encode(), "application/json"))


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"])
@each_api
async def test_the_last_event_needs_no_blank_line(api: str, end: bytes) -> None:
    check(await reply_to(api, events(*STREAMS[api][1]).rstrip() + end))


@each_api
async def test_a_last_event_that_was_cut_off_is_none(api: str) -> None:
    body = events(*STREAMS[api][1][:2]).rstrip()
    with pytest.raises(ModelError) as caught:
        await reply_to(api, body[:-1])
    assert caught.value.kind == "connection"


@each_api
@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b'{"error": {"message": "no", "code": "x"}}', "malformed", "no"),
        (b'{"detail": "Not Found"}', "malformed", "Not Found"),
        (b'{"error": {"message": "busy", "type": "overloaded_error"}}', "overloaded", "busy"),
        (b'{"error": {"message": "no", "code": "insufficient_quota"}}', "quota", "no"),
        (b'{"detail": "prompt is too long"}', "context_overflow", "prompt is too long"),
        (b"{}", "malformed", "the server answered HTTP 200 with: {}"),
        (b"[]", "malformed", "the server answered HTTP 200 with: []"),
        (b"{", "malformed", "the server answered HTTP 200 with: {"),
        (b"", "malformed", "the server answered HTTP 200 with an empty body"),
        (b'\xef\xbb\xbf <html><title>Log in</title>', "malformed", "with an HTML page: Log in"),
    ],
)  # fmt: skip
async def test_what_is_no_reply_is_described(
    api: str, body: bytes, kind: str, message: str
) -> None:
    with pytest.raises(ModelError) as caught:
        await reply_to(api, body, "application/json")
    assert caught.value.kind == kind
    assert message in caught.value.message


async def test_an_error_inside_a_stream_of_another_type_has_its_own_kind() -> None:
    body = events({"error": {"message": "busy", "type": "overloaded_error"}})
    with pytest.raises(ModelError) as caught:
        await reply_to("chat", body, "application/json")
    assert (caught.value.kind, caught.value.message) == ("overloaded", "busy")


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b' \r\n[{"a": 1}]', b'\xef\xbb\xbf{"a": 1}\n', b'[\n{"a": 1}\n]']
)
def test_a_body_in_one_piece_is_one_event_however_it_is_cut(body: bytes) -> None:
    for cut in (pieces(body, []), pieces(body, range(len(body)))):
        assert framed(cut) == [(IN_ONE_PIECE, b'{"a": 1}')]


@pytest.mark.parametrize(
    "body", [b"\n\ndata: {}\n\n", b"  \n: x\n\ndata: {}", b"\xef\xbb\xbfdata:{}"]
)
def test_blanks_before_a_stream_change_nothing(body: bytes) -> None:
    for cut in (pieces(body, []), pieces(body, range(len(body)))):
        assert framed(cut) == [("", b"{}")]


def test_a_body_in_one_piece_is_bounded() -> None:
    with pytest.raises(ModelError, match="more than 1,000 bytes"):
        framed([b"{" + b" " * 600] * 2, limit=1000)


def framed(chunks: list[bytes], limit: int = 1000) -> list[Any]:
    frames = frame_body(limit)
    next(frames)
    found = [event for chunk in chunks for event in frames.send(chunk)]
    return [*found, *frames.send(None)]


@pytest.mark.parametrize("read", [1, 2, 3])
def test_what_a_reply_was_read_from_is_not_held_while_it_waits(read: int) -> None:
    frames: Any = frame_body()
    next(frames)
    for _ in range(read):
        assert len(frames.send(b"data: {}\n\n" * 6_000 + b"data: {")) >= 6_000
    held: list[object] = []
    suspended = frames
    while suspended is not None:
        held += suspended.gi_frame.f_locals.values()
        suspended = suspended.gi_yieldfrom
    assert max(len(one) for one in held if isinstance(one, bytes | bytearray | list)) < 100
