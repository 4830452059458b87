"""The decoder of Google's Gemini API.

After Google's API reference (`GenerateContentResponse`). A reply is a row of parts, in pieces: pieces of text that
follow each other are one text, and a signature closes the part it stands at, since it has to go back there. Parts of
unknown kinds are kept as they are.

No I/O.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec
from attrs import define, field

from tether.deltas import Delta
from tether.errors import ModelError
from tether.messages import AssistantBlock, ProviderItem, StopReason, Text, Thinking, Usage
from tether.models._wire.failures import cut_short, error_from_stream
from tether.models._wire.leniency import count_in, finished_call, text_or_empty, tolerant
from tether.models._wire.media import image_from_base64
from tether.models._wire.protocol import Decoder
from tether.models._wire.reply_builder import OpenBlock, ReplyBuilder, read_reply
from tether.models.google.call_arguments import joined, put_piece

__all__ = ("NAME", "SIGNATURE", "decode", "is_made_up")

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

_CANDIDATE_FIELDS: Final = (
    "groundingMetadata",
    "citationMetadata",
    "urlContextMetadata",
    "finishMessage",
    "logprobsResult",
)
"""Fields of a candidate that go into the details of the message."""

_NO_RESPONSE_ID: Final = "call"
"""What the ids of calls begin with if neither they nor the response have one."""

_FIRST: Final = (None, 0, "0", "")

_Kind: TypeAlias = Literal["text", "thinking"]


class _Chunk(msgspec.Struct, gc=False):
    """A piece of the reply; only the fields that are used, so that msgspec skips the rest."""

    candidates: list[Any] | None = None
    usageMetadata: dict[str, Any] | None = None  # noqa: N815 - the API's own name
    modelVersion: str | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    promptFeedback: dict[str, Any] | None = None  # noqa: N815
    error: Any = None


_READ: Final = tolerant(_Chunk)


def decode(model: str) -> Decoder:
    """Read a reply.

    Args:
        model: the model asked for, until the reply reports its own.

    Returns:
        A decoder; see `Decoder`. It returns when the stream ends: what follows the reason to stop, such as the
        sources of a text, belongs to the reply.
    """
    return read_reply(_Reply(ReplyBuilder(NAME, model)), _READ)


@define(eq=False, repr=False)
class _Open:
    """A block that may go on with the next part."""

    block: OpenBlock
    signature: str = ""
    arguments: dict[str, Any] = field(factory=dict[str, Any])
    """Of a call that comes in pieces."""
    given: Any = None
    """Arguments that are no object."""


@define(eq=False, repr=False)
class _Reply:
    """What the chunks mean; see `WireReply`."""

    built: ReplyBuilder
    is_whole: bool = field(default=False, init=False)
    """Never by a chunk."""
    _reported: tuple[Any, ...] = ()
    _open: _Open | None = None

    def take(self, chunk: _Chunk) -> Sequence[Delta]:
        """Take in a chunk."""
        if chunk.error is not None:
            raise error_from_stream(chunk.error)
        self._report(chunk)
        for candidate in chunk.candidates or ():
            # Of several candidates, the first is the reply.
            if isinstance(candidate, dict) and candidate.get("index") in _FIRST:
                self._take_candidate(candidate)
        if not chunk.candidates and chunk.promptFeedback is not None:
            _refuse_blocked(chunk.promptFeedback)
        return self.built.new_deltas()

    def close(self, *, marked: bool) -> None:  # `[DONE]` is not a mark of this API
        """Close what is still open."""
        if self.built.stop_reason is None:
            raise cut_short()
        self._close()

    def _report(self, chunk: _Chunk) -> None:
        reported = (chunk.modelVersion, chunk.responseId, chunk.usageMetadata)
        if reported == self._reported:
            return  # each chunk repeats them
        self._reported = reported
        built = self.built
        built.model = chunk.modelVersion or built.model
        built.response_id = built.response_id or chunk.responseId or None
        if chunk.usageMetadata is not None:
            self._count(_usage(chunk.usageMetadata))
        built.report()

    def _count(self, usage: Usage) -> None:
        built = self.built
        if usage.input_tokens and usage.output_tokens and not built.usage.output_tokens:
            # Until the output is counted, the count of the input is an estimate, which may be too high.
            built.usage = usage
        else:
            built.count(usage)

    def _take_candidate(self, candidate: Mapping[str, Any]) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._take_part(part)
        fields = {key: candidate[key] for key in _CANDIDATE_FIELDS if candidate.get(key)}
        self.built.holdings.keep(fields)
        self.built.details |= fields
        reason = text_or_empty(candidate.get("finishReason"))
        if reason in _FAILURES:
            told = text_or_empty(candidate.get("finishMessage"))
            raise ModelError(
                f"the reply ended with {reason}{f': {told}' if told else ''}", kind="malformed"
            )
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self.built.stop_reason = _STOP_REASONS.get(reason, "stop")
            if reason not in {"STOP", "MAX_TOKENS"}:
                self.built.details["stop_reason"] = reason

    # Parts.

    def _take_part(self, part: dict[str, Any]) -> None:
        text = part.get("text")
        signature = text_or_empty(part.get(SIGNATURE))
        if type(text) is str:
            self._add(text, signature, kind="thinking" if part.get("thought") else "text")
        elif isinstance(part.get("functionCall"), dict):
            self._take_call(part["functionCall"], signature)
        elif block := _whole_block(part):
            self._close()
            self.built.holdings.keep(part)
            self.built.put(block)

    def _add(self, text: str, signature: str, *, kind: _Kind) -> None:
        if not text and not signature:
            return
        opened = self._open
        if opened is None or opened.block.kind != kind or (signature and not text):
            # A signature without a text is of a part of its own, and goes back as such.
            self._close()
            opened = self._open = _Open(self.built.open(kind))
        self.built.add(opened.block, text)
        if signature:
            opened.signature = signature
            self._close()

    def _take_call(self, call: Mapping[str, Any], signature: str) -> None:
        """Take in a call; as a rule it comes as a whole."""
        self.built.holdings.keep(call)
        opened = self._open
        if opened is None or opened.block.kind != "call" or call.get("name"):
            self._close()
            opened = self._open = _Open(self.built.open("call"))
            made_up = f"{self.built.response_id or _NO_RESPONSE_ID}-{opened.block.index}"
            id_ = text_or_empty(call.get("id")) or made_up
            self.built.announce(opened.block, id_, text_or_empty(call.get("name")))
        opened.signature = signature or opened.signature
        arguments, pieces = call.get("args"), call.get("partialArgs")
        if isinstance(arguments, dict):
            opened.arguments |= arguments
        elif arguments:
            opened.given = arguments
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                self.built.holdings.charge(put_piece(opened.arguments, piece))
        if not call.get("willContinue"):
            self._close()

    def _close(self) -> None:
        opened, self._open = self._open, None
        if opened is None:
            return
        details = {SIGNATURE: opened.signature} if opened.signature else None
        block = opened.block
        match block.kind:
            case "text":
                self.built.end(block, Text(block.text, details))
            case "thinking":
                self.built.end(block, Thinking(block.text, opened.signature or None))
            case _:
                assert block.start is not None
                self.built.add(block, json.dumps(opened.given or joined(opened.arguments)))
                call = finished_call(block.start.id, block.start.name, block.text, details)
                self.built.end(block, call)


def is_made_up(call_id: str, response_id: str | None) -> bool:
    """Return True for an id that a call got here because the server, such as Vertex AI, gave it none."""
    made_of, _, number = call_id.rpartition("-")
    return number.isdecimal() and made_of in {response_id, _NO_RESPONSE_ID}


def _refuse_blocked(feedback: Mapping[str, Any]) -> None:
    reason = text_or_empty(feedback.get("blockReason"))
    if reason:
        told = text_or_empty(feedback.get("blockReasonMessage"))
        raise ModelError(
            f"the prompt was blocked ({reason}){f': {told}' if told else ''}",
            kind="content_filter",
        )


def _whole_block(part: Mapping[str, Any]) -> AssistantBlock | None:
    """Make a block of a part that is neither text nor call; a part of nothing but notes is none."""
    match part.get("inlineData"):
        case {"mimeType": str(kind), "data": str(data)} if kind.startswith("image/"):
            if (image := image_from_base64(data, kind)) is not None:
                return image
    if part.keys() <= {"thought", SIGNATURE, "text", "functionCall"}:
        return None
    return ProviderItem(NAME, dict(part))


def _usage(counts: Mapping[str, Any]) -> Usage:
    """Read counts; each is of the whole reply so far."""
    thought = count_in(counts, "thoughtsTokenCount")
    return Usage(
        # What the provider's own tools brought in was read by the model, too.
        input_tokens=count_in(counts, "promptTokenCount")
        + count_in(counts, "toolUsePromptTokenCount"),
        output_tokens=count_in(counts, "candidatesTokenCount") + thought,
        cache_read_tokens=count_in(counts, "cachedContentTokenCount"),
        reasoning_tokens=thought,
    )
