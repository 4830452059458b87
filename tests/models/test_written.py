"""A conversation is written once: the request that is sent is the same as if it were written anew."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tether import (
    AssistantMessage,
    Image,
    Message,
    ModelOptions,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.messages import AssistantBlock, UserBlock
from tether.models._wire import WireApi, Written, json_text
from tether.models.anthropic import ANTHROPIC_MESSAGES
from tether.models.google import GOOGLE_GENERATE
from tether.models.openai_chat import MISTRAL_CHAT, OPENAI_CHAT
from tether.models.openai_responses import OPENAI_RESPONSES
from tether.transcript import Transcript, repaired

APIS = [OPENAI_CHAT, MISTRAL_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GOOGLE_GENERATE]
PNG = Image(b"png", "image/png")

TURNS = st.lists(
    st.sampled_from(
        ["ask", "say", "call", "two calls", "same id", "image", "think", "cut off", "empty"]
    ),
    max_size=25,
)


def play(turns: list[str], api: str) -> list[list[Message]]:
    """Let a conversation grow; return what it is at each request."""
    transcript, seen = Transcript(), []
    transcript.append(UserMessage("begin"))
    for number, turn in enumerate(turns):
        match turn:
            case "ask":
                transcript.append(UserMessage(f"q{number}"))
            case "say":
                transcript.append(AssistantMessage(f"a{number}", api=api))
            case "think":
                content: list[AssistantBlock] = [Thinking("hm", "signed"), Text("So.")]
                transcript.append(AssistantMessage(content, api=api))
            case "cut off":
                transcript.append(AssistantMessage("Hel", api=api, stop_reason="aborted"))
            case "empty":
                transcript.append(AssistantMessage([], api=api))
            case _:
                ids = {"two calls": [f"c{number}", f"d{number}"], "same id": ["same"]}
                calls = [ToolCall(id_, "f", {"x": number}) for id_ in ids.get(turn, [f"c{number}"])]
                transcript.append(AssistantMessage([Thinking("hm"), *calls], api=api))
                for call in calls:
                    given: list[UserBlock] = [Text("x"), *([PNG] if turn == "image" else [])]
                    transcript.resolve(ToolResultMessage(call.id, "f", given))
        seen.append(list(transcript.for_model()))
        assert transcript.for_model() == repaired(list(transcript))
    return seen


@pytest.mark.parametrize("api", APIS, ids=["chat", "mistral", "responses", "anthropic", "google"])
@given(turns=TURNS, forget=st.integers(0, 30), thinking=st.sampled_from([None, "low"]))
@settings(max_examples=60)
def test_what_is_sent_is_the_same_as_if_it_were_written_anew(
    api: WireApi, turns: list[str], forget: int, thinking: Any
) -> None:
    written = Written()
    options = ModelOptions(thinking=thinking)
    for number, messages in enumerate(play(turns, api.name)):
        if number == forget:
            # As a summary takes the place of the beginning.
            messages = [UserMessage("summary"), *messages[len(messages) // 2 :]]
        request = ModelRequest(messages=repaired(messages), system="Be brief.", options=options)  # type: ignore[arg-type]  # no custom ones
        for model in ("gemini-3-flash", "claude-sonnet-4-5"):
            if model.startswith("gemini") == (api is GOOGLE_GENERATE):
                kept = msgspec.json.decode(json_text(api.encode(request, model, written)))
                assert kept == json.loads(json.dumps(api.encode(request, model)))


def test_a_message_is_written_once() -> None:
    made: list[int] = []
    written = Written()
    message = UserMessage("hi")

    def make(which: int) -> list[Any]:
        made.append(which)
        return [{"role": "user"}]

    for _ in range(3):
        items = written(message, None, lambda: make(1))
        assert [bytes(item) for item in items] == [b'{"role":"user"}']
    assert made == [1]
    written(message, "otherwise", lambda: make(2))
    assert made == [1, 2]
