"""What a server reports about its reply: taken over as it is, unless there is a secret in it."""

import pytest

from tether import AssistantMessage
from tether.deltas import Delta, ReplyEnd, ReplyInfo
from tether.models._http.secrets import Secrets

KEY = "sk-abcdefghijklmnop"


def reply(**facts: object) -> AssistantMessage:
    return AssistantMessage("Hi", **{"model": "m", "response_id": "r-1_a", **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "delta",
    [
        ReplyInfo(),
        ReplyInfo(model="m", response_id="chat-1_2"),
        ReplyEnd(reply()),
        ReplyEnd(reply(details={"a": [1, {"b": "c"}], "n": None})),
    ],
)
def test_nothing_is_made_anew_where_nothing_is_to_be_taken_out(delta: Delta) -> None:
    assert Secrets.of(KEY, {}, "http://x", "").cleaned_delta(delta) is delta


@pytest.mark.parametrize(
    ("delta", "shown"),
    [
        (ReplyInfo(model=KEY), ReplyInfo(model="[key]")),
        (ReplyInfo(response_id=f"a-{KEY}"), ReplyInfo(response_id="a-[key]")),
        (ReplyEnd(reply(model=KEY)), ReplyEnd(reply(model="[key]"))),
        (
            ReplyEnd(reply(details={"a": [KEY, {KEY: 1}]})),
            ReplyEnd(reply(details={"a": ["[key]", {"[key]": 1}]})),
        ),
    ],
)
def test_secrets_are_taken_out_of_whatever_is_reported(delta: Delta, shown: Delta) -> None:
    assert Secrets.of(KEY, {}, "http://x", "").cleaned_delta(delta) == shown
