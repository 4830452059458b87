"""What a client of OpenAI's chat completions sends: the whole conversation, each time. No I/O."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tether import AssistantMessage, Message, UsageError, UserMessage
from tether.messages import Text, UserBlock
from tether.web.protocols.said import file_block

__all__ = ("ChatCompletionRequest", "check", "messages_in")


class ImageUrl(msgspec.Struct, frozen=True):
    """Where a picture is."""

    url: str


class InputAudio(msgspec.Struct, frozen=True):
    """Sound."""

    data: str
    format: str


class InputFile(msgspec.Struct, frozen=True):
    """A file."""

    file_data: str | None = None
    filename: str | None = None


class ContentPart(msgspec.Struct, frozen=True):
    """A part of a message."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: ImageUrl | None = None
    input_audio: InputAudio | None = None
    file: InputFile | None = None


class ChatMessage(msgspec.Struct, frozen=True):
    """A message."""

    role: str
    content: str | list[ContentPart] | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """How a completion is streamed."""

    include_usage: bool = False


class ResponseFormat(msgspec.Struct, frozen=True):
    """The form that the answer must have."""

    type: str = "text"


class ChatCompletionRequest(msgspec.Struct, frozen=True):
    """The body of a request. Everything else, such as `temperature`, is ignored: the agent decides it."""

    model: str
    messages: list[ChatMessage]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    tool_choice: Any = None
    response_format: ResponseFormat | None = None


def check(request: ChatCompletionRequest) -> None:
    """Refuse a request for what an agent cannot do.

    Raises:
        UsageError: the request wants it.
    """
    if (request.tools or request.functions) and request.tool_choice != "none":
        raise UsageError("tools: the agent has tools of its own, and takes none from a client")
    if (request.n or 1) != 1:
        raise UsageError("n: an agent gives one answer")
    if request.response_format is not None and request.response_format.type != "text":
        raise UsageError("response_format: an agent answers with text")


def messages_in(request: ChatCompletionRequest) -> tuple[Sequence[Message], UserMessage]:
    """Read the conversation.

    A system message of the client does not replace the agent's: it becomes a message of the user, at its place.

    Returns:
        The messages so far, and what is said now.

    Raises:
        UsageError: it does not end with a message of the user, or has something in it that cannot be read.
    """
    messages: list[Message] = []
    for place, message in enumerate(request.messages):
        path = f"messages[{place}]"
        blocks = _blocks(message, path)
        match message.role:
            case "system" | "developer" | "user" if blocks:
                messages.append(UserMessage(blocks))
            case "assistant" if blocks:
                text = "".join(block.text for block in blocks if isinstance(block, Text))
                messages.append(AssistantMessage(text))
            case "system" | "developer" | "user" | "assistant" | "tool" | "function":
                pass  # empty, or of tools that were the client's
            case role:
                raise UsageError(f"{path}.role: expected system, user or assistant, got {role!r}")
    if not messages or not isinstance(messages[-1], UserMessage):
        raise UsageError("messages: the last one must be of the user, and say something")
    return messages[:-1], messages[-1]


def _blocks(message: ChatMessage, path: str) -> list[UserBlock]:
    if message.role in {"tool", "function"} or message.content is None:
        return []
    if isinstance(message.content, str):
        return [Text(message.content)] if message.content.strip() else []
    return [
        block
        for place, part in enumerate(message.content)
        if (block := _block(part, f"{path}.content[{place}]")) is not None
    ]


def _block(part: ContentPart, path: str) -> UserBlock | None:
    match part:
        case ContentPart(type="text" | "refusal"):
            text = part.text or part.refusal
            return Text(text) if text.strip() else None
        case ContentPart(type="image_url", image_url=ImageUrl(url)):
            return file_block(url, "image/*", path=f"{path}.image_url.url")
        case ContentPart(type="input_audio", input_audio=InputAudio(data, format)):
            url = f"data:audio/{format};base64,{data}"
            return file_block(url, f"audio/{format}", path=f"{path}.input_audio")
        case ContentPart(type="file", file=InputFile(file_data=str() as data, filename=name)):
            return file_block(data, "", name, path=f"{path}.file.file_data")
        case _:
            raise UsageError(
                f"{path}: expected text, image_url, input_audio or file with its data, got {part.type!r}"
            )
