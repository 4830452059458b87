"""Messages, tools and results in the form that the conventions for generative AI give them."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tether import (
    AssistantMessage,
    Audio,
    Document,
    Image,
    ModelRequest,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
    Video,
)
from tether.advice.tracing.conventions import FINISH_REASONS, Name
from tether.messages import Block
from tether.model import ModelMessage

__all__ = ("as_json", "finish_reason", "reply_content", "request_content", "result_parts")

JsonPart = Mapping[str, Any]


def request_content(request: ModelRequest) -> dict[str, str]:
    """Say what a request says, as attributes."""
    content = {Name.INPUT: as_json([_message(message) for message in request.messages])}
    if request.system is not None:
        content[Name.SYSTEM] = as_json([{"type": "text", "content": request.system}])
    if request.tools:
        content[Name.TOOLS] = as_json(
            [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                }
                for tool in request.tools
            ]
        )
    return content


def reply_content(reply: AssistantMessage) -> dict[str, str]:
    """Say what a reply says, as attributes."""
    said = {**_message(reply), "finish_reason": finish_reason(reply)}
    return {Name.OUTPUT: as_json([said])}


def finish_reason(reply: AssistantMessage) -> str:
    """Say why a reply ended, in the words of the conventions."""
    reason = reply.stop_reason or ("tool_calls" if reply.tool_calls else "stop")
    return FINISH_REASONS.get(reason, reason)


def as_json(value: object) -> str:
    """Write a value as JSON; what JSON cannot hold, as Python shows it."""
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def result_parts(content: Iterable[Block]) -> str:
    """Say what a tool gave: its text, or its parts where there are others."""
    blocks = list(content)
    if all(isinstance(block, Text) for block in blocks):
        return "".join(block.text for block in blocks if isinstance(block, Text))
    return as_json(_parts(blocks))


def _message(message: ModelMessage) -> dict[str, Any]:
    match message:
        case UserMessage():
            return {"role": "user", "parts": _parts(message.content)}
        case AssistantMessage():
            return {"role": "assistant", "parts": _parts(message.content)}
        case ToolResultMessage():
            response = {
                "type": "tool_call_response",
                "id": message.call_id,
                "response": result_parts(message.content),
            }
            return {"role": "tool", "parts": [response]}


def _parts(blocks: Sequence[Block]) -> list[JsonPart]:
    return [_part(block) for block in blocks]


def _part(block: Block) -> JsonPart:
    match block:
        case Text(text):
            return {"type": "text", "content": text}
        case Thinking(text):
            return {"type": "reasoning", "content": text}
        case ToolCall(id, name, arguments):
            return {"type": "tool_call", "id": id, "name": name, "arguments": arguments}
        case Image() | Document() | Audio() | Video():
            return _media(block)
        case other:
            return {"type": other.type}


def _media(block: Image | Document | Audio | Video) -> JsonPart:
    about = {"modality": block.type, "mime_type": block.media_type}
    if block.url is not None:
        return {"type": "uri", "uri": block.url, **about}
    if block.file_id is not None:
        return {"type": "file", "file_id": block.file_id, **about}
    return {"type": "blob", "content": base64.b64encode(block.data).decode(), **about}
