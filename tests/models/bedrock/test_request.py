"""Bedrock's encoder."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.test_media import DOCX, FILES, MP4, PDF

from tether import (
    AssistantMessage,
    Audio,
    Document,
    Image,
    Message,
    ModelOptions,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UsageError,
    UserMessage,
    Video,
)
from tether.messages import ProviderItem
from tether.model import ToolSpec
from tether.models._wire.cached_prefix import CachedPrefix
from tether.models._wire.leniency import json_text
from tether.models.bedrock.request import encode

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TOOL = ToolSpec("f", "F.", {"type": "object"})
TALK: list[Any] = [
    UserMessage("go"),
    AssistantMessage(
        [
            Thinking("hm", "sig"),
            Thinking("", "sealed", redacted=True),
            Text("Look."),
            ToolCall("a b", "f", {"x": 1}),
            ProviderItem("other", {"type": "x"}),
        ],
        api="bedrock-converse",
    ),
    ToolResultMessage("a b", "f", [Text("seen"), Image(FILES["image/png"][0])], outcome="error"),
    UserMessage("so?"),
]


def encoded(*messages: Message, model: str = "m", **fields: Any) -> Any:
    return encode(ModelRequest(messages=messages, **fields), model)  # type: ignore[arg-type]  # tests send any


def test_a_conversation_is_written_as_the_api_has_it() -> None:
    body = encoded(*TALK, system="be brief", tools=[TOOL])
    assert body == {
        "system": [{"text": "be brief"}],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "f",
                        "description": "F.",
                        "inputSchema": {"json": {"type": "object"}},
                    }
                }
            ]
        },
        "messages": [
            {"role": "user", "content": [{"text": "go"}]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
                    {"reasoningContent": {"redactedContent": "sealed"}},
                    {"text": "Look."},
                    {"toolUse": {"toolUseId": "a_b_806c5cd3", "name": "f", "input": {"x": 1}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "a_b_806c5cd3",
                            "content": [
                                {"text": "seen"},
                                {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgoA"}}},
                            ],
                            "status": "error",
                        }
                    },
                    {"text": "so?"},
                ],
            },
        ],
    }


def test_calls_of_a_conversation_without_tools_are_declared() -> None:
    [tool] = encoded(*TALK)["toolConfig"]["tools"]
    assert tool["toolSpec"]["name"] == "f"


def test_options_become_the_apis_own() -> None:
    options = ModelOptions(
        temperature=0.5,
        max_output_tokens=9,
        stop_sequences=["x"],
        tool_choice=("tool", "f"),
        extra={"inferenceConfig": {"topP": 1}, "guardrailConfig": {"guardrailIdentifier": "g"}},
    )
    body = encoded(UserMessage("go"), tools=[TOOL], options=options)
    assert body["inferenceConfig"] == {
        "maxTokens": 9,
        "temperature": 0.5,
        "stopSequences": ["x"],
        "topP": 1,
    }
    assert body["toolConfig"]["toolChoice"] == {"tool": {"name": "f"}}
    assert body["guardrailConfig"] == {"guardrailIdentifier": "g"}


@pytest.mark.parametrize(
    ("model", "level", "fields"),
    [
        (CLAUDE, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (CLAUDE, "off", None),
        (
            "global.anthropic.claude-opus-4-6-v1",
            "high",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ("openai.gpt-oss-120b-1:0", "minimal", {"reasoning_effort": "low"}),
        (
            "us.amazon.nova-2-lite-v1:0",
            "medium",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}},
        ),
        ("meta.llama3-3-70b-instruct-v1:0", "high", None),
    ],
)
def test_thinking_is_asked_for_as_each_maker_has_it(model: str, level: Any, fields: Any) -> None:
    body = encoded(UserMessage("go"), model=model, options=ModelOptions(thinking=level))
    assert body.get("additionalModelRequestFields") == fields


def test_thinking_has_room_and_no_temperature() -> None:
    options = ModelOptions(thinking="high", temperature=0.1)
    body = encoded(UserMessage("go"), model=CLAUDE, options=options)
    assert body["inferenceConfig"] == {"maxTokens": 24_576 + 8192}


@pytest.mark.parametrize("choice", ["required", ("tool", "f")])
def test_thinking_is_left_out_where_it_is_refused(choice: Any) -> None:
    options = ModelOptions(thinking="low", tool_choice=choice)
    body = encoded(UserMessage("go"), model=CLAUDE, options=options, tools=[TOOL])
    assert "additionalModelRequestFields" not in body
    foreign: list[Message] = [
        AssistantMessage([ToolCall("c", "f")]),
        ToolResultMessage("c", "f", "x"),
    ]
    body = encoded(UserMessage("go"), *foreign, model=CLAUDE, options=ModelOptions(thinking="low"))
    assert "additionalModelRequestFields" not in body


def test_what_repeats_is_marked_for_models_that_keep_it() -> None:
    mark = {"cachePoint": {"type": "default"}}
    body = encoded(UserMessage("go"), system="s", tools=[TOOL], model=CLAUDE)
    assert body["system"][-1] == body["messages"][-1]["content"][-1] == mark
    body = encoded(UserMessage("go"), tools=[TOOL], model=CLAUDE)
    assert body["toolConfig"]["tools"][-1] == mark
    for options in (ModelOptions(cache=False), ModelOptions()):
        model = CLAUDE if not options.cache else "meta.llama3-3-70b-instruct-v1:0"
        assert b"cachePoint" not in json_text(encoded(*TALK, model=model, options=options))


@pytest.mark.parametrize(
    ("block", "written"),
    [
        (Image(FILES["image/jpeg"][0]), ("image", "jpeg", None)),
        (Image(url="s3://bucket/a.png"), ("image", "png", None)),
        (Document(PDF, name="Q3_report (final).pdf"), ("document", "pdf", "Q3 report (final) pdf")),
        (Document(DOCX), ("document", "docx", "document")),
        (Document(b"{}", "application/json", name="a"), ("document", "txt", "a")),
        (Document(b"# x", "text/markdown"), ("document", "md", "document")),
        (Video(MP4), ("video", "mp4", None)),
        (Video(url="s3://bucket/a.mov"), ("video", "mov", None)),
        (Audio(FILES["audio/mpeg"][0]), ("audio", "mp3", None)),
    ],
)
def test_media_are_written_as_the_api_has_them(block: Any, written: Any) -> None:
    content = encoded(UserMessage(["Look:", block]))["messages"][0]["content"]
    [(kind, fields)] = content[1].items()
    assert (kind, fields["format"], fields.get("name")) == written
    assert fields["source"].keys() <= {"bytes", "s3Location"}


@pytest.mark.parametrize(
    "block",
    [
        Image(b"?", "image/bmp"),
        Image(url="https://h/a.png"),
        Document(file_id="file-1"),
        Document(b"\0", "application/zip"),
        Video(url="https://h/a.mp4"),
    ],
)
def test_what_the_api_does_not_take_is_refused(block: Any) -> None:
    with pytest.raises(UsageError, match=f"Bedrock does not take this {type(block).__name__}"):
        encoded(UserMessage(block))


def test_documents_have_words_beside_them_and_names_of_their_own() -> None:
    first, second = Document(PDF, name="a.pdf"), Document(PDF, name="a.pdf")
    content = encoded(UserMessage([first, second]))["messages"][0]["content"]
    assert "text" in content[0]
    assert [block["document"]["name"] for block in content[1:]] == ["a pdf", "a pdf-2"]


def test_sound_from_a_tool_follows_its_result() -> None:
    sound = Audio(FILES["audio/wav"][0])
    messages: list[Message] = [UserMessage("go"), AssistantMessage([ToolCall("c", "f")])]
    turn = encoded(*messages, ToolResultMessage("c", "f", [sound]))["messages"][-1]
    kinds = [next(iter(block)) for block in turn["content"]]
    assert kinds == ["toolResult", "text", "audio"]
    assert turn["content"][0]["toolResult"]["content"] == [{"text": "(no output)"}]


NAMES = st.sampled_from(["f", "", "a.b", "x" * 200, "q<|channel|>commentary"]) | st.text(max_size=9)
WORDS = st.sampled_from(["", " ", "\n", "Hello"]) | st.text(max_size=5)
MESSAGES = st.one_of(
    st.builds(UserMessage, st.lists(WORDS.map(Text), max_size=3)),
    st.builds(
        AssistantMessage,
        st.lists(WORDS.map(Text) | st.builds(ToolCall, NAMES, NAMES), max_size=3),
        api=st.sampled_from(["bedrock-converse", "openai-chat"]),
    ),
    st.builds(ToolResultMessage, NAMES, NAMES, WORDS),
)


@given(st.lists(MESSAGES, min_size=1, max_size=6))
def test_whatever_is_in_a_conversation_is_sent_as_documented(messages: list[Any]) -> None:
    body = encoded(*messages)
    roles = [turn["role"] for turn in body["messages"]]
    assert roles == ["user" if n % 2 == 0 else "assistant" for n in range(len(roles))]
    calls = []
    for turn in body["messages"]:
        assert turn["content"]
        for block in turn["content"]:
            assert "text" not in block or block["text"].strip()
            if call := block.get("toolUse"):
                assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["name"])
                assert re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", call["toolUseId"])
                calls.append(call["toolUseId"])
            if result := block.get("toolResult"):
                assert result["toolUseId"] in calls
                assert all(part["text"].strip() for part in result["content"])
    assert len(calls) == len(set(calls))
    assert not calls or body["toolConfig"]["tools"]


def test_the_beginning_is_written_once() -> None:
    cache = CachedPrefix()
    for length in range(1, len(TALK) + 1):
        request = ModelRequest(messages=TALK[:length])
        assert json_text(encode(request, "m", cache)) == json_text(encode(request, "m"))
