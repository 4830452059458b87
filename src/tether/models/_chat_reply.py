"""What a reply over chat completions is made of, as OpenAI has it and as others do.

After OpenAI's API reference ("The chat completion chunk object"), and what the compatible servers add to it:
reasoning under several names, typed content parts, pictures, usage in a place of their own, errors inside the stream,
what they ran by themselves. Of several choices the first counts.

No I/O.
"""

import base64
import binascii
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from attrs import Factory, define, field

from tether.deltas import BlockEnd, Delta, PartialReply, ReplyInfo, TextDelta, ThinkingDelta
from tether.errors import ModelError
from tether.messages import (
    AssistantBlock,
    AssistantMessage,
    Failure,
    FailureKind,
    Image,
    JsonObject,
    StopReason,
    Text,
    Thinking,
    Usage,
    VendorItem,
)
from tether.models._chat_calls import CallAssembly
from tether.models._failures import error_from_stream
from tether.models._wire import count_in

__all__ = ("NAME", "Chunk", "MoreText", "Reply")

NAME: Final = "openai-chat"
"""The wire API."""

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
    "safety": "refusal",
    "sensitive": "refusal",
}
_FAILED: Final = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
"""Reasons to stop that are none: the reply is not whole."""

# Only the fields that are used, so that msgspec passes over the rest.


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Fields(msgspec.Struct, gc=False):
    content: str | list[dict[str, Any]] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    annotations: list[Any] | None = None
    executed_tools: list[dict[str, Any]] | None = None
    images: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Fields | None = None
    index: int = 0
    finish_reason: str | None = None


class _Groq(msgspec.Struct):
    usage: dict[str, Any] | None = None


class Chunk(msgspec.Struct, gc=False):
    """One event of the stream."""

    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    x_groq: _Groq | None = None
    error: Any = None
    citations: list[Any] | None = None
    search_results: list[Any] | None = None


class _OnlyText(msgspec.Struct, gc=False):
    content: Annotated[str, msgspec.Meta(min_length=1)]
    reasoning: None = None
    reasoning_content: None = None
    reasoning_details: None = None
    refusal: None = None
    tool_calls: None = None
    annotations: None = None
    executed_tools: None = None
    images: None = None


class _OnlyChoice(msgspec.Struct, gc=False):
    delta: _OnlyText
    index: Literal[0] = 0
    finish_reason: None = None


class MoreText(msgspec.Struct, gc=False):
    """More text and nothing else, which is what most chunks bring: read as such, they take half the time."""

    choices: Annotated[list[_OnlyChoice], msgspec.Meta(min_length=1, max_length=1)]
    usage: None = None
    x_groq: None = None
    error: None = None
    citations: None = None
    search_results: None = None


