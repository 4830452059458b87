"""The Anthropic encoder."""

import json
from typing import Any

import pytest
from tests.models.canned import Answer, Canned, events

from tether import (
    Agent,
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
    tool,
)
from tether.messages import AssistantBlock, ProviderItem
from tether.model import ToolSpec
from tether.models.anthropic.api import ANTHROPIC_MESSAGES
from tether.models.anthropic.request import encode

API = "anthropic-messages"
PNG = Image(b"\x89PNG", "image/png")
SOURCE = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}


def request(*messages: Message, **options: Any) -> ModelRequest:
    return ModelRequest(messages=messages, options=ModelOptions(cache=False, **options))  # type: ignore[arg-type]  # no custom ones


def written(*messages: Message, **options: Any) -> Any:
    return encode(request(*messages, **options), "claude-sonnet-4-5")["messages"]


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_a_conversation_is_written_in_turns_with_results_first() -> None:
    assert written(
        UserMessage(["Look:", PNG]),
        AssistantMessage([Text("So."), ToolCall("a", "f", {"x": 1}), ToolCall("b", "g")]),
        ToolResultMessage("a", "f", ["done", PNG]),
        ToolResultMessage("b", "g", "no luck", outcome="error"),
        UserMessage("Well?"),
        UserMessage(" "),
    ) == [
        {"role": "user", "content": [text("Look:"), {"type": "image", "source": SOURCE}]},
        {
            "role": "assistant",
            "content": [
                text("So."),
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [text("done"), {"type": "image", "source": SOURCE}],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [text("no luck")],
                    "is_error": True,
                },
                text("Well?"),
            ],
        },
    ]


def test_a_reply_goes_back_as_it_came_to_its_own_vendor_alone() -> None:
    content: list[AssistantBlock] = [
        Thinking("Hm.", "signed"),
        Thinking("", "sealed", redacted=True),
        Thinking("cut off"),
        ProviderItem(API, {"type": "server_tool_use", "id": "s", "name": "x", "input": {}}),
        ProviderItem(API, {"type": "x_tool_result", "tool_use_id": "s"}),
        Text("Said.", {"citations": [{"url": "x"}]}),
    ]
    [_, own, _] = written(UserMessage("?"), AssistantMessage(content, api=API), UserMessage("!"))
    assert own["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "signed"},
        {"type": "redacted_thinking", "data": "sealed"},
        {"type": "server_tool_use", "id": "s", "name": "x", "input": {}},
        {"type": "x_tool_result", "tool_use_id": "s"},
        {"type": "text", "text": "Said.", "citations": [{"url": "x"}]},
    ]
    foreign: list[AssistantBlock] = [ProviderItem("openai-responses", {"type": "web_search_call"})]
    foreign += [block for block in content if not isinstance(block, ProviderItem)]
    [_, other, _] = written(
        UserMessage("?"), AssistantMessage(foreign, api="openai-chat"), UserMessage("!")
    )
    assert other["content"] == [text("Said.")]


def test_what_the_server_began_and_never_ended_is_left_out() -> None:
    item = ProviderItem(API, {"type": "server_tool_use", "id": "s", "name": "x", "input": {}})
    incomplete = AssistantMessage([Text("So."), item], api=API, stop_reason="aborted")
    [_, reply, _] = written(UserMessage("?"), incomplete, UserMessage("!"))
    assert reply["content"] == [text("So.")]
    paused = AssistantMessage([Text("So."), item], api=API, stop_reason="pause")
    [_, reply] = written(UserMessage("?"), paused)
    assert [block["type"] for block in reply["content"]] == ["text", "server_tool_use"]


SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
BESIDE = AssistantMessage([ProviderItem(API, SEARCH), ToolCall("c", "f")], api=API)


def types_of(*messages: Any, **options: Any) -> list[list[str]]:
    return [[b["type"] for b in turn["content"]] for turn in written(*messages, **options)]


