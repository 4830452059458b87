"""The decoder of chat completions, as OpenAI sends them and as others do.

After OpenAI's API reference ("The chat completion chunk object"), and what the compatible servers add to it:
reasoning under several names, typed content parts, pictures, usage in a place of their own, errors inside the stream,
tools that the server runs. Of several choices the first counts.

No I/O.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec
from attrs import Factory, define, field

from tether.deltas import Delta, TextDelta
from tether.errors import ModelError
from tether.media import Image
from tether.messages import FailureKind, ProviderItem, StopReason, Text, Thinking, Usage
from tether.models._wire.failures import cut_short, error_from_stream
from tether.models._wire.leniency import count_in, mended, text_or_empty, tolerant
from tether.models._wire.media import image_from_data_url
from tether.models._wire.protocol import Decoder
from tether.models._wire.reply_builder import OpenBlock, ReplyBuilder, read_reply
from tether.models._wire.sse import ServerSentEvent
from tether.models.openai_chat.calls import CallAssembly
from tether.models.openai_chat.chunks import (
    ArgumentsChunk,
    CallFragment,
    Chunk,
    Fields,
    Function,
    TextChunk,
)
from tether.models.openai_chat.think_tags import ThinkTags

__all__ = ("NAME", "decode")

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
    # A reply without calls did not stop for them; one with calls is known by them.
    "tool_calls": "stop",
    "function_call": "stop",
    "content_filter": "refusal",
    "safety": "refusal",
    "sensitive": "refusal",
}
_FAILED: Final = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
"""Reasons to stop that mean the reply is not whole."""

_Kind: TypeAlias = Literal["text", "thinking", "refusal"]
_AnyChunk: TypeAlias = TextChunk | ArgumentsChunk | Chunk

_READ: Final[Callable[[ServerSentEvent], Chunk | None]] = tolerant(Chunk)
_READ_TEXT: Final = msgspec.json.Decoder(TextChunk).decode
_READ_ARGUMENTS: Final = msgspec.json.Decoder(ArgumentsChunk).decode


def decode(model: str, *, think_tags: bool = False) -> Decoder:
    """Read a reply.

    Args:
        model: the model asked for, until the reply reports its own.
        think_tags: whether a text may begin with thinking between tags; see `ThinkTags`.

    Returns:
        A decoder; see `Decoder`.
    """
    reply = _Reply(ReplyBuilder(NAME, model), tags=ThinkTags() if think_tags else None)
    return read_reply(reply, _reader(reply))


def _reader(reply: "_Reply") -> Callable[[ServerSentEvent], _AnyChunk | None]:
    """Read chunks; while text or a call arrives, first try whether one brings nothing but more of it."""

    def reading(event: ServerSentEvent) -> _AnyChunk | None:
        try:
            if reply.text is not None:
                return _READ_TEXT(event[1])
            if reply.in_call:
                return _READ_ARGUMENTS(event[1])
        except ValueError:
            pass
        return _READ(event)

    return reading


@define(eq=False, repr=False)
class _Reply:
    """What the chunks mean; see `WireReply`."""

    built: ReplyBuilder
    tags: ThinkTags | None = None
    """Divides the text, as long as it may hold thinking."""
    is_whole: bool = field(default=False, init=False)
    """Never by a chunk: usage may follow the reason to stop."""
    _stop: str | None = None
    _knows_model: bool = False
    _is_reported: bool = False
    """Whether the id and the model are known."""
    _is_refused: bool = False
    text: OpenBlock | None = None
    """The text that is arriving, if nothing else is."""
    in_call: bool = False
    """Whether a call is arriving and nothing else, the id and the model being known."""
    _kind: _Kind | None = None
    """What is arriving: text, thinking or a refusal."""
    _open: OpenBlock | None = None
    """The block that it goes into."""
    _annotations: list[Any] = field(factory=list[Any])
    _reasoning_details: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    _calls: CallAssembly = field(
        default=Factory(lambda self: CallAssembly(self.built), takes_self=True)
    )
    _items: dict[int, tuple[OpenBlock, ProviderItem]] = field(
        factory=dict[int, "tuple[OpenBlock, ProviderItem]"]
    )
    """What the server ran, by its number."""

    def take(self, chunk: _AnyChunk) -> Sequence[Delta]:
        """Take in a chunk."""
        if type(chunk) is TextChunk:  # to match takes twice as long
            assert self.text is not None
            text = chunk.choices[0].delta.content
            self.text.fragments.append(text)
            return (TextDelta(text, self.text.index),)
        if type(chunk) is ArgumentsChunk:
            return self._take_arguments(chunk)
        assert type(chunk) is Chunk
        if (failure := chunk.failure) is not None:
            raise error_from_stream(failure)
        if not self._is_reported or chunk.usage is not None or chunk.x_groq is not None:
            self._report(chunk)
        for name, found in (
            ("citations", chunk.citations),
            ("search_results", chunk.search_results),
        ):
            if found:
                self.built.holdings.keep(found)
                self.built.details[name] = found
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if choice.delta is not None:
                self._read(choice.delta)
            if choice.message is not None and not self.built.has_begun:
                self._read(choice.message)
                self._stop = self._stop or "stop"
            if choice.finish_reason:
                self._stop_for(choice.finish_reason)
        return self.built.new_deltas()

    def _take_arguments(self, chunk: ArgumentsChunk) -> Sequence[Delta]:
        [fragment] = chunk.choices[0].delta.tool_calls
        arguments = fragment.function.arguments
        deltas = self._calls.more(fragment.index, arguments)
        if deltas is not None:
            return deltas
        self._calls.add(fragment.index, "", "", arguments)
        return self.built.new_deltas()

    def close(self, *, marked: bool) -> None:
        """Close what is still open."""
        if not marked and self._stop is None:
            raise cut_short()
        for kind, piece in self.tags.rest() if self.tags is not None else ():
            self._add(kind, piece)
        self._close_text()
        if self._reasoning_details:
            self._add("thinking", "")
            self._close_text()
        for block, item in self._items.values():
            self.built.end(block, item)
        self._calls.close()
        if self._stop is None and not self.built.blocks:
            raise ModelError("the server ended the stream without a reply", kind="malformed")
        self.built.stop_reason = (
            "refusal" if self._is_refused else _STOP_REASONS.get(self._stop or "stop")
        )
        if self._stop not in {None, "stop", "length", "tool_calls"}:
            self.built.details["stop_reason"] = self._stop

    def _report(self, chunk: Chunk) -> None:
        built = self.built
        # The first chunk of some servers has empty ones.
        if not built.response_id and chunk.id not in {None, ""}:
            built.response_id = str(chunk.id)
        self._knows_model = self._knows_model or bool(chunk.model)
        built.model = chunk.model or built.model
        self._is_reported = built.response_id is not None and self._knows_model
        if (counts := chunk.counts) is not None:
            built.count(_usage(counts))
        built.report()

    def _stop_for(self, reason: str) -> None:
        self._stop = reason.lower()
        if self._stop in _FAILED:
            kind: FailureKind = "overloaded" if "resource" in self._stop else "server"
            raise ModelError(f"the server stopped in the middle: {reason}", kind=kind)

    def _read(self, fields: Fields) -> None:
        self._read_thinking(fields)
        if content := fields.content:
            if isinstance(content, str):
                self._add_text(content)
            else:
                self._add_parts(content)
        if fields.refusal:
            self._is_refused = True
            self._add("refusal", fields.refusal)
        if fields.annotations:
            self._keep(self._annotations, fields.annotations)
        for call in fields.tool_calls or ():
            self._add_call(call)
        if fields.function_call is not None and not fields.tool_calls:
            self._add_call(CallFragment(0, None, fields.function_call))
        for item in fields.executed_tools or ():
            self._add_item(item)
        for image in fields.images or ():
            self._close_text()
            self.built.holdings.keep(image)
            self.built.put(_image(image) or ProviderItem(NAME, dict(image)))

    def _keep(self, kept: list[Any], more: Sequence[Any]) -> None:
        for one in more:
            self.built.holdings.keep(one)
        kept += more

    def _read_thinking(self, fields: Fields) -> None:
        thinking = fields.reasoning_content or fields.reasoning
        if fields.reasoning_details:
            self._keep(self._reasoning_details, fields.reasoning_details)
            thinking = thinking or "".join(map(_detail_text, fields.reasoning_details))
        if thinking or (self._reasoning_details and self._open is None):
            self._add("thinking", thinking or "")

    def _add_parts(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Read typed parts of content, as Mistral sends them; other parts refer to the text or thinking."""
        for part in parts:
            match part:
                case {"type": "thinking", "thinking": thinking}:
                    self._add("thinking", _joined_texts(thinking))
                case {"text": str(text)}:
                    self._add_text(text)
                case _:
                    self._keep(self._annotations, [part])

    def _add_text(self, text: str) -> None:
        tags = self.tags
        if tags is None:
            self._add("text", text)
            return
        for kind, piece in tags.divide(text):
            self._add(kind, piece)
        if tags.is_over:
            self.tags = None

    def _add(self, kind: _Kind, text: str) -> None:
        block = self._open
        self.in_call = False
        if block is None or self._kind != kind:
            self._close_text()
            block = self._open = self.built.open("thinking" if kind == "thinking" else "text")
            self._kind = kind
        self.built.add(block, text)
        # Half a character waits for the other, which a `TextChunk` cannot hold.
        self.text = block if kind == "text" and not block.half else None

    def _close_text(self) -> None:
        block, kind = self._open, self._kind
        if block is None:
            return
        self._open = self.text = self._kind = None
        if kind == "thinking":
            details = _merged(self._reasoning_details)
            self._reasoning_details = []
            self.built.end(
                block,
                Thinking(block.text, details={"reasoning_details": details} if details else None),
            )
            return
        noted: dict[str, Any] = {"refusal": True} if kind == "refusal" else {}
        if self._annotations:
            noted["annotations"], self._annotations = self._annotations, []
        self.built.end(block, Text(block.text, noted or None))

    def _add_call(self, fragment: CallFragment) -> None:
        function = fragment.function or Function()
        arguments = function.arguments or ""
        if not isinstance(arguments, str):
            self.built.holdings.keep(arguments)
            arguments = json.dumps(arguments)
        self._close_text()
        self.in_call = self._is_reported
        id_ = "" if fragment.id is None else str(fragment.id)
        self._calls.add(fragment.index, id_, function.name or "", arguments)

    def _add_item(self, item: dict[str, Any]) -> None:
        """Keep what the server ran; Groq reports it twice, the second time with its output."""
        self.built.holdings.keep(item)
        number = item.get("index")
        if not isinstance(number, int):
            number = len(self._items)
        block = self._items[number][0] if number in self._items else self.built.open("item")
        self._items[number] = (block, ProviderItem(NAME, item))


def _joined_texts(parts: Any) -> str:
    if isinstance(parts, str):
        return parts
    return "".join(
        text_or_empty(part.get("text"))
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict)
    )


def _detail_text(detail: Mapping[str, Any]) -> str:
    return text_or_empty(detail.get("text") or detail.get("summary"))


def _merged(details: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put the fragments of one reasoning detail together: sealed ones come whole, text and summary in pieces."""

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
            whole[key] = mended("".join(text_or_empty(part.get(key)) for part in fragments))
    return whole


def _image(image: Mapping[str, Any]) -> Image | None:
    """Read a picture the model made, which OpenRouter sends as a data URL."""
    match image:
        case {"image_url": {"url": str(url)}}:
            return image_from_data_url(url)
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
