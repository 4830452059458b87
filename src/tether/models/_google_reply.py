"""What a reply over Google's Gemini API is made of.

After Google's API reference (`GenerateContentResponse`). A reply is a row of parts, in pieces: pieces of text that
follow each other are one text, and a signature closes the part it stands at, for there it has to go back. Parts of
kinds that are not known here are kept as they are.

No I/O.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

import msgspec
from attrs import define, field

from tether.deltas import (
    BlockEnd,
    Delta,
    PartialReply,
    ReplyInfo,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
)
from tether.errors import ModelError
from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Failure,
    Image,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
    VendorItem,
)
from tether.models._failures import error_from_stream
from tether.models._wire import count_in, finished_call, word

__all__ = ("NAME", "SIGNATURE", "Chunk", "Reply")

NAME: Final = "google-generate"
"""The wire API."""

SIGNATURE: Final = "thoughtSignature"
"""The field of a part that has to go back with it."""

_STOP_REASONS: Final[Mapping[str, StopReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
}

_FAILURES: Final = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""Ends of which nothing can be used: the model wrote a call that cannot be read, or may not be made."""

_FACTS_OF_A_CANDIDATE: Final = (
    "groundingMetadata",
    "citationMetadata",
    "urlContextMetadata",
    "finishMessage",
    "logprobsResult",
)

_Kind: TypeAlias = Literal["text", "thinking", "call"]


class Chunk(msgspec.Struct, gc=False):
    """A piece of the reply; only the fields that are used, so that msgspec passes over the rest."""

    candidates: Any = None
    usageMetadata: Any = None  # noqa: N815 - so the API calls it
    modelVersion: Any = None  # noqa: N815
    responseId: Any = None  # noqa: N815
    promptFeedback: Any = None  # noqa: N815
    error: Any = None


@define(eq=False)
class _Open:
    """A block that may go on with the next part."""

    kind: _Kind
    place: int
    fragments: list[str] = field(factory=list[str])
    # Of a call that comes in pieces.
    id: str = ""
    name: str = ""
    arguments: dict[str, Any] = field(factory=dict[str, Any])
    signature: str = ""