def test_what_the_server_runs_beside_a_call_waits_for_the_results() -> None:
    asked = [UserMessage("?"), BESIDE, ToolResultMessage("c", "f", "done")]
    assert types_of(*asked)[1:] == [["server_tool_use", "tool_use"], ["tool_result"]]
    answer = AssistantMessage([ProviderItem(API, FOUND), Text("So.")], api=API)
    assert types_of(*asked, answer, UserMessage("And?"))[1:4] == [
        ["server_tool_use", "tool_use"],
        ["tool_result"],
        ["web_search_tool_result", "text"],
    ]
    # Nobody will give the result any more.
    assert types_of(*asked, UserMessage("Stop."))[1] == ["tool_use"]
    assert types_of(*asked, AssistantMessage("No.", api=API), UserMessage("?"))[1] == ["tool_use"]
    # Nor is there a result without what it is of.
    assert types_of(UserMessage("?"), answer, UserMessage("?"))[1] == ["text"]


def test_both_parts_of_a_reply_that_paused_are_one_turn() -> None:
    item = ProviderItem(API, {"type": "server_tool_use", "id": "s", "name": "x", "input": {}})
    result = ProviderItem(API, {"type": "x_tool_result", "tool_use_id": "s"})
    paused = AssistantMessage([Text("So."), item], api=API, stop_reason="pause")
    rest = AssistantMessage([result, Text("Done.")], api=API)
    [_, reply, _] = written(UserMessage("?"), paused, rest, UserMessage("!"))
    assert reply["content"] == [text("So."), item.data, result.data, text("Done.")]


def test_a_conversation_begins_with_a_person_and_holds_no_empty_turn() -> None:
    messages = written(AssistantMessage("Hello."), UserMessage("Hi."), AssistantMessage(""))
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]


def test_ids_are_made_valid_and_different() -> None:
    [_, first, result, second, _] = written(
        UserMessage("?"),
        AssistantMessage([ToolCall("a.b|c", "f")]),
        ToolResultMessage("a.b|c", "f", "x"),
        AssistantMessage([ToolCall("a.b|c", "f")]),
        ToolResultMessage("a.b|c", "f", "y"),
    )
    ids = [turn["content"][0]["id"] for turn in (first, second)]
    assert result["content"][0]["tool_use_id"] == ids[0] != ids[1]
    assert all(id_.replace("_", "").replace("-", "").isalnum() for id_ in ids)


def test_caches_are_marked_where_the_next_request_repeats_this_one() -> None:
    asked = ModelRequest(
        messages=[
            UserMessage("one"),
            AssistantMessage("two"),
            UserMessage("three"),
            AssistantMessage("four"),
            UserMessage("five"),
        ],
        system="Be brief.",
        tools=[ToolSpec("f", "F.", {"type": "object"})],
    )
    body = encode(asked, "claude-sonnet-4-5")
    mark = {"cache_control": {"type": "ephemeral"}}
    assert body["system"] == [text("Be brief.") | mark]
    assert [turn["content"][-1].get("cache_control") is not None for turn in body["messages"]] == [
        False,
        False,
        True,
        False,
        True,
    ]
    plain = encode(ModelRequest(messages=asked.messages, tools=asked.tools), "claude-sonnet-4-5")
    assert plain["tools"][-1]["cache_control"] == {"type": "ephemeral"}