@define
class Reply:
    """What has been read of a reply."""

    model: str
    stop: str | None = None
    _id: str | None = None
    _usage: Usage = field(factory=Usage)
    _details: dict[str, Any] = field(factory=dict[str, Any])
    _reported: bool = False
    _refused: bool = False
    _blocks: list[AssistantBlock | None] = field(factory=list["AssistantBlock | None"])
    # The text or thinking that is arriving: its kind, its place, its fragments.
    _kind: str = ""
    _place: int = -1
    _fragments: list[str] = field(factory=list[str])
    _annotations: list[Any] = field(factory=list[Any])
    _reasoning_details: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    _calls: CallAssembly = field(
        default=Factory(lambda self: CallAssembly(self._new_place), takes_self=True)
    )
    # What the server ran by itself, by its number, with its place among the blocks.
    _items: dict[int, tuple[int, VendorItem]] = field(factory=dict[int, "tuple[int, VendorItem]"])

    @property
    def in_text(self) -> bool:
        """Whether text is arriving, so that more of it may come."""
        return self._kind == "text"

    def take_text(self, chunk: MoreText) -> Sequence[Delta]:
        """Take in more text, where text is arriving."""
        text = chunk.choices[0].delta.content
        self._fragments.append(text)
        return (TextDelta(text, self._place),)

    def take(self, chunk: Chunk) -> Sequence[Delta]:
        """Take in a chunk, and say what it brings."""
        if chunk.error is not None:
            raise error_from_stream(chunk.error)
        out: list[Delta] = []
        if not self._reported or chunk.usage is not None or chunk.x_groq is not None:
            self._note(chunk, out)
        if chunk.citations:
            self._details["citations"] = chunk.citations
        if chunk.search_results:
            self._details["search_results"] = chunk.search_results
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue
            if (fields := choice.delta) is not None:
                self._read(fields, out)
            if choice.finish_reason:
                self._stop_for(choice.finish_reason)
        return out

    def close(self) -> Sequence[Delta]:
        """Close what is open."""
        out: list[Delta] = []
        self._close_text(out)
        if self._reasoning_details:
            self._add("thinking", "", out)
            self._close_text(out)
        for place, item in self._items.values():
            self._blocks[place] = item
            out.append(BlockEnd(item, place))
        for delta in self._calls.close():
            if isinstance(delta, BlockEnd):
                self._blocks[delta.index] = delta.block
            out.append(delta)
        return out

    def message(self) -> AssistantMessage:
        """The finished message."""
        reason = _STOP_REASONS.get(self.stop or "stop", "stop")
        if reason in {"stop", "tool_calls"}:
            reason = "tool_calls" if len(self._calls) else "stop"
        if self.stop is not None and self.stop not in {"stop", "length", "tool_calls"}:
            self._details["stop_reason"] = self.stop
        return AssistantMessage(
            [block for block in self._blocks if block is not None],
            model=self.model,
            api=NAME,
            stop_reason="refusal" if self._refused else reason,
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
        if self._kind:
            delta = ThinkingDelta if self._kind == "thinking" else TextDelta
            partial.add(delta("".join(self._fragments), self._place))
        for unfinished in self._calls.unfinished():
            partial.add(unfinished)
        return partial.incomplete("error", failure)

    def _note(self, chunk: Chunk, out: list[Delta]) -> None:
        self._reported = True
        self._id = self._id if self._id is not None else chunk.id
        self.model = chunk.model or self.model
        counts = chunk.usage or (chunk.x_groq.usage if chunk.x_groq is not None else None)
        if counts is not None:
            self._usage = _usage(counts)
        out.append(ReplyInfo(model=self.model, api=NAME, response_id=self._id, usage=self._usage))

    def _stop_for(self, reason: str) -> None:
        self.stop = reason.lower()
        if self.stop in _FAILED:
            kind: FailureKind = "overloaded" if "resource" in self.stop else "server"
            raise ModelError(f"the server stopped in the middle: {reason}", kind=kind)

    def _read(self, fields: _Fields, out: list[Delta]) -> None:
        self._read_thinking(fields, out)
        content = fields.content
        if content:
            if isinstance(content, str):
                self._add("text", content, out)
            else:
                self._add_parts(content, out)
        if fields.refusal:
            self._refused = True
            self._add("refusal", fields.refusal, out)
        if fields.annotations:
            self._annotations += fields.annotations
        for call in fields.tool_calls or ():
            self._add_call(call, out)
        for item in fields.executed_tools or ():
            self._add_item(item)
        for image in fields.images or ():
            self._add_image(image, out)

    def _read_thinking(self, fields: _Fields, out: list[Delta]) -> None:
        thinking = fields.reasoning_content or fields.reasoning
        if fields.reasoning_details:
            self._reasoning_details += fields.reasoning_details
            thinking = thinking or "".join(map(_detail_text, fields.reasoning_details))
        if thinking or (self._reasoning_details and not self._kind):
            self._add("thinking", thinking or "", out)

    def _add_parts(self, parts: Sequence[Mapping[str, Any]], out: list[Delta]) -> None:
        """Read typed parts of content, as Mistral has them; what is neither text nor thinking refers to it."""
        for part in parts:
            match part:
                case {"type": "thinking", "thinking": thinking}:
                    self._add("thinking", _joined_texts(thinking), out)
                case {"text": str(text)}:
                    self._add("text", text, out)
                case _:
                    self._annotations.append(part)

    def _add(self, kind: str, text: str, out: list[Delta]) -> None:
        if kind != self._kind:
            self._close_text(out)
            self._kind = kind
            self._place = self._new_place()
        self._fragments.append(text)
        if text:
            delta = ThinkingDelta if kind == "thinking" else TextDelta
            out.append(delta(text, self._place))

    def _close_text(self, out: list[Delta]) -> None:
        if not self._kind:
            return
        text = "".join(self._fragments)
        block: AssistantBlock
        if self._kind == "thinking":
            details = _merged(self._reasoning_details)
            block = Thinking(text, details={"reasoning_details": details} if details else None)
            self._reasoning_details = []
        else:
            block = Text(text, self._text_details())
            self._annotations = []
        self._blocks[self._place] = block
        out.append(BlockEnd(block, self._place))
        self._kind = ""
        self._fragments = []

    def _text_details(self) -> JsonObject | None:
        details: dict[str, Any] = {}
        if self._kind == "refusal":
            details["refusal"] = True
        if self._annotations:
            details["annotations"] = self._annotations
        return details or None

    def _add_call(self, fragment: _Call, out: list[Delta]) -> None:
        function = fragment.function or _Function()
        arguments = function.arguments or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        self._close_text(out)
        out.extend(
            self._calls.add(fragment.index, fragment.id or "", function.name or "", arguments)
        )

    def _add_item(self, item: dict[str, Any]) -> None:
        """Keep what the server ran by itself; Groq tells of it twice, the second time with its output."""
        number = item.get("index")
        if not isinstance(number, int):
            number = len(self._items)
        place = self._items[number][0] if number in self._items else self._new_place()
        self._items[number] = (place, VendorItem(NAME, item))

    def _add_image(self, image: Mapping[str, Any], out: list[Delta]) -> None:
        """Take in a picture the model made, which OpenRouter sends as a data URL."""
        self._close_text(out)
        block, place = _image(image) or VendorItem(NAME, dict(image)), self._new_place()
        self._blocks[place] = block
        out.append(BlockEnd(block, place))

    def _new_place(self) -> int:
        self._blocks.append(None)
        return len(self._blocks) - 1


def _joined_texts(parts: Any) -> str:
    if isinstance(parts, str):
        return parts
    texts = (part.get("text") for part in parts or () if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _detail_text(detail: Mapping[str, Any]) -> str:
    text = detail.get("text") or detail.get("summary")
    return text if isinstance(text, str) else ""


def _merged(details: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put the fragments of one reasoning detail together: what is sealed comes whole, text and summary in pieces."""

    def whose(numbered: tuple[int, Mapping[str, Any]]) -> object:
        number, detail = numbered
        kind = detail.get("type")
        return (kind, detail.get("index")) if kind != "reasoning.encrypted" else number

    return [
        _joined([detail for _, detail in group])
        for _, group in itertools.groupby(enumerate(details), whose)
    ]


def _joined(fragments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for fragment in fragments:
        whole |= {
            key: value for key, value in fragment.items() if value is not None or key not in whole
        }
    for key in ("text", "summary"):
        if isinstance(whole.get(key), str):
            whole[key] = "".join(fragment.get(key) or "" for fragment in fragments)
    return whole


def _image(image: Mapping[str, Any]) -> Image | None:
    match image:
        case {"image_url": {"url": str(url)}} if url.startswith("data:") and ";base64," in url:
            head, _, data = url.removeprefix("data:").partition(";base64,")
            try:
                return Image(base64.b64decode(data, validate=True), head)
            except binascii.Error:
                return None
    return None


def _usage(counts: Mapping[str, Any]) -> Usage:
    """Count as everywhere: some servers leave reasoning out of the tokens of the completion."""
    prompt, completion = count_in(counts, "prompt_tokens"), count_in(counts, "completion_tokens")
    reasoning = count_in(counts, "completion_tokens_details", "reasoning_tokens")
    if reasoning and count_in(counts, "total_tokens") == prompt + completion + reasoning:
        completion += reasoning
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=(
            count_in(counts, "prompt_tokens_details", "cached_tokens")
            or count_in(counts, "prompt_cache_hit_tokens")
            or count_in(counts, "cached_tokens")
        ),
        cache_write_tokens=count_in(counts, "prompt_tokens_details", "cache_write_tokens"),
        reasoning_tokens=reasoning,
    )