@define(eq=False)
class Reply:
    """What has been read of a reply."""

    model: str
    stop: StopReason | None = None
    """Why it ended, once that has been said."""
    _id: str | None = None
    _usage: Usage = field(factory=Usage)
    _details: dict[str, Any] = field(factory=dict[str, Any])
    _blocks: list[AssistantBlock | None] = field(factory=list["AssistantBlock | None"])
    _open: _Open | None = None

    def take(self, chunk: Chunk) -> Sequence[Delta]:
        """Take in a piece.

        Args:
            chunk: the piece.

        Returns:
            What it brings.

        Raises:
            ModelError: it tells of an error, or that the prompt was blocked.
        """
        if chunk.error is not None:
            raise error_from_stream(chunk.error)
        out: list[Delta] = []
        self._note(chunk, out)
        candidates = chunk.candidates if isinstance(chunk.candidates, list) else ()
        for candidate in candidates:
            # Of several candidates, the first is the reply.
            if isinstance(candidate, dict) and not candidate.get("index"):
                self._take_candidate(candidate, out)
        if not candidates and isinstance(chunk.promptFeedback, dict):
            self._refuse_blocked(chunk.promptFeedback)
        return out

    def close(self) -> Sequence[Delta]:
        """Close what is still open at the end of the reply."""
        out: list[Delta] = []
        self._close(out)
        return out

    def message(self) -> AssistantMessage:
        """The finished message."""
        blocks = [block for block in self._blocks if block is not None]
        stop = self.stop or "stop"
        if stop == "stop" and any(isinstance(block, ToolCall) for block in blocks):
            stop = "tool_calls"
        return AssistantMessage(
            blocks,
            model=self.model,
            api=NAME,
            stop_reason=stop,
            usage=self._usage,
            response_id=self._id,
            details=self._details or None,
        )

    def so_far(self, failure: Failure) -> AssistantMessage:
        """What had arrived when the reply failed."""
        partial = PartialReply(model=self.model, api=NAME)
        partial.add(ReplyInfo(response_id=self._id, usage=self._usage))
        for place, block in enumerate(self._blocks):
            if block is not None:
                partial.add(BlockEnd(block, place))
        for delta in _again(self._open):
            partial.add(delta)
        return partial.incomplete("error", failure)

    def _note(self, chunk: Chunk, out: list[Delta]) -> None:
        model = word(chunk.modelVersion) or self.model
        id_ = self._id if self._id is not None else (word(chunk.responseId) or None)
        usage = _usage(chunk.usageMetadata) or self._usage
        if (model, id_, usage) != (self.model, self._id, self._usage):
            self.model, self._id, self._usage = model, id_, usage
            out.append(ReplyInfo(model=model, api=NAME, response_id=id_, usage=usage))

    def _refuse_blocked(self, feedback: Mapping[str, Any]) -> None:
        reason = word(feedback.get("blockReason"))
        if reason:
            told = word(feedback.get("blockReasonMessage"))
            raise ModelError(
                f"the prompt was blocked ({reason}){f': {told}' if told else ''}",
                kind="content_filter",
            )

    def _take_candidate(self, candidate: Mapping[str, Any], out: list[Delta]) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._take_part(part, out)
        facts = {key: candidate[key] for key in _FACTS_OF_A_CANDIDATE if candidate.get(key)}
        self._details |= facts
        reason = word(candidate.get("finishReason"))
        if reason in _FAILURES:
            told = word(candidate.get("finishMessage"))
            raise ModelError(
                f"the reply ended with {reason}{f': {told}' if told else ''}", kind="malformed"
            )
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self.stop = _STOP_REASONS.get(reason, "stop")
            if reason not in {"STOP", "MAX_TOKENS"}:
                self._details["stop_reason"] = reason

    # Parts.

    def _take_part(self, part: dict[str, Any], out: list[Delta]) -> None:
        text = part.get("text")
        signature = word(part.get(SIGNATURE))
        if type(text) is str:
            self._add(text, signature, out, kind="thinking" if part.get("thought") else "text")
        elif isinstance(part.get("functionCall"), dict):
            self._take_call(part["functionCall"], signature, out)
        elif block := _made(part):
            self._close(out)
            self._put(block, out)

    def _add(self, text: str, signature: str, out: list[Delta], *, kind: _Kind) -> None:
        if not text and not signature:
            return
        opened = self._open
        if opened is None or opened.kind != kind or (signature and not text):
            # A signature without a text is of a part of its own, and goes back as such.
            self._close(out)
            opened = self._open = _Open(kind, self._new_place())
        if text:
            opened.fragments.append(text)
            make = TextDelta if kind == "text" else ThinkingDelta
            out.append(make(text, opened.place))
        if signature:
            opened.signature = signature
            self._close(out)

    def _take_call(self, call: Mapping[str, Any], signature: str, out: list[Delta]) -> None:
        """Take in a call; as a rule it comes as a whole."""
        opened = self._open
        if opened is None or opened.kind != "call" or call.get("name"):
            self._close(out)
            place = self._new_place()
            id_ = word(call.get("id")) or f"{self._id or 'call'}-{place}"
            opened = self._open = _Open("call", place, id=id_, name=word(call.get("name")))
            out.append(ToolCallStart(opened.id, opened.name, place))
        opened.signature = signature or opened.signature
        arguments = call.get("args")
        if isinstance(arguments, dict):
            opened.arguments |= arguments
        for piece in call.get("partialArgs") or ():
            if isinstance(piece, dict):
                _put_in(opened.arguments, piece)
        if not call.get("willContinue"):
            self._close(out)

    def _close(self, out: list[Delta]) -> None:
        opened, self._open = self._open, None
        if opened is None:
            return
        text = "".join(opened.fragments)
        sealed = {SIGNATURE: opened.signature} if opened.signature else None
        match opened.kind:
            case "text":
                block: AssistantBlock = Text(text, sealed)
            case "thinking":
                block = Thinking(text, opened.signature or None)
            case "call":
                arguments = json.dumps(opened.arguments)
                out.append(ToolCallDelta(arguments, opened.place))
                block = finished_call(opened.id, opened.name, arguments, sealed)
        self._blocks[opened.place] = block
        out.append(BlockEnd(block, opened.place))

    def _put(self, block: AssistantBlock, out: list[Delta]) -> None:
        place = self._new_place()
        self._blocks[place] = block
        out.append(BlockEnd(block, place))

    def _new_place(self) -> int:
        self._blocks.append(None)
        return len(self._blocks) - 1


