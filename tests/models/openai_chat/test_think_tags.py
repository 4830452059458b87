"""Thinking between tags at the beginning of a text is thinking, wherever it is cut."""

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.canned import Answer, Canned, events
from tests.models.decoding import Decoding
from tests.models.replay import pieces
from tests.models.streams import chunk

from tether import ModelRequest, TextDelta, UsageError, UserMessage, model_from_name
from tether.deltas import Delta, PartialReply, ReplyEnd, ThinkingDelta
from tether.models.openai_chat.reply import decode
from tether.models.openai_chat.think_tags import ThinkTags

reader: Any = functools.partial(decode, think_tags=True)
TAGGED = Decoding("openai-chat", reader)

ROWS = [
    ("<think>Hm.</think>Hello", "Hm.", "Hello"),
    ("<think>\nHm.\n</think>\n\nHello\n", "Hm.", "Hello\n"),
    ("\n <think>a < b </thin k></think>x", "a < b </thin k>", "x"),
    ("<think></think>Hello", "", "Hello"),
    ("<think>Hm.", "Hm.", ""),
    ("<think>Hm.</thi", "Hm.</thi", ""),
    ("<think>Hm.</think>", "Hm.", ""),
    ("<thi", "", "<thi"),
    ("<thinking>no</thinking>", "", "<thinking>no</thinking>"),
    ("\n\nHello", "", "\n\nHello"),
    ("Hello <think>no</think>", "", "Hello <think>no</think>"),
    ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
    (" ", "", " "),
]


def streamed(body: str, cuts: Any) -> list[Any]:
    parts = [part.decode() for part in pieces(body.encode(), cuts)]
    return [chunk(role="assistant", content=""), *(chunk(content=p) for p in parts), chunk("stop")]


def check(body: str, cuts: Any, thinking: str, text: str) -> None:
    stream = streamed(body, cuts)
    message = TAGGED.decoded(*stream)
    assert (message.thinking, message.text) == (thinking, text)
    deltas: list[Delta] = list(TAGGED.deltas_of(*stream))
    assert isinstance(deltas[-1], ReplyEnd)
    assert "".join(d.text for d in deltas if isinstance(d, ThinkingDelta)) == thinking
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == text


@pytest.mark.parametrize(("body", "thinking", "text"), ROWS)
def test_thinking_is_told_from_text_however_it_is_cut(body: str, thinking: str, text: str) -> None:
    for cuts in ([], range(len(body)), *([cut] for cut in range(1, len(body)))):
        check(body, cuts, thinking, text)


@given(
    st.text("<>/think ab\n").filter(lambda text: "</think>" not in text),
    st.text("<>/think ab\n"),
    st.lists(st.integers(1, 60)),
)
def test_what_stands_between_the_tags_is_thinking(
    thinking: str, text: str, cuts: list[int]
) -> None:
    check(f"<think>{thinking}</think>{text}", cuts, thinking.strip(), text.lstrip())


def test_a_long_row_of_blanks_is_read_in_time_that_grows_with_its_length() -> None:
    # With a time that grew with its square, this would take minutes.
    thinking = "a" + "\n" * 100_000 + "b"
    assert list(ThinkTags().divide(f"<think>{thinking}")) == [("thinking", thinking)]


def test_tags_are_text_unless_they_are_asked_for() -> None:
    plain = Decoding("openai-chat", decode).decoded(*streamed("<think>Hm.</think>Hello", []))
    assert (plain.thinking, plain.text) == ("", "<think>Hm.</think>Hello")


def test_a_call_may_follow_the_thinking() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    message = TAGGED.decoded(
        chunk(content="<think>Hm.</think>\n\n"), chunk(tool_calls=[call]), chunk("tool_calls")
    )
    assert (message.thinking, message.text) == ("Hm.", "")
    assert [call.name for call in message.tool_calls] == ["f"]


@pytest.mark.parametrize(
    ("name", "settings", "thinks"),
    [
        ("ollama:qwen3", {}, True),
        ("vllm:m", {}, True),
        ("together:m", {}, True),
        ("huggingface:m", {}, True),
        ("ollama:qwen3", {"think_tags": False}, False),
        ("openai-chat:m", {}, False),
        ("openai-chat:m", {"base_url": "http://127.0.0.1:1/v1", "think_tags": True}, True),
        ("groq:m", {}, False),
        ("deepseek:m", {}, False),
    ],
)
async def test_servers_of_local_models_leave_tags(name: str, settings: Any, thinks: bool) -> None:
    body = events(*streamed("<think>Hm.</think>Hello", [3, 9]))
    model = Canned([Answer(body)]).model(name, **settings)
    partial = PartialReply()
    async with model.stream(ModelRequest(messages=[UserMessage("hi")])) as deltas:
        async for delta in deltas:
            partial.add(delta)
    assert partial.complete is not None
    assert partial.complete.thinking == ("Hm." if thinks else "")


def test_other_apis_have_a_field_for_thinking() -> None:
    with pytest.raises(UsageError, match="anthropic-messages has a field for thinking"):
        model_from_name("anthropic:m", think_tags=True)
