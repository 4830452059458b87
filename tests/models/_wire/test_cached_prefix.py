"""A conversation is written once: the request that is sent is the same as if it were written anew."""

import json
import operator
from itertools import pairwise
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
from tether.messages import AssistantBlock, ProviderItem, UserBlock
from tether.models._wire.cached_prefix import CachedPrefix
from tether.models._wire.leniency import json_text
from tether.models._wire.protocol import WireApi
from tether.models.anthropic.api import ANTHROPIC_MESSAGES
from tether.models.google.api import GOOGLE_GENERATE
from tether.models.openai_chat.api import MISTRAL_CHAT, OPENAI_CHAT
from tether.models.openai_responses.api import OPENAI_RESPONSES
from tether.transcript import Transcript, repaired

APIS = [OPENAI_CHAT, MISTRAL_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, GOOGLE_GENERATE]
PNG = Image(b"png", "image/png")

TURNS = st.lists(
    st.sampled_from(
        [
            *["ask", "say", "call", "two calls", "same id", "image", "think", "cut off", "empty"],
            *["search", "search", "found", "found"],
        ]
    ),
    max_size=25,
)


def play(turns: list[str], api: str) -> list[list[Message]]:
    """Let a conversation grow; return what it is at each request."""
    transcript, seen = Transcript(), []
    search = ""
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
                run: list[AssistantBlock] = []
                if turn == "search":
                    search = f"s{number}"
                    run = [ProviderItem(api, {"type": "server_tool_use", "id": search})]
                elif turn == "found":
                    found = {"type": "web_search_tool_result", "tool_use_id": search}
                    run = [ProviderItem(api, found)]
                transcript.append(AssistantMessage([Thinking("hm"), *run, *calls], api=api))
                for call in calls:
                    given: list[UserBlock] = [Text("x"), *([PNG] if turn == "image" else [])]
                    transcript.resolve(ToolResultMessage(call.id, "f", given))
        seen.append(list(transcript.for_model()))
        assert transcript.for_model() == repaired(list(transcript))
    return seen


@pytest.mark.parametrize("api", APIS, ids=["chat", "mistral", "responses", "anthropic", "google"])
@given(turns=TURNS, forget=st.integers(0, 30), thinking=st.sampled_from([None, "low"]))
@settings(max_examples=60, deadline=None)
def test_what_is_sent_is_the_same_as_if_it_were_written_anew(
    api: WireApi, turns: list[str], forget: int, thinking: Any
) -> None:
    cache = CachedPrefix()
    options = ModelOptions(thinking=thinking)
    for number, messages in enumerate(play(turns, api.name)):
        if number == forget:
            # As a summary takes the place of the beginning.
            messages = [UserMessage("summary"), *messages[len(messages) // 2 :]]
        request = ModelRequest(messages=repaired(messages), system="Be brief.", options=options)  # type: ignore[arg-type]  # no custom ones
        for model in ("gemini-3-flash", "claude-sonnet-4-5"):
            if model.startswith("gemini") == (api is GOOGLE_GENERATE):
                kept = msgspec.json.decode(json_text(api.encode(request, model, cache)))
                assert kept == json.loads(json.dumps(api.encode(request, model)))


@pytest.mark.parametrize("api", APIS, ids=["chat", "mistral", "responses", "anthropic", "google"])
def test_what_nothing_later_changes_is_written_once(api: WireApi) -> None:
    cache = CachedPrefix()
    requests = play(["call"] * 8, api.name)
    texts: list[list[msgspec.Raw]] = []
    for messages in requests:
        body = api.encode(ModelRequest(messages=repaired(messages)), "gemini-3-flash", cache)  # type: ignore[arg-type]  # no custom ones
        items = next(body[key] for key in ("messages", "input", "contents") if key in body)
        texts.append([item for item in items if isinstance(item, msgspec.Raw)])
    for before, after in pairwise(texts[3:]):
        assert before
        assert all(map(operator.is_, before, after))
        assert len(after) > len(before)
