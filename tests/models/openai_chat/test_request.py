"""The chat-completions encoder."""

import re
from collections.abc import Sequence
from typing import Any

from hypothesis import given
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
from tether.messages import ProviderItem
from tether.model import ToolSpec
from tether.models._wire.protocol import WireApi
from tether.models.openai_chat.api import DEEPSEEK_CHAT, MISTRAL_CHAT, OPENAI_CHAT, OPENROUTER_CHAT
from tether.models.openai_chat.request import encode

PNG = Image(b"png")


def encoded(*messages: Message, **fields: Any) -> Any:
    return encode(ModelRequest(messages=messages, **fields), "m")  # type: ignore[arg-type]  # tests send any


def test_a_conversation_is_written_as_the_api_has_it() -> None:
    reply = AssistantMessage(
        [
            Thinking("hm", "sig"),
            Text("Look."),
            ToolCall("a b", "f", {"x": 1}),
            ProviderItem("other", {"type": "x"}),
        ],
        api="other",
    )
    answer = ToolResultMessage("a b", "f", [Text("seen"), PNG])
    body = encoded(
        UserMessage([Text("what"), PNG]),
        reply,
        answer,
        UserMessage("so?"),
        system="be brief",
        tools=[ToolSpec("f", "F.", {"type": "object"})],
    )
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "what"}, image]},
        {
            "role": "assistant",
            "content": "Look.",
            "tool_calls": [
                {
                    "id": "a_b_806c5cd3",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"x": 1}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "a_b_806c5cd3", "content": "seen"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "The images that f returned:"}, image],
        },
        {"role": "user", "content": "so?"},
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "F.", "parameters": {"type": "object"}},
        }
    ]


def test_orphans_are_repaired_on_the_wire() -> None:
    body = encoded(
        UserMessage("go"),
        AssistantMessage([ToolCall("a", "f")]),
        ToolResultMessage("ghost", "g", "?"),
        UserMessage("and?"),
    )
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "user",
    ]
    assert "interrupted" in body["messages"][2]["content"]


def test_options_become_the_apis_own() -> None:
    options = ModelOptions(
        temperature=0.5,
        max_output_tokens=9,
        stop_sequences=["x"],
        thinking="low",
        tool_choice=("tool", "f"),
        extra={"seed": 1, "stream_options": None},
    )
    body = encoded(UserMessage("go"), options=options)
    del body["messages"]
    assert body == {
        "model": "m",
        "stream": True,
        "stream_options": None,
        "temperature": 0.5,
        "max_completion_tokens": 9,
        "stop": ["x"],
        "reasoning_effort": "low",
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "seed": 1,
    }


DIALOGUE: list[Message] = [
    UserMessage("go"),
    AssistantMessage([Thinking("hm"), ToolCall("call_1", "f"), Text("Wait.")], api="openai-chat"),
    ToolResultMessage("call_1", "f", "done"),
    UserMessage("stop"),
]


def spoken(api: WireApi, messages: Sequence[Any] = DIALOGUE, **options: Any) -> Any:
    request = ModelRequest(messages=messages, options=ModelOptions(**options))
    return api.encode(request, "anthropic/m")


def test_mistral_wants_no_unknown_fields_short_ids_and_an_answer_before_a_person_speaks() -> None:
    body = spoken(MISTRAL_CHAT, max_output_tokens=5, thinking="low")
    [_, reply, result, bridge, last] = body.pop("messages")
    assert body == {
        "model": "anthropic/m",
        "stream": True,
        "max_tokens": 5,
        "reasoning_effort": "high",
    }
    [made] = reply["tool_calls"]
    assert re.fullmatch("[a-zA-Z0-9]{9}", made["id"])
    assert result["tool_call_id"] == made["id"]
    assert [bridge["role"], last["role"]] == ["assistant", "user"]
    assert "reasoning_content" not in reply


def test_deepseek_wants_its_thinking_back() -> None:
    body = spoken(DEEPSEEK_CHAT, thinking="off")
    assert body["messages"][1]["reasoning_content"] == "hm"
    assert body["thinking"] == {"type": "disabled"}
    other = AssistantMessage([Thinking("theirs"), ToolCall("c", "f")], api="anthropic")
    assert spoken(DEEPSEEK_CHAT, [other])["messages"][0]["reasoning_content"] == ""


def test_openrouter_has_one_object_for_thinking_and_a_mark_for_caches() -> None:
    body = spoken(OPENROUTER_CHAT, thinking="high")
    assert body["reasoning"] == {"effort": "high"}
    assert body["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in spoken(OPENROUTER_CHAT, cache=False)
    assert "cache_control" not in spoken(OPENAI_CHAT)


def test_elsewhere_thinking_is_left_out() -> None:
    assert spoken(OPENAI_CHAT)["messages"][1] == {
        "role": "assistant",
        "content": "Wait.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }


def test_an_image_alone_is_announced_in_the_result() -> None:
    result = ToolResultMessage("a", "f", [PNG])
    body = encoded(AssistantMessage([ToolCall("a", "f")]), result)
    assert body["messages"][1]["content"] == "(images, which follow)"
    assert [message["role"] for message in body["messages"]] == ["assistant", "tool", "user"]


def test_images_of_several_results_follow_all_of_them() -> None:
    body = encoded(
        AssistantMessage([ToolCall("a", "f"), ToolCall("b", "g")]),
        ToolResultMessage("a", "f", ["one", PNG]),
        ToolResultMessage("b", "g", ["two", PNG]),
        AssistantMessage("Nice."),
    )
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["assistant", "tool", "tool", "user", "assistant"]
    assert [part.get("text") for part in body["messages"][3]["content"]] == [
        "The images that f returned:",
        None,
        "The images that g returned:",
        None,
    ]


@given(st.text(), st.text())
def test_ids_are_made_valid_and_stay_different(one: str, other: str) -> None:
    for api, valid in ((OPENAI_CHAT, "[a-zA-Z0-9_-]{1,64}"), (MISTRAL_CHAT, "[a-zA-Z0-9]{9}")):
        calls = AssistantMessage([ToolCall(one, "f"), ToolCall(other or "x", "f")])
        [reply, *results] = api.encode(ModelRequest(messages=[calls]), "m")["messages"]
        ids = [made["id"] for made in reply["tool_calls"]]
        assert all(re.fullmatch(valid, made) for made in ids)
        assert [result["tool_call_id"] for result in results] == ids
        assert len(set(ids)) == 2


def test_a_message_is_written_the_same_way_wherever_it_stands() -> None:
    """So that its bytes can be kept from turn to turn."""
    alone = [encoded(message)["messages"] for message in (DIALOGUE[0], DIALOGUE[3])]
    together = encoded(*DIALOGUE)["messages"]
    assert [together[0], together[-1]] == [alone[0][0], alone[1][0]]
