"""One reply of each API, as its server streams it: thinking, a text, a call, counts."""

from typing import Any

import pytest
from tests.models.decoding import Decoding

from tether.models.anthropic.reply import decode as decode_anthropic
from tether.models.google.reply import decode as decode_google
from tether.models.openai_chat.reply import decode as decode_chat
from tether.models.openai_responses.reply import decode as decode_responses


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "r", "model": "real", "choices": [choice]}


def call(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": fields}]}


def candidate(*parts: Any, **more: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": list(parts)}
    return {
        "candidates": [{"content": content, "index": 0, **more}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3},
        "modelVersion": "real",
        "responseId": "r",
    }


CHAT = [
    chunk(role="assistant", content=""),
    chunk(reasoning_content="Hm."),
    chunk(content="Hel"),
    chunk(content="lo"),
    {"id": "r", "choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}}]},
    chunk(**call(arguments='{"x":')),
    chunk(**call(arguments=" 1}")),
    chunk("tool_calls"),
    {"id": "r", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}},
]  # fmt: skip
RESPONSES = [
    {"type": "response.created", "response": {"id": "r", "model": "real"}},
    {"type": "response.output_item.added", "output_index": 0,
     "item": {"type": "reasoning", "id": "rs", "summary": []}},
    {"type": "response.reasoning_summary_text.delta", "item_id": "rs", "output_index": 0,
     "summary_index": 0, "delta": "Hm."},
    {"type": "response.output_item.done", "output_index": 0,
     "item": {"type": "reasoning", "id": "rs", "encrypted_content": "sealed"}},
    {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "m"}},
    {"type": "response.output_text.delta", "item_id": "m", "output_index": 1, "content_index": 0,
     "delta": "Hel"},
    {"type": "response.output_text.delta", "item_id": "m", "output_index": 1, "content_index": 0,
     "delta": "lo"},
    {"type": "response.output_text.annotation.added", "item_id": "m", "output_index": 1,
     "content_index": 0, "annotation": {"url": "x"}},
    {"type": "response.output_item.added", "output_index": 2,
     "item": {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "item_id": "fc", "output_index": 2,
     "delta": '{"x": 1}'},
    {"type": "response.completed", "response": {
        "id": "r", "status": "completed", "usage": {"input_tokens": 5, "output_tokens": 3}}},
]  # fmt: skip
ANTHROPIC = [
    {"type": "message_start", "message": {
        "id": "r", "model": "real", "content": [], "usage": {"input_tokens": 5}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1,
     "content_block": {"type": "text", "text": "", "citations": []}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_delta", "index": 1,
     "delta": {"type": "citations_delta", "citation": {"url": "x"}}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2,
     "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 2,
     "delta": {"type": "input_json_delta", "partial_json": '{"x": 1}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]  # fmt: skip
GOOGLE = [
    candidate({"text": "Hm.", "thought": True}),
    candidate({"text": "Hel"}),
    candidate({"text": "lo", "thoughtSignature": "s"}),
    candidate({"functionCall": {"id": "c", "name": "f", "willContinue": True}}),
    candidate({"functionCall": {"partialArgs": [{"jsonPath": "$.x", "numberValue": 1}]}}),
    candidate({"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}, finishReason="STOP"),
]

PROVIDERS = {
    "chat": "openai-chat:m",
    "responses": "openai:m",
    "anthropic": "anthropic:m",
    "google": "google:m",
}
"""Models that speak each API."""

STREAMS: dict[str, tuple[Decoding, list[Any]]] = {
    "chat": (Decoding("openai-chat", decode_chat), CHAT),
    "responses": (Decoding("openai-responses", decode_responses), RESPONSES),
    "anthropic": (Decoding("anthropic-messages", decode_anthropic), ANTHROPIC),
    "google": (Decoding("google-generate", decode_google), GOOGLE),
}
each_api = pytest.mark.parametrize("api", STREAMS)

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
WHOLE: dict[str, Any] = {
    "chat": {
        "id": "r", "model": "real", "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "Hello", "reasoning_content": "Hm.", "refusal": None,
            "tool_calls": [CALL]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3},
    },
    "responses": {
        "id": "r", "model": "real", "object": "response", "status": "completed", "error": None,
        "output": [
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hello"}]},
            {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"x": 1}'},
        ],
        "usage": {"input_tokens": 5, "output_tokens": 3},
    },
    "anthropic": {
        "id": "r", "type": "message", "role": "assistant", "model": "real",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}},
        ],
        "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 3},
    },
    "google": candidate(
        {"text": "Hm.", "thought": True},
        {"text": "Hello"},
        {"functionCall": {"id": "c", "name": "f", "args": {"x": 1}}},
        finishReason="STOP",
    ),
}  # fmt: skip
"""The same reply in one piece, from servers that do not stream."""
