"""The encoder of chat completions, for OpenAI and compatible servers.

After OpenAI's API reference (`POST /chat/completions`). `dialects` has what compatible servers do
not accept of it.

Thinking is sent back only to servers that want it. Images and files in tool results follow the results as a user
message, because a tool message cannot hold them. What a server ran itself is kept for the reader and not sent back: no
server accepts it.

No I/O.
"""

import functools
import json
from collections.abc import Sequence
from typing import Any, Final

from tether.media import Image
from tether.messages import (
    AssistantMessage,
    Text,
    Thinking,
    ToolResultMessage,
    UserBlock,
    UserMessage,
)
from tether.model import ModelOptions, ModelRequest
from tether.models._wire.cached_prefix import (
    CachedPrefix,
    Segment,
    all_of_it,
    write_conversation,
)
from tether.models._wire.ids import valid_tool_name
from tether.models._wire.media import with_media_behind_results
from tether.models._wire.turns import said
from tether.models.openai_chat.dialects import (
    OPENAI,
    Dialect,
)
from tether.models.openai_chat.reply import NAME
from tether.transcript import repaired

__all__ = ("encode",)

_json: Final = json.JSONEncoder(ensure_ascii=False).encode


def encode(
    request: ModelRequest,
    model: str,
    cache: CachedPrefix | None = None,
    dialect: Dialect = OPENAI,
) -> dict[str, Any]:
    """Write a request.

    Args:
        request: the request.
        model: the model's name for the server.
        cache: keeps what was written of the conversation; see `Encode`.
        dialect: how the server differs from OpenAI.

    Returns:
        The body of the request.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": _messages(request, cache, dialect),
        "stream": True,
    }
    if dialect.asks_for_usage:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in request.tools
        ]
    marked = dialect.cache_marker_for is not None and model.startswith(dialect.cache_marker_for)
    if marked and request.options.cache:
        body["cache_control"] = {"type": "ephemeral"}
    return body | _options(request.options, dialect) | dict(request.options.extra)


def _messages(request: ModelRequest, cache: CachedPrefix | None, dialect: Dialect) -> list[Any]:
    before, items = write_conversation(
        repaired(request.messages),
        cache,
        functools.partial(_segment, dialect=dialect),
        boundary=all_of_it,
    )
    system = (
        [{"role": "system", "content": request.system}] if (request.system or "").strip() else []
    )
    return [*system, *before, *items]


def _segment(segment: Segment, dialect: Dialect) -> tuple[list[dict[str, Any]], bool]:
    """Write a segment; its note is whether a tool's result comes last."""
    items: list[dict[str, Any]] = []
    behind_result = bool(segment.note)
    for message in with_media_behind_results(segment.messages):
        match message:
            case UserMessage(content):
                if behind_result and dialect.bridge:
                    items.append({"role": "assistant", "content": dialect.bridge})
                items.append({"role": "user", "content": _user_content(said(content), dialect)})
                behind_result = False
            case ToolResultMessage():
                items.append(_result(message, dialect))
                behind_result = True
            case AssistantMessage():
                reply = _assistant(message, dialect)
                # Nothing for a reply that holds nothing this API has a place for.
                if reply.get("content") or reply.get("tool_calls"):
                    items.append(reply)
                    behind_result = False
    return items, behind_result


def _result(message: ToolResultMessage, dialect: Dialect) -> dict[str, Any]:
    media = [block for block in message.content if not isinstance(block, Text)]
    what = "images" if all(isinstance(block, Image) for block in media) else "files"
    text = message.text or (f"({what}, which follow)" if media else "")
    return {"role": "tool", "tool_call_id": dialect.call_id(message.call_id), "content": text}


def _user_content(content: Sequence[UserBlock], dialect: Dialect) -> str | list[dict[str, Any]]:
    match content:
        case [Text(text)]:
            return text
    return [
        {"type": "text", "text": block.text} if isinstance(block, Text) else dialect.media(block)
        for block in content
    ]


def _assistant(message: AssistantMessage, dialect: Dialect) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "role": "assistant",
        "content": message.text if message.text.strip() else None,
    }
    if calls := message.tool_calls:
        encoded["tool_calls"] = [
            {
                "id": dialect.call_id(call.id),
                "type": "function",
                "function": {
                    "name": valid_tool_name(call.name),
                    "arguments": _json(call.arguments),
                },
            }
            for call in calls
        ]
    return encoded | _thinking_back(message, dialect)


def _thinking_back(message: AssistantMessage, dialect: Dialect) -> dict[str, Any]:
    own = message.api == NAME
    match dialect.thinking_back:
        case "reasoning_content" if own or message.tool_calls:
            # The field is required in a reply that made calls, also if there was no thinking.
            return {"reasoning_content": message.thinking if own else ""}
        case "reasoning_details" if own:
            details = [
                detail
                for block in message.content
                if isinstance(block, Thinking) and block.details is not None
                for detail in block.details.get("reasoning_details", ())
            ]
            return {"reasoning_details": details} if details else {}
    return {}


def _options(options: ModelOptions, dialect: Dialect) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.temperature is not None:
        chosen["temperature"] = options.temperature
    if options.max_output_tokens is not None:
        chosen[dialect.output_limit] = options.max_output_tokens
    if options.stop_sequences:
        chosen["stop"] = list(options.stop_sequences)
    forced = options.tool_choice not in {None, "auto", "none"}
    level = "off" if forced and dialect.forces_without_thinking else options.thinking
    if level is not None:
        chosen |= dialect.thinking(level)
    match options.tool_choice:
        case None:
            pass
        case ("tool", name):
            chosen["tool_choice"] = {"type": "function", "function": {"name": name}}
        case choice:
            chosen["tool_choice"] = choice
    return chosen
