"""Streams of compatible servers that say something in another form than OpenAI's."""

import json
from typing import Any

import pytest
from tests.models.decoding import Decoding
from tests.models.streams import chunk

from tether import ModelError
from tether.models.openai_chat.reply import decode

CHAT = Decoding("openai-chat", decode)
DONE = b"[DONE]"


def failure(*events: tuple[str, Any]) -> ModelError:
    decoder = decode("asked")
    next(decoder)
    with pytest.raises(ModelError) as caught:
        for name, data in events:
            decoder.send((name, data if isinstance(data, bytes) else json.dumps(data).encode()))
        decoder.send(None)
    return caught.value


SLOW = {"message": "slow down", "code": "rate_limit_exceeded"}


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (("error", SLOW), "rate_limit", "slow down"),
        (("error", {"error": SLOW}), "rate_limit", "slow down"),
        (("error", {"message": "no", "code": 400}), "invalid_request", "no"),
        (("error", b"Internal Server Error"), "server", "Internal Server Error"),
        (("", {"object": "error", **SLOW, "param": None}), "rate_limit", "slow down"),
        (("", {"object": "error", "message": "busy", "code": 503}), "overloaded", "busy"),
        (("", {"detail": "no such thing"}), "server", "no such thing"),
    ],
)
@pytest.mark.parametrize("ending", [[], [("", DONE)], [("", chunk("stop")), ("", DONE)]], ids=repr)
def test_an_error_in_any_form_is_an_error(
    event: tuple[str, Any], kind: str, message: str, ending: list[Any]
) -> None:
    error = failure(("", chunk(role="assistant", content="")), event, *ending)
    assert (error.kind, error.message) == (kind, message)


@pytest.mark.parametrize(
    "before", [[], [chunk(role="assistant", content="")], [{"choices": []}]], ids=repr
)
def test_the_mark_of_the_end_alone_is_no_reply(before: list[Any]) -> None:
    error = failure(*(("", event) for event in before), ("", DONE))
    assert error.kind == "malformed"


def test_a_reply_may_be_empty() -> None:
    assert CHAT.decoded(chunk("stop"), DONE).content == ()


def test_the_older_way_to_make_a_call_is_one() -> None:
    message = CHAT.decoded(
        chunk(role="assistant", content=None, function_call={"name": "f", "arguments": ""}),
        chunk(function_call={"arguments": '{"x":'}),
        chunk(function_call={"arguments": " 1}"}),
        chunk("function_call"),
        DONE,
    )
    assert [(call.name, dict(call.arguments)) for call in message.tool_calls] == [("f", {"x": 1})]
    assert message.stop_reason == "tool_calls"
    call = {"name": "f", "arguments": '{"x": 1}'}
    both = CHAT.decoded(
        chunk(
            "tool_calls", function_call=call, tool_calls=[{"index": 0, "id": "c", "function": call}]
        )
    )
    assert [call.id for call in both.tool_calls] == ["c"]


def test_a_message_in_one_piece_counts_unless_it_came_in_pieces() -> None:
    said = {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]}
    assert CHAT.decoded(said, DONE).text == "Hello"
    assert CHAT.decoded(chunk(content="Hel"), chunk(content="lo"), said, DONE).text == "Hello"
