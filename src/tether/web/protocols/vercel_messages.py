"""A conversation as the messages that a page of the Vercel AI SDK begins with. No I/O."""

from collections.abc import Iterable, Iterator

from tether.media import Image
from tether.messages import (
    AssistantMessage,
    CustomMessage,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.web.protocols.blocks import block_id
from tether.web.protocols.content import Json, fault_of, url_of
from tether.web.protocols.vercel_parts import (
    PART_KINDS,
    arguments_of,
    output_of,
    ui_part,
)

__all__ = ("reply_to", "ui_messages")


def reply_to(message_id: str | None) -> str:
    """Return the id of the assistant message that answers a message: the same each time it is sent."""
    return f"{message_id or 'first'}.reply"


def ui_messages(messages: Iterable[Message]) -> list[Json]:
    """Write a conversation: each message of the user, and all that answers it as one message of the assistant.

    Args:
        messages: of the conversation, in order.
    """
    told: list[Json] = []
    said: str | None = None
    calls: dict[str, Json] = {}
    for message in messages:
        match message:
            case UserMessage():
                said = message.id
                parts = [part for part in map(ui_part, message.content) if part is not None]
                told.append({"id": said, "role": "user", "parts": parts})
            case AssistantMessage():
                calls = {}
                _answer(told, said)["parts"] += _reply(message, calls)
            case ToolResultMessage(call_id) if call_id in calls:
                calls[call_id] |= _ended(message)
            case CustomMessage(kind, data):
                part = {"type": f"data-{kind}", "id": message.id, "data": data}
                _answer(told, said)["parts"].append(part)
            case _:
                pass
    return told


def _answer(told: list[Json], said: str | None) -> Json:
    """The message of the assistant at the end; a new one, if it is the user's."""
    if not told or told[-1]["role"] == "user":
        told.append({"id": reply_to(said), "role": "assistant", "parts": []})
    return told[-1]


def _reply(message: AssistantMessage, calls: dict[str, Json]) -> Iterator[Json]:
    yield {"type": "step-start"}
    for index, block in enumerate(message.content):
        match block:
            case Text(text) | Thinking(text):
                if text:
                    yield {"type": PART_KINDS[block.type], "text": text, "state": "done"}
            case ToolCall(id_, name):
                calls[id_] = part = {
                    "type": "dynamic-tool",
                    "toolCallId": block_id(message.id, index),
                    "toolName": name,
                    "state": "input-available",
                    "input": arguments_of(block),
                }
                yield part
            case Image() if (url := url_of(block)) is not None:
                yield {"type": "file", "url": url, "mediaType": block.media_type}
            case _:
                pass


def _ended(result: ToolResultMessage) -> Json:
    if result.is_error:
        return {"state": "output-error", "errorText": fault_of(result)}
    return {"state": "output-available", "output": output_of(result.content)}
