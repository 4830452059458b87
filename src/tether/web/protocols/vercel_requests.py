"""What a page of the Vercel AI SDK sends: the whole conversation as it has it, of which only the end counts. No I/O."""

from collections.abc import Mapping

import msgspec
from attrs import frozen

from tether import Deny, UsageError, UserMessage, Verdict
from tether.messages import Text, UserBlock
from tether.web.protocols.said import file_block

__all__ = ("Answers", "ChatRequest", "Said", "turn_of")


class Approval(msgspec.Struct, frozen=True):
    """What a person has answered about a call."""

    id: str
    approved: bool | None = None
    reason: str | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a message."""

    type: str
    text: str = ""
    url: str = ""
    media_type: str = msgspec.field(default="", name="mediaType")
    filename: str | None = None
    state: str = ""
    approval: Approval | None = None


class UiMessage(msgspec.Struct, frozen=True):
    """A message."""

    role: str
    parts: list[Part]
    id: str = ""


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of a request."""

    id: str
    messages: list[UiMessage]
    trigger: str = "submit-message"
    message_id: str | None = msgspec.field(default=None, name="messageId")


@frozen
class Said:
    """A person has said something."""

    message: UserMessage
    again: bool
    """Whether an earlier message is to be said or answered anew."""


@frozen
class Answers:
    """A person has answered questions."""

    verdicts: Mapping[str, Verdict]


def turn_of(request: ChatRequest) -> Said | Answers:
    """Find out what a request wants.

    Raises:
        UsageError: there is nothing in it that could be said or answered; the text names the path.
    """
    if not request.messages:
        raise UsageError("$.messages: it is empty; its last message says what is wanted")
    place = _wanted(request)
    path, message = f"$.messages[{place}]", request.messages[place]
    match message.role:
        case "assistant":
            return Answers(_verdicts(message, path))
        case "user":
            again = request.trigger != "submit-message" or request.message_id is not None
            blocks = _blocks(message, path)
            return Said(UserMessage(blocks, id=message.id), again)
        case role:
            raise UsageError(f"{path}.role: expected user or assistant, got {role!r}")


def _wanted(request: ChatRequest) -> int:
    """The place of the message that counts: the last, or the assistant's whose questions were answered."""
    last = len(request.messages) - 1
    if request.message_id is None or request.trigger != "submit-message":
        return last
    for place, message in enumerate(request.messages):
        if message.id == request.message_id and message.role == "assistant":
            return place
    return last


def _verdicts(message: UiMessage, path: str) -> Mapping[str, Verdict]:
    verdicts: dict[str, Verdict] = {}
    for part in message.parts:
        approval = part.approval
        if part.state == "approval-responded" and approval is not None:
            reason = (approval.reason or "").strip()
            denied: Verdict = Deny(reason) if reason else False
            verdicts[approval.id] = "once" if approval.approved else denied
    if not verdicts:
        raise UsageError(f"{path}: a message of the assistant counts where it answers approvals")
    return verdicts


def _blocks(message: UiMessage, path: str) -> list[UserBlock]:
    blocks: list[UserBlock] = []
    for place, part in enumerate(message.parts):
        here = f"{path}.parts[{place}]"
        match part.type:
            case "text" if part.text.strip():
                blocks.append(Text(part.text))
            case "file":
                blocks.append(file_block(part.url, part.media_type, part.filename, path=here))
            case _:
                pass  # data of the page's own
    if not blocks:
        raise UsageError(f"{path}: there is nothing to say: expected a part of type text or file")
    return blocks
