"""The Responses encoder."""

from typing import Any

from tests.models.decoding import Decoding
from tests.models.openai_responses.events import CREATED, added, done, ended, more

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
from tether.models.openai_responses.reply import decode
from tether.models.openai_responses.request import encode

PNG = Image(b"\x89PNG", "image/png")


def written(*messages: Message, model: str = "o4", **options: Any) -> Any:
    request = ModelRequest(messages=messages, options=ModelOptions(**options))  # type: ignore[arg-type]  # no custom ones
    return encode(request, model)["input"]


def test_a_conversation_is_written_as_items() -> None:
    call = ToolCall("c", "f", {"x": 1})
    assert written(
        UserMessage(["Look:", PNG]),
        AssistantMessage([Text("So."), call], api="anthropic"),
        ToolResultMessage("c", "f", ["done", PNG]),
        UserMessage("Thanks."),
    ) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="},
            ],
        },
        {"role": "assistant", "content": "So."},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "done"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="},
            ],
        },
        {"role": "user", "content": "Thanks."},
    ]


def test_a_reply_goes_back_as_it_came() -> None:
    search = {"type": "web_search_call", "id": "ws", "status": "completed"}
    summary = [{"type": "summary_text", "text": "Hm."}]
    reply = Decoding("openai-responses", decode).decoded(
        CREATED,
        done(0, type="reasoning", id="rs", summary=summary, encrypted_content="sealed"),
        done(1, **search),
        added(2, type="message", id="m", content=[]),
        more("output_text", "Found.", 2, item_id="m", content_index=0),
        done(3, type="function_call", id="fc", call_id="c", name="f", arguments='{"x": 1}'),
        ended(),
    )
    assert written(reply, ToolResultMessage("c", "f", "ok")) == [
        {"type": "reasoning", "id": "rs", "summary": summary, "encrypted_content": "sealed"},
        search,
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Found.", "annotations": []}],
        },
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"x":1}'},
        {"type": "function_call_output", "call_id": "c", "output": "ok"},
    ]


def test_what_another_provider_thought_or_ran_is_left_out() -> None:
    foreign: list[AssistantBlock] = [
        Thinking("hm", "theirs"),
        ProviderItem("anthropic-messages", {"type": "server_tool_use"}),
        Text("Said."),
    ]
    assert written(AssistantMessage(foreign, api="anthropic-messages")) == [
        {"role": "assistant", "content": "Said."}
    ]


def test_orphans_are_repaired_on_the_wire() -> None:
    items = written(
        UserMessage("go"),
        AssistantMessage([ToolCall("a", "f")]),
        ToolResultMessage("ghost", "g", "?"),
        UserMessage("and?"),
    )
    assert [item.get("type") or item["role"] for item in items] == [
        "user",
        "function_call",
        "function_call_output",
        "user",
    ]
    assert "interrupted" in items[2]["output"]


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
            extra={"tools": [{"type": "web_search"}], "truncation": "auto"},
        ),
    )
    assert encode(request, "gpt-5") == {
        "model": "gpt-5",
        "stream": True,
        "store": False,
        "instructions": "Be brief.",
        "include": ["reasoning.encrypted_content"],
        "temperature": 0.5,
        "max_output_tokens": 9,
        "reasoning": {"effort": "low", "summary": "auto"},
        "tool_choice": {"type": "function", "name": "f"},
        "truncation": "auto",
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": "F.",
                "parameters": {"type": "object"},
                "strict": False,
            },
            {"type": "web_search"},
        ],
        "input": [{"role": "user", "content": "go"}],
    }
    assert "include" not in encode(ModelRequest(messages=[]), "gpt-4o")


def test_two_replies_may_bring_calls_of_the_same_id() -> None:
    """Some servers begin to count anew in each reply."""
    items = written(
        AssistantMessage([ToolCall("call_0", "f")]),
        ToolResultMessage("call_0", "f", "one"),
        AssistantMessage([ToolCall("call_0", "f")]),
        ToolResultMessage("call_0", "f", "two"),
    )
    ids = [item["call_id"] for item in items]
    assert ids[0] == ids[1] != ids[2] == ids[3]