def _made(part: Mapping[str, Any]) -> AssistantBlock | None:
    """Make a block of a part that is neither text nor call; a part of nothing but notes is none."""
    match part.get("inlineData"):
        case {"mimeType": str(kind), "data": str(data)} if kind.startswith("image/"):
            try:
                return Image(base64.b64decode(data, validate=True), kind)
            except (binascii.Error, ValueError):
                pass
    if part.keys() <= {"thought", SIGNATURE, "text"}:
        return None
    return VendorItem(NAME, dict(part))


def _put_in(arguments: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Put a piece of arguments where its path says (`$.place.city`); pieces of one string follow each other."""
    values = ("stringValue", "numberValue", "boolValue", "nullValue")
    key = next((name for name in values if name in piece), None)
    path = re.findall(r"\.(\w+)|\[(\d+)\]|\['([^']*)'\]", word(piece.get("jsonPath")))
    if key is None or not path or len(path) > 32:
        return
    value = None if key == "nullValue" else piece[key]
    here: Any = arguments
    for (name, number, quoted), (_, next_number, _) in pairwise(path):
        here = _step(here, name or quoted, number, [] if next_number else {})
        if here is None:
            return
    name, number, quoted = path[-1]
    if isinstance(here, dict) and not number:
        before = here.get(name or quoted)
        both = isinstance(before, str) and isinstance(value, str)
        here[name or quoted] = f"{before}{value}" if both else value
    elif isinstance(here, list) and number and int(number) <= len(here):
        if int(number) == len(here):
            here.append(value)
        elif isinstance(here[int(number)], str) and isinstance(value, str):
            here[int(number)] += value


def _step(here: Any, name: str, number: str, empty: Any) -> Any:
    """Go one step along a path, making what is not there yet; None where it leads nowhere."""
    if isinstance(here, dict) and not number:
        return here.setdefault(name, empty)
    if isinstance(here, list) and number and int(number) <= len(here):
        if int(number) == len(here):
            here.append(empty)
        return here[int(number)]
    return None


def _again(opened: _Open | None) -> Iterator[Delta]:
    """The deltas that tell of an open block as it is now."""
    if opened is None:
        return
    text = "".join(opened.fragments)
    match opened.kind:
        case "text":
            yield TextDelta(text, opened.place)
        case "thinking":
            yield ThinkingDelta(text, opened.place)
        case "call":
            yield ToolCallStart(opened.id, opened.name, opened.place)


def _usage(counts: Any) -> Usage | None:
    """Read counts; each is of the whole reply so far."""
    if not isinstance(counts, dict):
        return None
    thought = count_in(counts, "thoughtsTokenCount")
    return Usage(
        # What tools of the vendor's own brought in was read by the model, too.
        input_tokens=count_in(counts, "promptTokenCount")
        + count_in(counts, "toolUsePromptTokenCount"),
        output_tokens=count_in(counts, "candidatesTokenCount") + thought,
        cache_read_tokens=count_in(counts, "cachedContentTokenCount"),
        reasoning_tokens=thought,
    )
