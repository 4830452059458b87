"""The Gemini encoder."""

from typing import Any

import pytest
from attrs import evolve
from tests.models.decoding import Decoding

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
from tether.messages import AssistantBlock, ProviderItem
from tether.model import ToolSpec
from tether.models.google.api import GOOGLE_GENERATE
from tether.models.google.reply import NAME as API
from tether.models.google.reply import decode
from tether.models.google.request import encode

PNG = Image(b"\x89PNG", "image/png")
INLINE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"text": text, **more}


def written(*messages: Message, model: str = "gemini-2.5-flash", **options: Any) -> Any:
    request = ModelRequest(messages=messages, options=ModelOptions(**options))  # type: ignore[arg-type]  # no custom ones
    return encode(request, model)["contents"]


def test_a_conversation_is_written_in_turns() -> None:
    calls = AssistantMessage([Text("So."), ToolCall("a", "f", {"x": 1}), ToolCall("b", "g")])
    assert written(
        UserMessage(["Look:", PNG]),
        calls,
        ToolResultMessage("a", "f", ["done", PNG]),
        ToolResultMessage("b", "g", "no luck", outcome="error"),
        UserMessage("Well?"),
    ) == [
        {"role": "user", "parts": [said("Look:"), INLINE]},
        {
            "role": "model",
            "parts": [
                said("So."),
                {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
                {"functionCall": {"id": "b", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "a", "name": "f", "response": {"output": "done"}}},
                {"functionResponse": {"id": "b", "name": "g", "response": {"error": "no luck"}}},
                said("The images that f returned:"),
                INLINE,
                said("Well?"),
            ],
        },
    ]


def test_newer_models_take_images_in_results_and_want_a_signature_at_the_first_call() -> None:
    calls = AssistantMessage([ToolCall("a", "f"), ToolCall("b", "g")], api="openai-chat")
    [_, reply, results] = written(
        UserMessage("?"),
        calls,
        ToolResultMessage("a", "f", ["done", PNG]),
        ToolResultMessage("b", "g", "x"),
        model="gemini-3-pro-preview",
    )
    assert [part.get("thoughtSignature") for part in reply["parts"]] == [
        "skip_thought_signature_validator",
        None,
    ]
    assert results["parts"][0]["functionResponse"]["parts"] == [INLINE]


def test_what_another_provider_thought_or_ran_is_left_out() -> None:
    foreign: list[AssistantBlock] = [
        Thinking("hm", "theirs"),
        ProviderItem("anthropic-messages", {"type": "server_tool_use"}),
        Text("Said.", {"thoughtSignature": "theirs"}),
    ]
    [_, reply] = written(UserMessage("?"), AssistantMessage(foreign, api="anthropic-messages"))
    assert reply["parts"] == [said("Said.")]


def test_a_conversation_begins_with_a_person() -> None:
    assert [content["role"] for content in written(AssistantMessage("Hello."))] == ["user", "model"]


def test_options_become_the_apis_own() -> None:
    request = ModelRequest(
        messages=[UserMessage("go")],
        system="Be brief.",
        tools=[ToolSpec("f", "F.", {"type": "object"})],
        options=ModelOptions(
            temperature=0.5,
            max_output_tokens=9,
            stop_sequences=["x"],
            thinking="low",
            tool_choice=("tool", "f"),
            extra={
                "tools": [{"googleSearch": {}}],
                "generationConfig": {"topK": 3},
                "safetySettings": [],
            },
        ),
    )
    assert encode(request, "gemini-2.5-flash") == {
        "contents": [{"role": "user", "parts": [said("go")]}],
        "systemInstruction": {"parts": [said("Be brief.")]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "f",
                        "description": "F.",
                        "parametersJsonSchema": {"type": "object"},
                    }
                ]
            },
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "temperature": 0.5,
            "maxOutputTokens": 9,
            "stopSequences": ["x"],
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2048},
            "topK": 3,
        },
        "safetySettings": [],
    }


@pytest.mark.parametrize(
    ("model", "level", "thinking"),
    [
        ("gemini-2.5-flash", "off", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "off", {"thinkingBudget": 128}),
        ("gemini-3-flash-preview", "off", {"thinkingLevel": "minimal"}),
        ("gemini-3-pro-preview", "medium", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3.1-pro", "minimal", {"includeThoughts": True, "thinkingLevel": "low"}),
        ("gemini-flash-latest", "high", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-2.0-flash", "high", None),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(model: str, level: Any, thinking: Any) -> None:
    request = ModelRequest(messages=[UserMessage("go")], options=ModelOptions(thinking=level))
    body = encode(request, model)
    assert body.get("generationConfig", {}).get("thinkingConfig") == thinking


def test_the_address_names_the_model_and_asks_for_events() -> None:
    url = GOOGLE_GENERATE.url
    assert url("https://x/v1beta/", "m") == (
        "https://x/v1beta/models/m:streamGenerateContent?alt=sse"
    )
    assert url("https://x?key=1", "tunedModels/m") == (
        "https://x/tunedModels/m:streamGenerateContent?alt=sse&key=1"
    )
    assert GOOGLE_GENERATE.headers("key") == {"x-goog-api-key": "key"}


@pytest.mark.parametrize("response_id", [None, "r"])
def test_ids_go_back_to_the_server_that_gave_them_alone(response_id: str | None) -> None:
    def ids(*calls: dict[str, Any], api: str = API) -> list[Any]:
        chunk = {
            "candidates": [
                {
                    "content": {"parts": [{"functionCall": {"name": "f", **c}} for c in calls]},
                    "finishReason": "STOP",
                }
            ],
            "responseId": response_id,
        }
        reply = evolve(Decoding(API, decode).decoded(chunk), api=api)
        results = [ToolResultMessage(call.id, "f", "x") for call in reply.tool_calls]
        _, said, answered = written(UserMessage("?"), reply, *results)
        made = [part["functionCall"].get("id") for part in said["parts"]]
        assert made == [part["functionResponse"].get("id") for part in answered["parts"]]
        return made

    assert ids({}, {}) == [None, None]
    assert ids({"id": "a"}, {"id": "b-1"}) == ["a", "b-1"]
    assert ids({"id": "a"}, {}) == ["a", None]
    assert ids({"id": "a"}, api="openai-chat") == [None]
