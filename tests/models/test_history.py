"""History is never poisoned: whatever is in a conversation, what is sent of it is what the APIs document."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.streams import STREAMS, each_api

from tether import (
    AssistantMessage,
    Image,
    ModelError,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.deltas import ReplyEnd
from tether.models._wire.leniency import json_text
from tether.models._wire.protocol import WireApi
from tether.models.anthropic.api import ANTHROPIC_MESSAGES
from tether.models.google.api import GOOGLE_GENERATE
from tether.models.openai_chat.api import DEEPSEEK_CHAT, MISTRAL_CHAT, OPENAI_CHAT
from tether.models.openai_responses.api import OPENAI_RESPONSES

APIS = {
    "openai-chat": OPENAI_CHAT,
    "mistral": MISTRAL_CHAT,
    "deepseek": DEEPSEEK_CHAT,
    "openai-responses": OPENAI_RESPONSES,
    "anthropic-messages": ANTHROPIC_MESSAGES,
    "google-generate": GOOGLE_GENERATE,
}
ODD_NAMES = [
    "",
    " ",
    "q<|channel|>commentary",
    "a.b",
    "x" * 200,
    "7zip",
    "-",
    "n\u00e4me",
    "\ud83d",
]
NAME = st.sampled_from(["f", *ODD_NAMES]) | st.text(max_size=80)
WORDS = st.sampled_from(["", " ", "\n", "Hello", "\ud83d"]) | st.text(max_size=5)
PNG = Image(b"\x89PNG", "image/png")

CALL = st.builds(ToolCall, NAME, NAME, st.dictionaries(WORDS, WORDS, max_size=2))
USER = st.builds(UserMessage, st.lists(WORDS.map(Text) | st.just(PNG), max_size=3))
REPLY = st.builds(
    AssistantMessage,
    st.lists(
        WORDS.map(Text)
        | st.builds(Thinking, WORDS, st.none() | WORDS)
        | CALL
        | st.builds(Text, WORDS, st.builds(dict, id=NAME)),
        max_size=4,
    ),
    api=st.sampled_from([*(api.name for api in APIS.values()), ""]),
    stop_reason=st.sampled_from(["stop", "aborted", "length"]),
)
RESULT = st.builds(ToolResultMessage, NAME, NAME, WORDS)


def decoded(api: str, id_: Any, name: Any) -> AssistantMessage | None:
    """A reply of that API with a call of that id and name."""
    decoding, stream = STREAMS[api]
    told = json.dumps(stream).replace('"f"', json.dumps(name)).replace('"c"', json.dumps(id_))
    try:
        *_, end = decoding.deltas_of(*json.loads(told))
    except ModelError:
        return None
    assert isinstance(end, ReplyEnd)
    return end.message


# What the APIs document.


def named(name: Any, longest: int) -> Any:
    assert re.fullmatch(rf"[a-zA-Z0-9_-]{{1,{longest}}}", name)
    return name


def check_chat(body: Any, ids: str) -> Iterator[tuple[Any, str]]:
    for message in body["messages"]:
        content, calls = message.get("content"), message.get("tool_calls", ())
        if message["role"] == "tool":
            yield message["tool_call_id"], "result"
        elif not calls:
            assert_says(content)
        for call in calls:
            named(call["function"]["name"], 64)
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            assert re.fullmatch(ids, call["id"])
            yield call["id"], "call"


def assert_says(content: Any) -> None:
    """A message says something, and none of its texts is blank."""
    assert content
    for part in [{"text": content}] if isinstance(content, str) else content:
        assert "text" not in part or part["text"].strip()


def check_responses(body: Any) -> Iterator[tuple[Any, str]]:
    for item in body["input"]:
        if "id" in item:
            named(item["id"], 64)
        match item.get("type"):
            case "function_call":
                named(item["name"], 64)
                assert isinstance(json.loads(item["arguments"]), dict)
                yield named(item["call_id"], 64), "call"
            case "function_call_output":
                yield item["call_id"], "result"
            case "reasoning":
                pass
            case _:
                assert item["content"]
                if "id" not in item:
                    assert_says(item["content"])


def check_anthropic(body: Any) -> Iterator[tuple[Any, str]]:
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == ["user" if n % 2 == 0 else "assistant" for n in range(len(roles))]
    for turn in body["messages"]:
        assert_says(turn["content"])
        for block in turn["content"]:
            if block["type"] == "tool_use":
                named(block["name"], 128)
                yield named(block["id"], 64), "call"
            elif block["type"] == "tool_result":
                assert_says(block.get("content", "-"))
                yield block["tool_use_id"], "result"


def check_google(body: Any) -> Iterator[tuple[Any, str]]:
    for turn in body["contents"]:
        assert turn["parts"]
        for part in turn["parts"]:
            assert part.get("text") != "" or "thoughtSignature" in part
            for kind, short in (("functionCall", "call"), ("functionResponse", "result")):
                if kind in part:
                    assert re.match("[a-zA-Z_]", named(part[kind]["name"], 64))
                    yield part[kind]["name"], short


CHECKS: dict[str, Callable[[Any], Iterator[tuple[Any, str]]]] = {
    "openai-chat": lambda body: check_chat(body, "[a-zA-Z0-9_-]{1,40}"),
    "mistral": lambda body: check_chat(body, "[a-zA-Z0-9]{9}"),
    "deepseek": lambda body: check_chat(body, "[a-zA-Z0-9_-]{1,40}"),
    "openai-responses": check_responses,
    "anthropic-messages": check_anthropic,
    "google-generate": check_google,
}


def check(name: str, messages: list[Any]) -> None:
    """Encode a conversation, read it as its server does, and check that results answer calls in order."""
    api: WireApi = APIS[name]
    body = json.loads(json_text(api.encode(ModelRequest(messages=messages), "gemini-3-flash")))
    waiting: list[Any] = []
    for id_, kind in CHECKS[name](body):
        if kind == "call":
            waiting.append(id_)
        else:
            assert id_ == waiting.pop(0)
    assert waiting == []


@pytest.mark.parametrize("name", APIS)
@given(messages=st.lists(USER | REPLY | RESULT, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_whatever_a_person_puts_into_a_message_is_sent_as_documented(
    name: str, messages: list[Any]
) -> None:
    check(name, [UserMessage("hi"), *messages])


@each_api
@given(id_=NAME, name=NAME, again=st.booleans())
@settings(max_examples=40, deadline=None)
def test_whatever_a_decoder_reads_is_sent_as_documented(
    api: str, id_: str, name: str, again: bool
) -> None:
    reply = decoded(api, id_, name)
    if reply is not None:
        [call] = reply.tool_calls
        talk = [reply, ToolResultMessage(call.id, call.name, "")] * (2 if again else 1)
        for other in APIS:
            check(other, [UserMessage("hi"), *talk])
        assert call.name == name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize("name", APIS)
def test_a_message_that_says_nothing_is_an_invitation_to_go_on(name: str) -> None:
    api = APIS[name]
    empties: list[Any] = ["", " \n", []]
    for empty in empties:
        body = json.dumps(api.encode(ModelRequest(messages=[UserMessage(empty)]), "m"))
        assert "Go on." in body
    body = json.dumps(api.encode(ModelRequest(messages=[UserMessage("hi")], system=" "), "m"))
    assert "system" not in body
    assert "nstruction" not in body


@pytest.mark.parametrize("name", APIS)
def test_what_is_rewritten_stays_itself_in_the_conversation(name: str) -> None:
    reply = AssistantMessage([ToolCall("id 1", "a b", {})], api=APIS[name].name)
    messages = [UserMessage("hi"), reply, ToolResultMessage("id 1", "a b", "x")]
    check(name, messages)
    assert reply.tool_calls == (ToolCall("id 1", "a b", {}),)
    valid = ToolCall("call_1", "a-b_C9", {})
    body = APIS[name].encode(
        ModelRequest(messages=[UserMessage("hi"), AssistantMessage([valid])]), "m"
    )
    assert "a-b_C9" in json.dumps(body)
