"""OpenAI Chat Completions, and whatever speaks it: request encoder and stream decoder.

After OpenAI's API reference (`POST /chat/completions`, "The chat completion chunk object"), and what the
compatible servers add to it: reasoning under several names, typed content parts, usage in a place of their own,
errors inside the stream, tool calls whose fragments are numbered wrongly or not at all.

Thinking is not sent back, but for the `reasoning_details` of OpenRouter, which asks for them. Images in tool results
follow the results as a user message, since a tool message cannot hold them.

No I/O.
"""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from attrs import define, field

from tether.deltas import (
    BlockEnd,
    Delta,
    ReplyEnd,
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
    Image,
    JsonObject,
    StopReason,
    Text,
    Thinking,
    ToolResultMessage,
    Usage,
    UserBlock,
    UserMessage,
    VendorItem,
)
from tether.model import ModelMessage, ModelOptions, ModelRequest
from tether.models._failures import error_from_stream
from tether.models._wire import Decoder, WireApi, cut_short, finished_call, malformed
from tether.transcript import repaired

__all__ = ("OPENAI_CHAT", "decode", "encode")

NAME: Final = "openai-chat"

_STOP_REASONS: Final[dict[str, StopReason]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
}

# The request.


def encode(request: ModelRequest, model: str) -> dict[str, Any]:
    """Write a request.

    Args:
        request: what is asked.
        model: the model's name for the server.

    Returns:
        The body of the request.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": list(_messages(request)),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in request.tools
        ]
    return body | _options(request.options) | dict(request.options.extra)


def encode_message(message: ModelMessage) -> dict[str, Any]:
    """Write one message; images of a tool result are left to `encode`, which knows what follows it."""
    match message:
        case UserMessage(content):
            return {"role": "user", "content": _user_content(content)}
        case ToolResultMessage(call_id=call_id):
            return {"role": "tool", "tool_call_id": _valid_id(call_id), "content": message.text}
        case AssistantMessage():
            return _assistant(message)


def _messages(request: ModelRequest) -> Iterator[dict[str, Any]]:
    if request.system:
        yield {"role": "system", "content": request.system}
    images: list[UserBlock] = []
    for message in repaired(request.messages):
        if isinstance(message, ToolResultMessage):
            found = [block for block in message.content if isinstance(block, Image)]
            if found:
                images += [Text(f"The images that {message.name} returned:"), *found]
        elif images:
            yield {"role": "user", "content": _user_content(images)}
            images = []
        encoded = encode_message(message)  # type: ignore[arg-type]  # `repaired` adds no other kind
        if encoded.get("content") or encoded.get("tool_calls") or encoded["role"] != "assistant":
            yield encoded
    if images:
        yield {"role": "user", "content": _user_content(images)}


def _user_content(content: Sequence[UserBlock]) -> str | list[dict[str, Any]]:
    match content:
        case [Text(text)]:
            return text
    return [_part(block) for block in content]


def _part(block: UserBlock) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(data, media_type):
            url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
            return {"type": "image_url", "image_url": {"url": url}}


def _assistant(message: AssistantMessage) -> dict[str, Any]:
    encoded: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if calls := message.tool_calls:
        encoded["tool_calls"] = [
            {
                "id": _valid_id(call.id),
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in calls
        ]
    details = [
        detail
        for block in message.content
        if isinstance(block, Thinking) and message.api == NAME and block.details is not None
        for detail in block.details.get("reasoning_details", ())
    ]
    if details:
        encoded["reasoning_details"] = details
    return encoded


def _valid_id(call_id: str) -> str:
    """An id that every server takes: letters, digits, _ and -, at most 64 of them."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)[:64] or "call"


def _options(options: ModelOptions) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.temperature is not None:
        chosen["temperature"] = options.temperature
    if options.max_output_tokens is not None:
        chosen["max_completion_tokens"] = options.max_output_tokens
    if options.stop_sequences:
        chosen["stop"] = list(options.stop_sequences)
    if options.thinking is not None:
        chosen["reasoning_effort"] = "none" if options.thinking == "off" else options.thinking
    match options.tool_choice:
        case None:
            pass
        case ("tool", name):
            chosen["tool_choice"] = {"type": "function", "function": {"name": name}}
        case choice:
            chosen["tool_choice"] = choice
    return chosen


# The reply: only the fields that are used, so that msgspec passes over the rest.


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _TextPart(msgspec.Struct, gc=False):
    type: str = "text"
    text: str | None = None
    thinking: Any = None


