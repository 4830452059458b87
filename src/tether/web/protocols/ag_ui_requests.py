"""What a client of AG-UI sends. No I/O."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import msgspec

from tether import Deny, UsageError, UserMessage, Verdict
from tether.messages import Text, UserBlock
from tether.web.protocols.said import file_block

__all__ = ("RunAgentInput", "gist_of", "new_messages", "verdicts_in")

_MEDIA = {"image", "audio", "video", "document"}


class Source(msgspec.Struct, frozen=True):
    """Where a file is."""

    value: str
    type: str = "url"
    mime_type: str = msgspec.field(default="", name="mimeType")


class ContentPart(msgspec.Struct, frozen=True):
    """A part of what was said."""

    type: str
    text: str = ""
    source: Source | None = None


class Message(msgspec.Struct, frozen=True):
    """A message; those of an activity have an object as their content."""

    id: str
    role: str
    content: Any = None
    tool_calls: Any = msgspec.field(default=None, name="toolCalls")

    @property
    def gist(self) -> object:
        """What it says, to be compared with `gist_of`."""
        return gist_of({"content": self.content, "toolCalls": self.tool_calls})


def gist_of(message: Mapping[str, Any]) -> object:
    """Return what a message of AG-UI says, without what a client may add to it."""
    calls = message.get("toolCalls")
    if not isinstance(calls, list):
        return message.get("content")
    return [call.get("function") if isinstance(call, Mapping) else call for call in calls]


class ResumeEntry(msgspec.Struct, frozen=True):
    """An answer to an interrupt."""

    interrupt_id: str = msgspec.field(name="interruptId")
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunAgentInput(msgspec.Struct, frozen=True):
    """The body of a request."""

    thread_id: str = msgspec.field(name="threadId")
    run_id: str = msgspec.field(name="runId")
    messages: list[Message]
    resume: list[ResumeEntry] | None = None


def new_messages(request: RunAgentInput, known: Collection[str]) -> Sequence[UserMessage]:
    """Find what the user has said since the last reply, and the conversation does not have.

    Raises:
        UsageError: a message is nothing that can be said; the text names the path.
    """
    new: list[UserMessage] = []
    for place, message in reversed(list(enumerate(request.messages))):
        if message.role in {"assistant", "tool", "reasoning"} or message.id in known:
            break
        if message.role == "user":
            path = f"$.messages[{place}].content"
            new.append(UserMessage(_blocks(message.content, path), id=message.id))
    return new[::-1]


def _blocks(content: Any, path: str) -> list[UserBlock]:
    if isinstance(content, str):
        blocks: list[UserBlock] = [Text(content)] if content.strip() else []
    else:
        try:
            parts = msgspec.convert(content, list[ContentPart])
        except msgspec.ValidationError as error:
            raise UsageError(f"{path}: expected a string or parts: {error}") from None
        blocks = [
            block
            for place, part in enumerate(parts)
            if (block := _block(part, f"{path}[{place}]")) is not None
        ]
    if not blocks:
        raise UsageError(f"{path}: there is nothing to say")
    return blocks


def _block(part: ContentPart, path: str) -> UserBlock | None:
    if part.type == "text":
        return Text(part.text) if part.text.strip() else None
    if part.type not in _MEDIA or part.source is None:
        raise UsageError(
            f"{path}: expected text, image, audio, video or document, got {part.type!r}"
        )
    source = part.source
    if source.type == "data":
        media_type = source.mime_type or "application/octet-stream"
        return file_block(f"data:{media_type};base64,{source.value}", source.mime_type, path=path)
    if source.type == "url":
        return file_block(source.value, source.mime_type or f"{part.type}/*", path=path)
    raise UsageError(f"{path}.source.type: expected data or url, got {source.type!r}")


def verdicts_in(request: RunAgentInput) -> Mapping[str, Verdict]:
    """Read the answers to interrupts, by their ids.

    Raises:
        UsageError: an answer is none; the text names the path, and says what one is.
    """
    return {
        entry.interrupt_id: _verdict(entry, f"$.resume[{place}]")
        for place, entry in enumerate(request.resume or ())
    }


def _verdict(entry: ResumeEntry, path: str) -> Verdict:
    if entry.status == "cancelled":
        return Deny("the user has not answered")
    payload = entry.payload
    if isinstance(payload, bool):
        return payload
    if not isinstance(payload, Mapping) or not isinstance(payload.get("approved"), bool):
        raise UsageError(f'{path}.payload: expected an object with "approved": true or false')
    if payload.get("editedArgs") is not None:
        raise UsageError(f"{path}.payload.editedArgs: a call runs as it was asked about, or not")
    if payload["approved"]:
        return "always" if payload.get("always") is True else "once"
    reason = payload.get("reason")
    return Deny(reason) if isinstance(reason, str) and reason.strip() else False
