"""OpenAI Chat Completions, and whatever speaks it: request encoder and stream decoder.

After OpenAI's API reference (`POST /chat/completions`). What the compatible servers do not accept of it is in
`dialects`, what they add to it in `reply`.

Thinking is not sent back, but to those who ask for it. Images in tool results follow the results as a user message,
since a tool message cannot hold them. What a server ran by itself is kept for the reader, and not sent back: no
server takes it.

No I/O.
"""

import base64
import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tether.messages import (
    AssistantMessage,
    Image,
    Text,
    Thinking,
    ToolResultMessage,
    UserBlock,
    UserMessage,
)
from tether.model import ModelMessage, ModelOptions, ModelRequest
from tether.models._wire.cached_prefix import AFRESH, Write
from tether.models.openai_chat.dialects import (
    OPENAI,
    Dialect,
)
from tether.models.openai_chat.reply import NAME
from tether.transcript import repaired

__all__ = ("encode", "encode_message")


def encode(
    request: ModelRequest, model: str, write: Write = AFRESH, dialect: Dialect = OPENAI
) -> dict[str, Any]:
    """Write a request.

    Args:
        request: what is asked.
        model: the model's name for the server.
        write: writes each message; see `Write`.
        dialect: what the server wants otherwise than OpenAI.

    Returns:
        The body of the request.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": _messages(request, dialect, write),
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


def encode_message(message: ModelMessage, dialect: Dialect = OPENAI) -> dict[str, Any]:
    """Write one message, always in the same way.

    Args:
        message: the message; the images of a tool's result are left to `encode`, which knows what follows it.
        dialect: what the server wants otherwise than OpenAI.

    Returns:
        Its JSON.
    """
    match message:
        case UserMessage(content):
            return {"role": "user", "content": _user_content(content)}
        case ToolResultMessage():
            call_id = dialect.call_id(message.call_id)
            return {"role": "tool", "tool_call_id": call_id, "content": _result_text(message)}
        case AssistantMessage():
            return _assistant(message, dialect)


def _messages(request: ModelRequest, dialect: Dialect, write: Write) -> list[Any]:
    messages = repaired(request.messages)
    count, items, before = write.begun(messages)
    images: list[UserBlock] = []
    for place in range(count, len(messages)):
        message = messages[place]
        kind = type(message)
        if kind is ToolResultMessage:
            images += _announced_images(message)  # type: ignore[arg-type]  # so it is
        elif images:
            # Behind all results of a reply, which must stand side by side.
            items += [*_bridge(dialect), {"role": "user", "content": _user_content(images)}]
            images, before = [], UserMessage
        if kind is UserMessage and before is ToolResultMessage:
            items += _bridge(dialect)
        elif kind is AssistantMessage:
            # What comes before a reply stays as it is, whatever follows.
            write.remember(messages[:place], tuple(items), before)
        if written := write(message, None, functools.partial(_written, message, dialect)):
            items += written
            before = kind
    if images:
        items += [*_bridge(dialect), {"role": "user", "content": _user_content(images)}]
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, *items]


def _bridge(dialect: Dialect) -> Iterator[dict[str, Any]]:
    """What has to stand between a result and what a person says, where something has."""
    if dialect.bridge:
        yield {"role": "assistant", "content": dialect.bridge}


def _written(message: Any, dialect: Dialect) -> Iterator[dict[str, Any]]:
    """Write a message, or nothing for a reply that holds nothing this API has a place for."""
    encoded = encode_message(message, dialect)
    if encoded["role"] != "assistant" or encoded.get("content") or encoded.get("tool_calls"):
        yield encoded


def _announced_images(message: ToolResultMessage) -> list[UserBlock]:
    if len(message.content) == 1 and type(message.content[0]) is Text:
        return []  # as nearly all are
    found = _images(message)
    return [Text(f"The images that {message.name} returned:"), *found] if found else []


def _user_content(content: Sequence[UserBlock]) -> str | list[dict[str, Any]]:
    match content:
        case [Text(text)]:
            return text
    return [_part(block) for block in content]


def _part(block: UserBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(data, media_type):
            url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
            return {"type": "image_url", "image_url": {"url": url}}


def _images(message: ToolResultMessage) -> list[Image]:
    return [block for block in message.content if isinstance(block, Image)]


def _result_text(message: ToolResultMessage) -> str:
    return message.text or ("(images, which follow)" if _images(message) else "")


def _assistant(message: AssistantMessage, dialect: Dialect) -> dict[str, Any]:
    encoded: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if calls := message.tool_calls:
        encoded["tool_calls"] = [
            {
                "id": dialect.call_id(call.id),
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in calls
        ]
    return encoded | _thinking_back(message, dialect)


def _thinking_back(message: AssistantMessage, dialect: Dialect) -> dict[str, Any]:
    own = message.api == NAME
    match dialect.thinking_back:
        case "reasoning_content" if own or message.tool_calls:
            # Of a reply that made calls the field is missed, even where there was no thinking.
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
    if options.thinking is not None:
        chosen |= dialect.thinking(options.thinking)
    match options.tool_choice:
        case None:
            pass
        case ("tool", name):
            chosen["tool_choice"] = {"type": "function", "function": {"name": name}}
        case choice:
            chosen["tool_choice"] = choice
    return chosen
