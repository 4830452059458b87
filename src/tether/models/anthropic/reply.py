"""The decoder of Anthropic's Messages API.

After Anthropic's API reference ("Streaming messages"). A message is a row of content blocks, each started, streamed and
stopped; counts and the reason for its end follow them. Blocks of unknown kinds are kept as they are: the API may
want them back.

No I/O.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from attrs import define, field

from tether.deltas import Delta
from tether.messages import (
    AssistantBlock,
    ProviderItem,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tether.models._wire.failures import cut_short, error_from_stream
from tether.models._wire.leniency import count_in, finished_call, text_or_empty, tolerant
from tether.models._wire.protocol import Decoder
from tether.models._wire.reply_builder import BlockKind, OpenBlock, ReplyBuilder, read_reply
from tether.models.anthropic.events import Event, Fragment, StreamEvent

__all__ = ("NAME", "SERVER", "decode")

NAME: Final = "anthropic-messages"
"""The wire API."""

SERVER: Final = "server"
"""In the details of thinking without a signature, the server that wants it back."""

_STOP_REASONS: Final[Mapping[str, StopReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "pause",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}

_PLAIN_REASONS: Final = frozenset(
    {"end_turn", "stop_sequence", "pause_turn", "max_tokens", "tool_use", "refusal"}
)
"""Reasons that our own stop reason expresses fully."""

_END_FIELDS: Final = ("stop_sequence", "stop_details", "container", "context_management")
"""Fields of the last events that go into the details of the message."""

_KINDS: Final[Mapping[str, BlockKind]] = {
    "text": "text",
    "thinking": "thinking",
    "tool_use": "call",
}


_READ: Final = tolerant(Fragment, Event)


def decode(model: str, *, server: str | None = None) -> Decoder:
    """Read a reply.

    Args:
        model: the model asked for, until the reply reports its own.
        server: the host that answers, if it is not Anthropic's. Its thinking may have no signature; it is marked then
            with the one server that wants it back.

    Returns:
        A decoder; see `Decoder`.
    """
    return read_reply(_Reply(ReplyBuilder(NAME, model), server), _READ)


@define(eq=False, repr=False)
class _Block:
    """A content block, as far as it has arrived."""

    type: str
    fields: dict[str, Any]
    """As it was started."""
    open: OpenBlock
    signature: list[str] = field(factory=list[str])
    citations: list[Any] = field(factory=list[Any])

    _pieces: dict[str, list[str]] = field(factory=dict[str, list[str]])
    """Of the fields that came in pieces."""

    def put(self, key: str, value: Any) -> None:
        """Set a field that is streamed; a text follows what came of it before."""
        before = self.fields.get(key)
        if key in self._pieces and isinstance(value, str):
            self._pieces[key].append(value)
        elif isinstance(before, str) and isinstance(value, str):
            self._pieces[key] = [before, value]
        else:
            self._pieces.pop(key, None)
            self.fields[key] = value

    def join(self) -> None:
        """Put the pieces of fields together."""
        self.fields |= {key: "".join(pieces) for key, pieces in self._pieces.items()}

    @property
    def call_id(self) -> str:
        return text_or_empty(self.fields.get("id")) or f"toolu_{self.open.index}"

    @property
    def name(self) -> str:
        return text_or_empty(self.fields.get("name"))


@define(eq=False, repr=False)
class _Reply:
    """What the events mean; see `WireReply`."""

    built: ReplyBuilder
    server: str | None = None
    is_whole: bool = False
    _counts: dict[str, Any] = field(factory=dict[str, Any])
    _open: dict[int | None, _Block] = field(factory=dict[int | None, "_Block"])
    """By the number that the server gave them."""

    def take(self, event: StreamEvent) -> Sequence[Delta]:
        """Take in an event."""
        if type(event) is Fragment:  # to match takes twice as long
            block = self._open.get(event.index)
            text = event.delta.text
            return block.open.add(text) if text and block is not None else ()
        self._take_other(event)
        return self.built.new_deltas()

    def close(self, *, marked: bool) -> None:
        """Close what is still open."""
        if not self.is_whole and self.built.stop_reason is None:
            raise cut_short()
        for number in list(self._open):
            self._finish(number)

    def _take_other(self, event: Event) -> None:
        if event.type == "error" or event.error is not None:
            raise self._error(event)
        match event.type:
            case "content_block_start":
                self._begin(event.index, event.content_block or {})
            case "content_block_delta":
                self._take_field(event.index, event.delta or {})
            case "content_block_stop":
                self._finish(event.index)
            case "message_start":
                self._take_start(event.message or {})
            case "message_delta":
                self._take_end(event)
            case "message_stop":
                self.is_whole = True
            case "message" if event.content is not None:
                message = msgspec.structs.asdict(event)
                self._take_start(message)
                self._take_end(msgspec.structs.replace(event, delta=message))
                self.is_whole = True
            case _:
                pass

    def _error(self, event: Event) -> Exception:
        error = error_from_stream(event.error)
        if error.request_id is None and isinstance(event.request_id, str):
            error.request_id = event.request_id
        return error

    def _take_start(self, message: Mapping[str, Any]) -> None:
        built = self.built
        built.response_id = text_or_empty(message.get("id")) or built.response_id
        built.model = text_or_empty(message.get("model")) or built.model
        self._count(message.get("usage"))
        # The blocks are there already if a server answers with the whole message as one event.
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            self._begin(None, block if isinstance(block, dict) else {})
            self._finish(None)

    def _take_end(self, event: Event) -> None:
        delta = event.delta or {}
        reason = text_or_empty(delta.get("stop_reason"))
        if reason:
            self.built.stop_reason = _STOP_REASONS.get(reason, "stop")
            if reason not in _PLAIN_REASONS:
                self.built.details["stop_reason"] = reason
        fields = {**delta, "context_management": event.context_management}
        ending = {key: fields[key] for key in _END_FIELDS if fields.get(key)}
        self.built.holdings.keep(ending)
        self.built.details |= ending
        self._count(event.usage)

    def _count(self, usage: object) -> None:
        """Take in counts; each is of the whole reply so far, and what an event leaves out or has less of stays."""
        self.built.holdings.keep(usage)
        for key, value in usage.items() if isinstance(usage, dict) else ():
            before = self._counts.get(key)
            if isinstance(before, int) and isinstance(value, int):
                value = max(before, value)
            if value is not None:
                self._counts[key] = value
        self.built.count(_usage(self._counts))
        self.built.report()

    # Blocks.

    def _begin(self, number: int | None, fields: dict[str, Any]) -> None:
        # A server that gives two blocks the same number means the later one.
        self._finish(number)
        self.built.holdings.keep(fields)
        type_ = text_or_empty(fields.get("type"))
        opened = self.built.open(_KINDS.get(type_, "item"))
        block = self._open[number] = _Block(type_, fields, opened)
        if type_ == "tool_use":
            self.built.announce(opened, block.call_id, block.name)
        elif type_ == "fallback":
            self._take_fallback(fields.get("to"))
        elif type_ in {"text", "thinking"}:
            self.built.add(opened, text_or_empty(fields.get(type_)))
        if type_ == "text" and isinstance(fields.get("citations"), list):
            block.citations += fields["citations"]

    def _take_fallback(self, to: object) -> None:
        """Note that another model goes on with the reply."""
        model = to.get("model") if isinstance(to, dict) else to
        self.built.model = text_or_empty(model) or self.built.model
        self.built.report()

    def _take_field(self, number: int | None, delta: Mapping[str, Any]) -> None:
        """Take in what is streamed of a block besides its text, and a text that had to be mended."""
        block = self._open.get(number)
        if block is None:
            return
        self.built.holdings.keep(delta)
        match delta:
            case {"type": "signature_delta", "signature": str(signature)}:
                block.signature.append(signature)
            case {"type": "citations_delta", "citation": citation}:
                block.citations.append(citation)
            case {"type": "text_delta", "text": str(text)}:
                self.built.add(block.open, text)
            case {"type": "thinking_delta", "thinking": str(text)}:
                self.built.add(block.open, text)
            case {"type": "input_json_delta", "partial_json": str(text)}:
                self.built.add(block.open, text)
            case {"type": "input_json_delta", "partial_json": given} if given:
                self.built.add(block.open, json.dumps(given))
            case {"type": "text_delta" | "thinking_delta" | "input_json_delta"}:
                pass  # without a text
            case _:
                for key, value in delta.items():
                    if key != "type" and value is not None:
                        block.put(key, value)

    def _finish(self, number: int | None) -> None:
        block = self._open.pop(number, None)
        if block is not None:
            block.join()
            self.built.end(block.open, _whole(block, self.server))


def _whole(block: _Block, server: str | None) -> AssistantBlock | None:
    """Make what a conversation holds of a block that has ended; nothing of one that is empty."""
    text = block.open.text
    match block.type:
        case "text" if not text and not block.citations:
            return None
        case "text":
            return Text(text, {"citations": block.citations} if block.citations else None)
        case "thinking":
            signature = "".join(block.signature) or text_or_empty(block.fields.get("signature"))
            details = {SERVER: server} if server and not signature else None
            return Thinking(text, signature or None, details=details) if text or signature else None
        case "redacted_thinking":
            return Thinking("", text_or_empty(block.fields.get("data")), redacted=True)
        case "tool_use":
            return _call(block)
        case "":  # the API would refuse a block without a type
            return Text(text) if text else None
        case _:
            return ProviderItem(NAME, _item(block))


def _call(block: _Block) -> ToolCall:
    known = {"type", "id", "name", "input"}
    details = {key: value for key, value in block.fields.items() if key not in known and value}
    arguments = block.open.text or json.dumps(block.fields.get("input") or {})
    return finished_call(block.call_id, block.name, arguments, details or None)


def _item(block: _Block) -> dict[str, Any]:
    """Put what was streamed of an unknown block where it belongs."""
    if not block.open.fragments:
        return block.fields
    if "input" not in block.fields:
        key = "text" if "text" in block.fields else "content"
        return {**block.fields, key: block.open.text}
    call = finished_call("", "", block.open.text)
    return {**block.fields, "input": dict(call.arguments)}


def _usage(counts: Mapping[str, Any]) -> Usage:
    read = count_in(counts, "cache_read_input_tokens")
    written = count_in(counts, "cache_creation_input_tokens")
    return Usage(
        # The API's own count excludes what was read from a cache or written to it.
        input_tokens=count_in(counts, "input_tokens") + read + written,
        output_tokens=count_in(counts, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=count_in(counts, "output_tokens_details", "thinking_tokens"),
    )