class _Fields(msgspec.Struct, gc=False):
    content: str | list[_TextPart] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    annotations: list[Any] | None = None
    executed_tools: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Fields | None = None
    index: int = 0
    finish_reason: str | None = None


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class _Groq(msgspec.Struct):
    usage: _Counts | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: _Counts | None = None
    x_groq: _Groq | None = None
    error: Any = None
    citations: list[Any] | None = None


def decode(model: str) -> Decoder:
    """Read a reply.

    Args:
        model: the model asked for, until the reply says.

    Returns:
        A decoder; see `Decoder`.
    """
    reply = _Reply(model)
    read = msgspec.json.Decoder(_Chunk).decode
    deltas: Sequence[Delta] = ()
    while (event := (yield deltas)) is not None:
        data = event[1]
        if data == b"[DONE]":
            break
        try:
            chunk = read(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise malformed(
                f"the server sent a chunk that cannot be read ({error})", data
            ) from error
        # Most chunks hold one choice with one piece of text, and this is all that has to be done.
        deltas = reply.take(chunk)
    else:
        if reply.stop is None:
            raise cut_short()
    return [*reply.close(), ReplyEnd(reply.message())]


@define
class _OpenCall:
    """A call whose fragments are arriving."""

    place: int
    index: int | None = None
    id: str = ""
    name: str = ""
    fragments: list[str] = field(factory=list)
    started: bool = False


@define
class _Reply:
    """What has been read of a reply."""

    model: str
    id: str | None = None
    stop: str | None = None
    usage: Usage = field(factory=Usage)
    citations: list[Any] = field(factory=list)
    _reported: bool = False
    _refused: bool = False
    _blocks: list[AssistantBlock | None] = field(factory=list)
    # The text or thinking that is arriving: its kind, its place, its fragments.
    _kind: str = ""
    _place: int = -1
    _fragments: list[str] = field(factory=list)
    _annotations: list[Any] = field(factory=list)
    _reasoning_details: list[dict[str, Any]] = field(factory=list)
    _calls: list[_OpenCall] = field(factory=list)
    # What the server ran by itself: its number, and its place among the blocks.
    _items: dict[int, int] = field(factory=dict)

    def take(self, chunk: _Chunk) -> Sequence[Delta]:
        """Take in a chunk, and say what it brings."""
        if chunk.error is not None:
            raise error_from_stream(chunk.error)
        if self._kind == "text" and (text := _plain_text(chunk)) is not None:
            self._fragments.append(text)
            return (TextDelta(text, self._place),)
        out: list[Delta] = []
        if not self._reported or chunk.usage is not None or chunk.x_groq is not None:
            self._note(chunk, out)
        if chunk.citations:
            self.citations = chunk.citations
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue
            if (fields := choice.delta) is not None:
                self._read(fields, out)
            if choice.finish_reason:
                self.stop = choice.finish_reason
                if self.stop in {"error", "insufficient_system_resource"}:
                    raise ModelError(f"the server stopped with {self.stop!r}", kind="overloaded")
        return out

    def close(self) -> Sequence[Delta]:
        """Close what is open."""
        out: list[Delta] = []
        self._close_text(out)
        out += [
            BlockEnd(block, place)
            for place in self._items.values()
            if (block := self._blocks[place]) is not None
        ]
        taken: set[str] = set()
        for number, call in enumerate(self._calls, 1):
            call.id = _unique(call.id or f"call_{number}", taken)
            self._start(call, out, force=True)
            block = finished_call(call.id, call.name, "".join(call.fragments))
            self._blocks[call.place] = block
            out.append(BlockEnd(block, call.place))
        return out

    def message(self) -> AssistantMessage:
        """The finished message."""
        reason = _STOP_REASONS.get(self.stop or "stop", "stop")
        if self._calls and reason == "stop":
            reason = "tool_calls"
        details: dict[str, Any] = {}
        if self.citations:
            details["citations"] = self.citations
        if self.stop is not None and self.stop not in {"stop", "length", "tool_calls"}:
            details["stop_reason"] = self.stop
        return AssistantMessage(
            [block for block in self._blocks if block is not None],
            model=self.model,
            api=NAME,
            stop_reason="refusal" if self._refused else reason,
            usage=self.usage,
            response_id=self.id,
            details=details or None,
        )

    def _note(self, chunk: _Chunk, out: list[Delta]) -> None:
        self._reported = True
        self.id = self.id if self.id is not None else chunk.id
        self.model = chunk.model or self.model
        counts = chunk.usage or (chunk.x_groq.usage if chunk.x_groq is not None else None)
        if counts is not None:
            self.usage = _usage(counts)
        out.append(ReplyInfo(model=self.model, api=NAME, response_id=self.id, usage=self.usage))

    def _read(self, fields: _Fields, out: list[Delta]) -> None:
        thinking = fields.reasoning_content or fields.reasoning
        if fields.reasoning_details:
            self._reasoning_details += fields.reasoning_details
            thinking = thinking or "".join(
                str(detail.get("text") or detail.get("summary") or "")
                for detail in fields.reasoning_details
            )
        if thinking or (fields.reasoning_details and self._kind != "thinking"):
            self._add("thinking", thinking or "", out)
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

    def _add_item(self, item: dict[str, Any]) -> None:
        """Keep what the server ran by itself; Groq tells of it twice, the second time with its output."""
        number = item.get("index", len(self._items))
        if number not in self._items:
            self._items[number] = len(self._blocks)
            self._blocks.append(None)
        self._blocks[self._items[number]] = VendorItem(NAME, item)

    def _add_parts(self, parts: Sequence[_TextPart], out: list[Delta]) -> None:
        for part in parts:
            if part.type == "thinking":
                self._add("thinking", _thinking_text(part.thinking), out)
            elif part.text:
                self._add("text", part.text, out)

    def _add(self, kind: str, text: str, out: list[Delta]) -> None:
        if kind != self._kind:
            self._close_text(out)
            self._kind = kind
            self._place = len(self._blocks)
            self._blocks.append(None)
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
            details = (
                {"reasoning_details": self._reasoning_details} if self._reasoning_details else None
            )
            block = Thinking(text, details=details)
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
        call = self._call_for(fragment, function)
        call.name = call.name or function.name or ""
        call.id = call.id or fragment.id or ""
        if not call.started:
            self._close_text(out)
        arguments = function.arguments
        text = (
            arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""
        )
        if text:
            call.fragments.append(text)
        if call.started:
            if text:
                out.append(ToolCallDelta(text, call.place))
        else:
            self._start(call, out)

    def _start(self, call: _OpenCall, out: list[Delta], *, force: bool = False) -> None:
        """Announce a call once it has a name, with what has come of its arguments."""
        if call.started or not (call.name or force):
            return
        call.started = True
        out.append(ToolCallStart(call.id, call.name, call.place))
        if arguments := "".join(call.fragments):
            out.append(ToolCallDelta(arguments, call.place))

    def _call_for(self, fragment: _Call, function: _Function) -> _OpenCall:
        """Find the call that a fragment belongs to: by its id, else by its number, else it is the last."""
        calls = self._calls
        if fragment.id:
            for call in calls:
                if call.id == fragment.id:
                    return call
        same = [call for call in calls if fragment.index is None or call.index == fragment.index]
        last = same[-1] if same else None
        another = last is not None and fragment.id and last.id
        unnumbered = fragment.index is None and function.name and not fragment.id
        if last is not None and not another and not unnumbered:
            return last
        call = _OpenCall(len(self._blocks), index=fragment.index)
        self._blocks.append(None)
        calls.append(call)
        return call


def _plain_text(chunk: _Chunk) -> str | None:
    """More text and nothing else, which is what most chunks bring."""
    choices = chunk.choices
    if choices is None or len(choices) != 1 or chunk.usage is not None:
        return None
    choice = choices[0]
    fields = choice.delta
    if fields is None or choice.finish_reason is not None or choice.index != 0:
        return None
    text = fields.content
    return text if type(text) is str and text and fields == _Fields(content=text) else None


def _thinking_text(parts: Any) -> str:
    if isinstance(parts, str):
        return parts
    texts = (part.get("text", "") for part in parts or () if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _unique(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    taken.add(name)
    return name


def _usage(counts: _Counts) -> Usage:
    """Count as everywhere: some servers leave reasoning out of the tokens of the completion."""
    prompt, completion = counts.prompt_tokens or 0, counts.completion_tokens or 0
    prompt_details = counts.prompt_tokens_details or {}
    completion_details = counts.completion_tokens_details or {}
    reasoning = completion_details.get("reasoning_tokens") or 0
    if reasoning and counts.total_tokens == prompt + completion + reasoning:
        completion += reasoning
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=(
            prompt_details.get("cached_tokens")
            or counts.prompt_cache_hit_tokens
            or counts.cached_tokens
            or 0
        ),
        cache_write_tokens=prompt_details.get("cache_write_tokens") or 0,
        reasoning_tokens=reasoning,
    )


OPENAI_CHAT: Final = WireApi(
    name=NAME,
    encode=encode,
    decode=decode,
    url=lambda base_url, _: f"{base_url}/chat/completions",
    headers=lambda key: {"authorization": f"Bearer {key}"} if key else {},
)
"""The wire API."""