def test_options_become_the_apis_own() -> None:
    asked = ModelRequest(
        messages=[UserMessage("go")],
        tools=[ToolSpec("f", "F.", {"type": "object"})],
        options=ModelOptions(
            temperature=0.5,
            max_output_tokens=9,
            stop_sequences=["x"],
            tool_choice=("tool", "f"),
            cache=False,
            extra={"tools": [{"type": "web_search_20250305"}], "top_k": 3},
        ),
    )
    assert encode(asked, "m") == {
        "model": "m",
        "max_tokens": 9,
        "stream": True,
        "messages": [{"role": "user", "content": [text("go")]}],
        "tools": [
            {"name": "f", "description": "F.", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305"},
        ],
        "temperature": 0.5,
        "stop_sequences": ["x"],
        "tool_choice": {"type": "tool", "name": "f"},
        "top_k": 3,
    }


@pytest.mark.parametrize(
    ("model", "options", "thinking"),
    [
        ("claude-sonnet-4-5", {"thinking": "medium"}, {"type": "enabled", "budget_tokens": 8192}),
        (
            "claude-opus-4-20250514",
            {"thinking": "high", "max_output_tokens": 4000},
            {"type": "enabled", "budget_tokens": 3999},
        ),
        ("claude-sonnet-4-5", {"thinking": "low", "max_output_tokens": 1024}, None),
        ("claude-sonnet-4-5", {"thinking": "off"}, None),
        ("claude-sonnet-4-5", {}, None),
        ("claude-sonnet-4-5", {"thinking": "low", "tool_choice": "required"}, None),
        ("claude-opus-4-7", {"thinking": "low"}, {"type": "adaptive", "display": "summarized"}),
        (
            "anthropic/claude-fable-5",
            {"thinking": "high"},
            {"type": "adaptive", "display": "summarized"},
        ),
        (
            "claude-3-7-sonnet-latest",
            {"thinking": "minimal"},
            {"type": "enabled", "budget_tokens": 1024},
        ),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(
    model: str, options: Any, thinking: Any
) -> None:
    body = encode(request(UserMessage("go"), temperature=0.5, **options), model)
    assert body.get("thinking") == thinking
    assert ("temperature" in body) == (thinking is None)


def test_thinking_is_not_begun_between_a_call_and_what_follows_from_it() -> None:
    calls = AssistantMessage([ToolCall("a", "f")], api="openai-chat")
    result = ToolResultMessage("a", "f", "x")
    cases: list[tuple[list[Message], bool]] = [
        ([UserMessage("go"), calls, result], False),
        ([UserMessage("go"), calls, result, UserMessage("and?")], False),
        ([UserMessage("go"), calls, result, AssistantMessage("So."), UserMessage("?")], True),
    ]
    for messages, possible in cases:
        body = encode(request(*messages, thinking="low"), "claude-sonnet-4-5")
        assert ("thinking" in body) == possible


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-opus-4-7", 32_000),
    ],
)
def test_there_is_always_an_output_limit(model: str, limit: int) -> None:
    assert encode(request(UserMessage("go")), model)["max_tokens"] == limit


def test_the_address_may_have_a_version_or_none() -> None:
    url = ANTHROPIC_MESSAGES.url
    assert url("https://x", "m") == url("https://x/v1", "m") == "https://x/v1/messages"
    assert ANTHROPIC_MESSAGES.headers("key")["x-api-key"] == "key"


HERE, THERE = "http://127.0.0.1:1/anthropic", "http://user:pass@127.0.0.1:2"


def unsigned(index: int) -> list[dict[str, Any]]:
    """A reply that thinks without a signature and makes a call."""
    return [
        {"type": "message_start", "message": {"id": "r", "model": "m", "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "Hm."},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": f"c{index}", "name": "f", "input": {}},
        },
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]


async def test_thinking_without_a_signature_goes_back_to_its_server_alone() -> None:
    @tool
    def f() -> str:
        """Do it."""
        return "done"

    bodies = [Answer(events(*unsigned(n))) for n in range(2)]
    last = [Answer(events(*text_reply("Done.")))]
    server = Canned([*bodies, *last])
    agent = Agent(server.model("anthropic:m", base_url=HERE), tools=[f])
    await agent.prompt("hi")
    back = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    assert [turn["content"][0] for turn in server.asked[2]["messages"][1::2]] == [back, back]
    for elsewhere in (THERE, None):
        other = Canned(last)
        agent.model = other.model("anthropic:m", base_url=elsewhere)
        await agent.prompt("again")
        assert "Hm." not in json.dumps(other.asked)
    agent.model = server.model("anthropic:m", base_url=HERE)
    await agent.prompt("again")
    assert server.asked[-1]["messages"][1]["content"][0] == back


@pytest.mark.parametrize("path", ["", "/v1", "/"])
async def test_anthropic_itself_is_sent_no_thinking_without_a_signature(path: str) -> None:
    own = "https://api.anthropic.com" + path
    server = Canned([Answer(events(*unsigned(0))), Answer(events(*text_reply("Done.")))])
    await Agent(server.model("anthropic:m", base_url=own)).prompt("hi")
    assert "Hm." not in json.dumps(server.asked[1])


def text_reply(said: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": said},
        },
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]
