"""The decoder of Bedrock's Converse API.

After Amazon's API reference (`ConverseStream`, `Converse`). A reply is a row of content blocks. A text or reasoning may
begin with its first piece; the usage comes behind the reason for the end. Blocks of unknown kinds are kept as they are.

No I/O.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

from attrs import define, field

from tether.deltas import Delta
from tether.errors import ModelError
from tether.messages import AssistantBlock, ProviderItem, StopReason, Text, Thinking, Usage
from tether.models._wire.failures import cut_short, error_from_stream
from tether.models._wire.leniency import count_in, finished_call, text_or_empty, tolerant
from tether.models._wire.media import image_from_base64
from tether.models._wire.protocol import Decoder
from tether.models._wire.reply_builder import BlockKind, OpenBlock, ReplyBuilder, read_reply
from tether.models.bedrock.events import BlockPart, Event, Metadata, Stop

__all__ = ("NAME", "decode")

NAME: Final = "bedrock-converse"
"""The wire API."""

_STOP_REASONS: Final[Mapping[str, StopReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
}
_PLAIN_REASONS: Final = frozenset({"end_turn", "stop_sequence", "tool_use", "max_tokens"})
_FAILURES: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
"""Ends of which nothing can be used: the model wrote what cannot be read."""

_KINDS: Final[Mapping[str, BlockKind]] = {
    "text": "text",
    "reasoningContent": "thinking",
    "toolUse": "call",
}


_READ: Final = tolerant(Event)


def decode(model: str) -> Decoder:
    """Read a reply.

    Args:
        model: the model asked for; a reply does not say which one answered.

    Returns:
        A decoder; see `Decoder`.
    """
    return read_reply(_Reply(ReplyBuilder(NAME, model)), _READ)


@define(eq=False, repr=False)
class _Block:
    """A content block, as far as it has arrived."""

    kind: str
    open: OpenBlock
    fields: dict[str, Any] = field(factory=dict[str, Any])
    """Its beginning, and what is not text of it."""
    citations: list[Any] = field(factory=list[Any])
    _pieces: dict[str, list[Any]] = field(factory=dict[str, list[Any]])
    """Of the fields that are texts or lists, which come in pieces."""

    def append(self, more: Mapping[str, Any]) -> None:
        """Take in more of the fields: of what is not text and no list, the last one counts."""
        for key, value in more.items():
            pieces = self._pieces.get(key, [self.fields.get(key)])
            if isinstance(value, str | list) and type(value) is type(pieces[0]):
                pieces.append(value)
                self._pieces[key] = pieces
            else:
                self._pieces.pop(key, None)
                self.fields[key] = value

    def join(self) -> None:
        """Put the pieces together."""
        for key, pieces in self._pieces.items():
            is_text = isinstance(pieces[0], str)
            self.fields[key] = "".join(pieces) if is_text else list(chain(*pieces))


@define(eq=False, repr=False)
class _Reply:
    """What the events mean; see `WireReply`."""

    built: ReplyBuilder
    is_whole: bool = False
    _open: dict[int | None, _Block] = field(factory=dict[int | None, "_Block"])
    """By the number that the server gave them."""

    def take(self, event: Event) -> Sequence[Delta]:
        """Take in an event."""
        if event.error is not None:
            raise error_from_stream(event.error)
        if event.message_start is not None:
            self.built.report()
        if (part := event.content_block_start) is not None and part.start:
            self._begin(part.content_block_index, part.start)
        if (part := event.content_block_delta) is not None:
            self._add(part)
        if (part := event.content_block_stop) is not None:
            self._finish(part.content_block_index)
        if event.message_stop is not None:
            self._stop(event.message_stop)
        if event.metadata is not None:
            self._end(event.metadata)
        if event.output is not None:
            self._take_whole(event, event.output)
        return self.built.new_deltas()

    def close(self, *, marked: bool) -> None:
        """Close what is still open."""
        if self.built.stop_reason is None:
            raise cut_short()
        for number in list(self._open):
            self._finish(number)

    def _stop(self, stop: Stop) -> None:
        reason = stop.stop_reason or "end_turn"
        if reason in _FAILURES:
            raise ModelError(f"the reply ended with {reason}", kind="malformed")
        self.built.stop_reason = _STOP_REASONS.get(reason, "stop")
        if reason not in _PLAIN_REASONS:
            self.built.details["stop_reason"] = reason
        if more := stop.additional_model_response_fields:
            self.built.holdings.keep(more)
            self.built.details["additional_fields"] = more

    def _end(self, metadata: Metadata) -> None:
        self.built.count(_usage(metadata.usage or {}))
        if metadata.trace:
            self.built.holdings.keep(metadata.trace)
            self.built.details["trace"] = metadata.trace
        self.built.report()
        self.is_whole = self.built.stop_reason is not None

    def _take_whole(self, event: Event, output: Mapping[str, Any]) -> None:
        """Take in a reply in one piece: its blocks as if each came at once."""
        message = output.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        self.built.count(_usage(event.usage or {}))
        self.built.report()
        for block in content if isinstance(content, list) else ():
            if isinstance(block, dict):
                self.built.holdings.keep(block)
                self._take_block(block)
        self._stop(Stop(event.stop_reason, event.additional_model_response_fields))
        self._end(Metadata(event.usage, event.trace))

    # Blocks.

    def _take_block(self, block: Mapping[str, Any]) -> None:
        for part in _parts(block):
            if "toolUse" in part:
                self._begin(None, part)
            self._add(BlockPart(delta=part))
        self._finish(None)

    def _begin(self, number: int | None, start: Mapping[str, Any]) -> _Block:
        # A server that gives two blocks the same number means the later one.
        self._finish(number)
        self.built.holdings.keep(start)
        kind, begun = next(iter(start.items()))
        fields = dict(begun) if isinstance(begun, dict) else {}
        # A call with a type is one that the server runs itself.
        is_call = kind == "toolUse" and not fields.get("type")
        shown: BlockKind = "item" if kind == "toolUse" and not is_call else _KINDS.get(kind, "item")
        block = self._open[number] = _Block(kind, self.built.open(shown), fields)
        if is_call:
            id_ = text_or_empty(block.fields.get("toolUseId")) or f"tooluse_{block.open.index}"
            self.built.announce(block.open, id_, text_or_empty(block.fields.get("name")))
        return block

    def _add(self, part: BlockPart) -> None:
        number, delta = part.content_block_index, part.delta or {}
        self.built.holdings.keep(delta)
        kind = next(iter(delta), "text")
        block = self._open.get(number)
        if block is None:
            block = self._begin(number, {"text" if kind == "citation" else kind: None})
        match delta:
            case {"text": str(text)}:
                self.built.add(block.open, text)
            case {"toolUse": {"input": str(text)}}:
                self.built.add(block.open, text)
            case {"toolUse": {"input": given}} if given:
                self.built.add(block.open, json.dumps(given))
            case {"reasoningContent": {"text": str(text)}}:
                self.built.add(block.open, text)
            case {"reasoningContent": dict(sealed)}:
                block.append(sealed)
            case {"citation": citation}:
                block.citations.append(citation)
            case _:
                more = delta.get(kind)
                block.append(more if isinstance(more, dict) else {"content": more})

    def _finish(self, number: int | None) -> None:
        block = self._open.pop(number, None)
        if block is not None:
            block.join()
            self.built.end(block.open, _whole(block))


def _whole(block: _Block) -> AssistantBlock | None:
    """Make what a conversation holds of a block that has ended; nothing of one that is empty."""
    text = block.open.text
    match block.kind:
        case "text":
            return Text(text, _cited(block)) if text or block.citations else None
        case "reasoningContent" if sealed := text_or_empty(block.fields.get("redactedContent")):
            return Thinking("", sealed, redacted=True)
        case "reasoningContent":
            signature = text_or_empty(block.fields.get("signature")) or None
            return Thinking(text, signature) if text or signature else None
        case "toolUse" if block.open.start is not None:
            return finished_call(block.open.start.id, block.open.start.name, text)
        case "toolUse":
            given = dict(finished_call("", "", text).arguments)
            return ProviderItem(NAME, {"toolUse": {**block.fields, "input": given}})
        case "image" if (image := _image(block.fields)) is not None:
            return image
        case _:
            return ProviderItem(NAME, {block.kind: block.fields})


def _cited(block: _Block) -> dict[str, Any] | None:
    return {"citations": block.citations} if block.citations else None


def _image(fields: Mapping[str, Any]) -> AssistantBlock | None:
    match fields:
        case {"source": {"bytes": str(data)}}:
            return image_from_base64(data, f"image/{fields.get('format', 'png')}")
    return None


def _parts(block: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Write a whole block as the pieces that a stream would bring."""
    match block:
        case {"toolUse": dict(call)}:
            arguments = json.dumps(call.get("input") or {})
            return ({"toolUse": {**call, "input": arguments}},)
        case {"reasoningContent": {"reasoningText": dict(given)}}:
            return [{"reasoningContent": {key: value}} for key, value in given.items()]
        case {"citationsContent": {"content": list(texts), **rest}}:
            said = "".join(
                text_or_empty(text.get("text")) for text in texts if isinstance(text, dict)
            )
            cited = rest.get("citations")
            notes = cited if isinstance(cited, list) else []
            return [{"text": said}, *({"citation": note} for note in notes)]
        case _:
            return (dict(block),)


def _usage(counts: Mapping[str, Any]) -> Usage:
    read = count_in(counts, "cacheReadInputTokens")
    written = count_in(counts, "cacheWriteInputTokens")
    return Usage(
        # The API's own count excludes what was read from a cache or written to it.
        input_tokens=count_in(counts, "inputTokens") + read + written,
        output_tokens=count_in(counts, "outputTokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )
