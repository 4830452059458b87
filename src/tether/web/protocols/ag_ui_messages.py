"""Messages as those of AG-UI, under the ids that its events have given them. No I/O."""

from collections.abc import Collection, Iterator

from tether.messages import (
    AssistantMessage,
    CustomMessage,
    Message,
    Text,
    ToolCall,
    ToolResultMessage,
    UserBlock,
    UserMessage,
)
from tether.web.protocols.blocks import block_id, written
from tether.web.protocols.content import Json, fault_of, text_of, url_of

__all__ = ("calls_message", "messages_as_ag_ui", "parts_of", "result_message")


def messages_as_ag_ui(messages: Collection[Message]) -> list[Json]:
    """Write a conversation as the messages of AG-UI, under the ids that the events have given them.

    Args:
        messages: of the conversation, in order.
    """
    told: list[Json] = []
    calls: dict[str, str] = {}
    for message in messages:
        match message:
            case UserMessage():
                told.append(
                    {"id": message.id, "role": "user", "content": parts_of(message.content)}
                )
            case AssistantMessage():
                calls = {
                    block.id: block_id(message.id, index)
                    for index, block in enumerate(message.content)
                    if isinstance(block, ToolCall)
                }
                told += _reply(message)
            case ToolResultMessage(call_id):
                call = calls.get(call_id, call_id)
                result: Json = {"id": result_message(call), "role": "tool", "toolCallId": call}
                content = fault_of(message) if message.is_error else parts_of(message.content)
                told.append(result | {"content": content})
            case CustomMessage():
                pass
    return told


def calls_message(reply_id: str) -> str:
    """Return the id of the assistant message that holds the calls of a reply."""
    return f"{reply_id}-calls"


def result_message(call: str) -> str:
    """Return the id of the message that answers a call."""
    return f"{call}-result"


def parts_of(content: tuple[UserBlock, ...]) -> str | list[Json]:
    """Return content as text, or as parts where it is more than text."""
    if all(isinstance(block, Text) for block in content):
        return text_of(content)
    return [part for part in map(_part, content) if part is not None]


def _part(block: UserBlock) -> Json | None:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    if (url := url_of(block)) is None:
        return None
    source: Json = {"type": "url", "value": url}
    if block.data:
        source = {"type": "data", "value": url.partition(",")[2], "mimeType": block.media_type}
    return {"type": block.type, "source": source}


def _reply(message: AssistantMessage) -> Iterator[Json]:
    calls: list[Json] = []
    for index, block in enumerate(message.content):
        id_ = block_id(message.id, index)
        if isinstance(block, ToolCall):
            function = {"name": block.name, "arguments": written(block)}
            calls.append({"id": id_, "type": "function", "function": function})
        elif block.type in {"text", "thinking"} and (text := getattr(block, "text", "")):
            role = "assistant" if block.type == "text" else "reasoning"
            yield {"id": id_, "role": role, "content": text}
    if calls:
        yield {"id": calls_message(message.id), "role": "assistant", "toolCalls": calls}
