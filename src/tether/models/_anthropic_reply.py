"""What a reply over Anthropic's Messages API is made of.

After Anthropic's API reference ("Streaming messages"). A message is a row of content blocks, each started, streamed and
stopped; what is counted and why it ended comes behind them. Blocks of kinds that are not known here are kept as they
are, for they may be asked back.

No I/O.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

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
from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Failure,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    Usage,
    VendorItem,
)
from tether.models._failures import error_from_stream
from tether.models._wire import count_in, cut_short, finished_call, word

__all__ = ("NAME", "Event", "MoreText", "Reply")

NAME: Final = "anthropic-messages"
"""The wire API."""

_STOP_REASONS: Final[Mapping[str, StopReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "pause",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}

_PLAIN_ENDS: Final = frozenset(
    {"end_turn", "stop_sequence", "pause_turn", "max_tokens", "tool_use", "refusal"}
)
"""Reasons of which our own stop reason says all."""

_FACTS_OF_THE_END: Final = ("stop_sequence", "stop_details", "container", "context_management")


class Event(msgspec.Struct, gc=False):
    """One event of the stream; only the fields that are used, so that msgspec passes over the rest."""

    type: Any = None
    index: Any = None
    delta: Any = None
    content_block: Any = None
    message: Any = None
    usage: Any = None
    error: Any = None
    request_id: Any = None
    context_management: Any = None


class _TextPiece(msgspec.Struct, gc=False, tag_field="type", tag="text_delta"):
    text: Annotated[str, msgspec.Meta(min_length=1)]


class MoreText(msgspec.Struct, gc=False, tag_field="type", tag="content_block_delta"):
    """More text, which is what most events bring: read as such, they take half the time."""

    index: int
    delta: _TextPiece


@define(eq=False)
class _Block:
    """A content block, as far as it has arrived."""

    type: str
    place: int
    facts: dict[str, Any]
    """As it was started."""
    fragments: list[str] = field(factory=list[str])
    """Of its text, its thinking, or its input as JSON."""
    signature: list[str] = field(factory=list[str])
    citations: list[Any] = field(factory=list[Any])
    finished: AssistantBlock | None = None
    """What became of it, once it is whole."""

    @property
    def text(self) -> str:
        return "".join(self.fragments)


@define(eq=False)
class Reply:
    """What has been read of a reply."""

    model: str
    _stop: StopReason | None = None
    _id: str | None = None
    _counts: dict[str, Any] = field(factory=dict[str, Any])
    _details: dict[str, Any] = field(factory=dict[str, Any])
    _blocks: list[_Block] = field(factory=list["_Block"])
    _open: dict[Any, _Block] = field(factory=dict[Any, "_Block"])
    """By the number that the server gave them."""

    @property
    def in_text(self) -> bool:
        """Whether text is arriving, so that more of it may come."""
        return bool(self._blocks) and self._blocks[-1].type == "text"

    def take_text(self, event: MoreText) -> Sequence[Delta]:
        """Take in more text; see `TypedReply`."""
        block = self._open.get(event.index)
        if block is None or block.type != "text":
            return ()
        text = event.delta.text
        block.fragments.append(text)
        return (TextDelta(text, block.place),)

    def take(self, event: Event) -> tuple[Sequence[Delta], bool]:
        """Take in an event; see `TypedReply`."""
        kind = event.type
        if kind == "content_block_delta":
            return self._continue(event), False
        out: list[Delta] = []
        if kind == "error" or event.error is not None:
            raise self._error(event)
        if kind == "content_block_start":
            self._begin(event, out)
        elif kind == "content_block_stop":
            self._finish(self._open.pop(event.index, None), out)
        elif kind == "message_start":
            self._note_start(event.message, out)
        elif kind == "message_delta":
            self._note_end(event, out)
        return out, kind == "message_stop"

    def close(self, *, whole: bool) -> Sequence[Delta]:
        """Close what is still open at the end of the reply; see `TypedReply`."""
        if not whole and self._stop is None:
            raise cut_short()
        out: list[Delta] = []
        for block in self._blocks:
            self._finish(block, out)
        return out

    def message(self) -> AssistantMessage:
        """The finished message."""
        blocks = [block.finished for block in self._blocks if block.finished is not None]
        stop = self._stop or "stop"
        if stop == "stop" and any(isinstance(block, ToolCall) for block in blocks):
            stop = "tool_calls"
        return AssistantMessage(
            blocks,
            model=self.model,
            api=NAME,
            stop_reason=stop,
            usage=self._usage(),
            response_id=self._id,
            details=self._details or None,
        )

    def so_far(self, failure: Failure) -> AssistantMessage:
        """What had arrived when the reply failed."""
        partial = PartialReply(model=self.model, api=NAME)
        partial.add(ReplyInfo(response_id=self._id, usage=self._usage()))
        for block in self._blocks:
            for delta in _again(block):
                partial.add(delta)
        return partial.incomplete("error", failure)

    def _error(self, event: Event) -> Exception:
        error = error_from_stream(event.error)
        if error.request_id is None and isinstance(event.request_id, str):
            error.request_id = event.request_id
        return error

    def _note_start(self, message: Any, out: list[Delta]) -> None:
        if not isinstance(message, dict):
            return
        self._id = word(message.get("id")) or self._id
        self.model = word(message.get("model")) or self.model
        self.count_in(message.get("usage"))
        out.append(ReplyInfo(model=self.model, api=NAME, response_id=self._id, usage=self._usage()))
        # Whole already, where somebody answers with a message as one event.
        for number, block in enumerate(message.get("content") or ()):
            self._begin(Event(index=("whole", number), content_block=block), out)
            self._finish(self._open.pop(("whole", number), None), out)

    def _note_end(self, event: Event, out: list[Delta]) -> None:
        told = event.delta if isinstance(event.delta, dict) else {}
        reason = word(told.get("stop_reason"))
        if reason:
            self._stop = _STOP_REASONS.get(reason, "stop")
            if reason not in _PLAIN_ENDS:
                self._details["stop_reason"] = reason
        facts = {**told, "context_management": event.context_management}
        self._details |= {key: facts[key] for key in _FACTS_OF_THE_END if facts.get(key)}
        self.count_in(event.usage)
        out.append(ReplyInfo(usage=self._usage()))

    def count_in(self, usage: Any) -> None:
        """Take in counts; each is of the whole reply so far, and takes the place of the one before."""
        if isinstance(usage, dict):
            self._counts |= {key: value for key, value in usage.items() if value is not None}

    def _usage(self) -> Usage:
        read = count_in(self._counts, "cache_read_input_tokens")
        written = count_in(self._counts, "cache_creation_input_tokens")
        return Usage(
            # The API's own count leaves out what a cache was read from or written to.
            input_tokens=count_in(self._counts, "input_tokens") + read + written,
            output_tokens=count_in(self._counts, "output_tokens"),
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=count_in(self._counts, "output_tokens_details", "thinking_tokens"),
        )

    # Blocks.

    def _begin(self, event: Event, out: list[Delta]) -> None:
        facts = event.content_block if isinstance(event.content_block, dict) else {}
        block = _Block(word(facts.get("type")), len(self._blocks), facts)
        # A server that numbers two blocks alike means the later one.
        self._finish(self._open.get(event.index), out)
        self._open[event.index] = block
        self._blocks.append(block)
        if block.type == "tool_use":
            out.append(ToolCallStart(self._call_id(block), word(facts.get("name")), block.place))
        elif block.type == "text":
            self._add(block, facts.get("text"), out)
            block.citations += facts.get("citations") or ()
        elif block.type == "thinking":
            self._add(block, facts.get("thinking"), out)

    def _call_id(self, block: _Block) -> str:
        return word(block.facts.get("id")) or f"toolu_{block.place}"

    def _add(self, block: _Block, text: object, out: list[Delta]) -> None:
        if isinstance(text, str) and text:
            block.fragments.append(text)
            out.append(_delta(block.type, text, block.place))

    def _continue(self, event: Event) -> Sequence[Delta]:
        delta: Any = event.delta
        block = self._open.get(event.index)
        if block is None or type(delta) is not dict:
            return ()
        match delta.get("type"):
            case "text_delta":
                text = delta.get("text")
            case "thinking_delta":
                text = delta.get("thinking")
            case "input_json_delta":
                text = delta.get("partial_json")
            case _:
                _take_rest(block, delta)
                return ()
        if type(text) is not str or not text:
            return ()
        block.fragments.append(text)
        if block.type == "text":
            return (TextDelta(text, block.place),)
        if block.type in {"tool_use", "thinking"}:
            return (_delta(block.type, text, block.place),)
        return ()

    def _finish(self, block: _Block | None, out: list[Delta]) -> None:
        if block is None or block.finished is not None:
            return
        block.finished = self._made(block)
        if block.finished is not None:
            out.append(BlockEnd(block.finished, block.place))

    def _made(self, block: _Block) -> AssistantBlock | None:
        """Make of a block that is whole what a conversation holds; nothing of a text without a word."""
        match block.type:
            case "text" if not block.text and not block.citations:
                return None
            case "text":
                return Text(block.text, {"citations": block.citations} if block.citations else None)
            case "thinking":
                sealed = "".join(block.signature) or word(block.facts.get("signature"))
                return Thinking(block.text, sealed or None)
            case "redacted_thinking":
                return Thinking("", word(block.facts.get("data")), redacted=True)
            case "tool_use":
                return _call(block, self._call_id(block))
            case _:
                return VendorItem(NAME, _with_input(block))


def _call(block: _Block, call_id: str) -> ToolCall:
    known = {"type", "id", "name", "input"}
    details = {key: value for key, value in block.facts.items() if key not in known and value}
    arguments = block.text or json.dumps(block.facts.get("input") or {})
    return finished_call(call_id, word(block.facts.get("name")), arguments, details or None)


def _with_input(block: _Block) -> dict[str, Any]:
    if not block.fragments:
        return block.facts
    if "input" not in block.facts:
        key = "text" if "text" in block.facts else "content"
        return {**block.facts, key: block.text}
    call = finished_call("", "", block.text)
    return {**block.facts, "input": dict(call.arguments)}


def _take_rest(block: _Block, delta: Mapping[str, Any]) -> None:
    """Take in what is streamed of a block beside its text."""
    match delta:
        case {"type": "signature_delta", "signature": str(signature)}:
            block.signature.append(signature)
        case {"type": "citations_delta", "citation": citation}:
            block.citations.append(citation)
        case _:
            for key, value in delta.items():
                if key != "type" and value is not None:
                    before = block.facts.get(key)
                    both = isinstance(before, str) and isinstance(value, str)
                    block.facts[key] = f"{before}{value}" if both else value


def _again(block: _Block) -> Iterator[Delta]:
    """The deltas that tell of a block as it is now."""
    if block.finished is not None:
        yield BlockEnd(block.finished, block.place)
        return
    if block.type == "tool_use":
        call_id = word(block.facts.get("id")) or f"toolu_{block.place}"
        yield ToolCallStart(call_id, word(block.facts.get("name")), block.place)
    if block.type in {"text", "thinking", "tool_use"} and block.fragments:
        yield _delta(block.type, block.text, block.place)


def _delta(kind: str, text: str, place: int) -> Delta:
    match kind:
        case "tool_use":
            return ToolCallDelta(text, place)
        case "thinking":
            return ThinkingDelta(text, place)
        case _:
            return TextDelta(text, place)
