"""What a reply over OpenAI Responses is made of.

After OpenAI's API reference ("Streaming events"). A response is a list of items, each announced, streamed and closed:
messages with parts of text, reasoning, calls, and what the server ran by itself. Those who speak the same API leave
events out, give an item another id in each of them, or number all items alike; so an item is known by its id, else by
its number, and what no fragment brought is taken from the item as it stands at its end, or at the end of the response.

No I/O.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

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

NAME: Final = "openai-responses"
"""The wire API."""

_ENDS: Final = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
        "response.done",
    }
)

_PARTS: Final = {
    "response.output_text": ("message", "output_text"),
    "response.refusal": ("message", "refusal"),
    "response.reasoning_summary_text": ("reasoning", "summary_text"),
    "response.reasoning_text": ("reasoning", "reasoning_text"),
    "response.reasoning": ("reasoning", "reasoning_text"),
    "response.function_call_arguments": ("function_call", "arguments"),
}
"""Events that bring a piece of text, and the item and part it is of; each comes as `.delta` and as `.done`."""

_ITEM_OF_PART: Final = {part: item for item, part in _PARTS.values()}

_BLANK_LINE: Final = "\n\n"

_CALL_FIELDS: Final = frozenset({"type", "status", "call_id", "name", "arguments"})
_REASONING_FIELDS: Final = frozenset({"type", "status", "summary", "content", "encrypted_content"})
"""Fields of items that have a place of their own in a block."""

# Only the fields that are used, so that msgspec passes over the rest.


class _Response(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[dict[str, Any]] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    incomplete_details: dict[str, Any] | None = None


_TEXT: Final = "response.output_text.delta"


class MoreText(msgspec.Struct, gc=False, tag_field="type", tag=_TEXT):
    """More text, which is what most events bring: read as such, they take half the time."""

    delta: str
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None


class Event(msgspec.Struct, gc=False):
    """One event of the stream."""

    type: str = ""
    delta: Any = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item: dict[str, Any] | None = None
    part: dict[str, Any] | None = None
    annotation: Any = None
    text: Any = None
    refusal: Any = None
    arguments: Any = None
    response: _Response | None = None
    error: Any = None
    code: Any = None
    message: Any = None


@define(eq=False)
class _Part:
    """A text that arrives: of a message, of reasoning, or the arguments of a call."""

    kind: str
    place: int
    fragments: list[str] = field(factory=list[str])
    whole: str | None = None
    """The text as it was given at the end, where that is not what the fragments make."""
    facts: dict[str, Any] = field(factory=dict[str, Any])
    told: bool = False
    """Whether its fragments are given out."""
    lead: str = ""
    """What was given out before them."""

    @property
    def text(self) -> str:
        return self.whole if self.whole is not None else "".join(self.fragments)


@define(eq=False)
class _Item:
    """An item of the response, as far as it is known."""

    facts: dict[str, Any]
    index: int | None = None
    place: int = -1
    """Among the blocks; the parts of a message have places of their own."""
    parts: dict[tuple[str, int], _Part] = field(factory=dict[tuple[str, int], _Part])
    call_id: str = ""
    """As it was announced; "" until then."""
    done: bool = False

    @property
    def type(self) -> str:
        return word(self.facts.get("type"))

    @property
    def id(self) -> str:
        return word(self.facts.get("id"))

    def texts(self, kind: str) -> Sequence[str]:
        return [part.text for part in self.parts.values() if part.kind == kind and part.text]


@define(eq=False)
class Reply:
    """What has been read of a reply."""

    model: str
    _id: str | None = None
    _usage: Usage = field(factory=Usage)
    _stop: StopReason = "stop"
    _details: dict[str, Any] = field(factory=dict[str, Any])
    _blocks: list[AssistantBlock | None] = field(factory=list["AssistantBlock | None"])
    _items: list[_Item] = field(factory=list[_Item])
    _call_ids: set[str] = field(factory=set[str])
    # The part whose text is arriving, and the event that last brought some.
    _current: _Part | None = None
    _last: Event = field(factory=Event)

    @property
    def in_text(self) -> bool:
        """Whether text is arriving, so that more of it may come."""
        return self._current is not None and self._last.type == _TEXT

    def take_text(self, event: MoreText) -> Sequence[Delta]:
        """Take in more text; see `TypedReply`."""
        part, last = self._current, self._last
        if (
            part is None
            or event.item_id != last.item_id
            or event.output_index != last.output_index
            or event.content_index != last.content_index
        ):
            return ()
        part.fragments.append(event.delta)
        return (_delta(part, event.delta),)

    def take(self, event: Event) -> tuple[Sequence[Delta], bool]:
        """Take in an event; see `TypedReply`."""
        if (text := self._more_text(event)) is not None:
            return (text,), False
        out: list[Delta] = []
        name, _, ending = event.type.rpartition(".")
        if event.error is not None or event.type == "error":
            raise error_from_stream(event.error or {"code": event.code, "message": event.message})
        if event.type in _ENDS:
            self._end(event, out)
            return out, True
        if name in _PARTS and ending in {"delta", "done"}:
            self._read_text(event, *_PARTS[name], out, done=ending == "done")
        elif event.item is not None:
            self._read_item(event, event.item, out, done=ending == "done")
        elif event.part is not None:
            self._read_part(event, event.part, out)
        elif event.annotation is not None:
            self._read_annotation(event)
        elif event.response is not None:
            self._note(event.response, out)
        return out, False

    def close(self, *, whole: bool) -> Sequence[Delta]:
        """Say that nothing is open at the end of a whole reply; see `TypedReply`."""
        if not whole:
            raise cut_short()
        return ()

    def message(self) -> AssistantMessage:
        """The finished message."""
        blocks = [block for block in self._blocks if block is not None]
        reason = self._stop
        if reason == "stop" and any(isinstance(block, ToolCall) for block in blocks):
            reason = "tool_calls"
        elif reason == "stop" and any(map(_is_refusal, blocks)):
            reason = "refusal"
        return AssistantMessage(
            blocks,
            model=self.model,
            api=NAME,
            stop_reason=reason,
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
        for item in self._items:
            if item.call_id and not item.done:
                partial.add(ToolCallStart(item.call_id, item.facts["name"], item.place))
            for part in item.parts.values():
                if part.told and self._blocks[part.place] is None:
                    partial.add(_delta(part, part.lead + "".join(part.fragments)))
        return partial.incomplete("error", failure)

    def _more_text(self, event: Event) -> Delta | None:
        """More of what is arriving and is not plain text: of reasoning, of a refusal, of arguments."""
        part, last, text = self._current, self._last, event.delta
        if (
            part is None
            or event.type != last.type
            or event.item_id != last.item_id
            or event.output_index != last.output_index
            or event.content_index != last.content_index
            or event.summary_index != last.summary_index
            or type(text) is not str
        ):
            return None
        part.fragments.append(text)
        return _delta(part, text)

    def _note(self, response: _Response, out: list[Delta]) -> None:
        self._id = self._id if self._id is not None else response.id
        self.model = response.model or self.model
        if response.usage is not None:
            self._usage = _usage(response.usage)
        out.append(ReplyInfo(model=self.model, api=NAME, response_id=self._id, usage=self._usage))

    def _read_text(
        self, event: Event, item_type: str, kind: str, out: list[Delta], *, done: bool
    ) -> None:
        found = self._found_part(event, item_type, kind)
        if found is None:
            return
        if done:
            given = (event.text, event.refusal, event.arguments)
            self._complete(*found, next((text for text in given if text is not None), None), out)
        elif isinstance(event.delta, str) and event.delta:
            self._add(*found, event.delta, out)
            if found[1].told:
                self._current, self._last = found[1], event

    def _read_part(self, event: Event, given: Mapping[str, Any], out: list[Delta]) -> None:
        kind = _kind(given)
        if kind in _ITEM_OF_PART:
            found = self._found_part(event, _ITEM_OF_PART[kind], kind)
            if found is not None:
                self._fill(*found, given, out)

    def _read_annotation(self, event: Event) -> None:
        found = self._found_part(event, "message", "output_text")
        if found is not None:
            found[1].facts.setdefault("annotations", []).append(event.annotation)

    def _read_item(
        self, event: Event, given: Mapping[str, Any], out: list[Delta], *, done: bool
    ) -> None:
        id_ = word(given.get("id")) or event.item_id or ""
        item = self._find(id_, event.output_index, word(given.get("type")))
        if item is None or (item.done and not done):
            item = self._new_item(given, event.output_index)
        if done:
            self._finish(item, given, out)
        else:
            item.facts |= given
            self._announce(item, out)

    def _found_part(self, event: Event, item_type: str, kind: str) -> tuple[_Item, _Part] | None:
        """Find the part an event speaks of, or begin it; None where its item is over."""
        item = self._find(event.item_id or "", event.output_index, item_type)
        if item is None:
            facts = {"type": item_type} | ({"id": event.item_id} if event.item_id else {})
            item = self._new_item(facts, event.output_index)
        if item.done:
            return None
        number = event.summary_index if kind == "summary_text" else event.content_index
        return item, item.parts.get((kind, number or 0)) or self._new_part(item, kind, number or 0)

    def _new_part(self, item: _Item, kind: str, number: int) -> _Part:
        place = item.place if item.place >= 0 else self._new_place()
        part = _Part(kind, place, told=item.type == "message" or bool(item.call_id))
        if item.type == "reasoning":
            # Of a summary and the reasoning itself, the one that comes first is shown as it arrives.
            part.told = all(other.kind == kind for other in item.parts.values() if other.told)
        item.parts[kind, number] = part
        return part

    def _find(self, id_: str, index: int | None, type_: str) -> _Item | None:
        alike = [item for item in reversed(self._items) if item.type == type_]
        if id_:
            for item in alike:
                if item.id == id_:
                    return item
        return next((item for item in alike if item.index == index and not item.done), None)

    def _new_item(self, facts: Mapping[str, Any], index: int | None) -> _Item:
        item = _Item(dict(facts), index)
        if item.type != "message":
            item.place = self._new_place()
        self._items.append(item)
        return item

    def _new_place(self) -> int:
        self._blocks.append(None)
        return len(self._blocks) - 1

    def _add(self, item: _Item, part: _Part, text: str, out: list[Delta]) -> None:
        """Take in more of a part."""
        shown = text
        if item.type == "reasoning" and not part.fragments and _has_begun(item):
            part.lead = _BLANK_LINE
            shown = part.lead + text
        part.fragments.append(text)
        if part.told:
            out.append(_delta(part, shown))

    def _complete(self, item: _Item, part: _Part, whole: object, out: list[Delta]) -> None:
        """Take in what a part is as a whole: what no fragment brought is given out as one."""
        if isinstance(whole, dict):
            whole = json.dumps(whole)
        so_far = "".join(part.fragments)
        if not isinstance(whole, str) or not whole or whole == so_far:
            return
        if whole.startswith(so_far):
            self._add(item, part, whole[len(so_far) :], out)
        else:
            part.whole = whole

    def _fill(self, item: _Item, part: _Part, given: Mapping[str, Any], out: list[Delta]) -> None:
        text = given.get("refusal") if part.kind == "refusal" else given.get("text")
        self._complete(item, part, text, out)
        part.facts |= {key: given[key] for key in ("annotations", "logprobs") if given.get(key)}

    def _announce(self, item: _Item, out: list[Delta], *, force: bool = False) -> None:
        """Tell of a call once its id and name are known, with what has come of its arguments."""
        facts = item.facts
        given, name = word(facts.get("call_id")), word(facts.get("name"))
        if item.type != "function_call" or item.call_id or not (force or (given and name)):
            return
        item.call_id = self._unique(given or item.id or f"call_{len(self._call_ids) + 1}")
        out.append(ToolCallStart(item.call_id, name, item.place))
        for part in item.parts.values():
            part.told = True
            if part.fragments:
                out.append(_delta(part, "".join(part.fragments)))

    def _unique(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._call_ids:
            count += 1
            name = f"{wanted}-{count}"
        self._call_ids.add(name)
        return name

    def _finish(self, item: _Item, given: Mapping[str, Any], out: list[Delta]) -> None:
        """Close the blocks of an item, with what is known of it at its end."""
        if item.done:
            return
        self._current = None
        item.facts |= {key: value for key, value in given.items() if value is not None}
        self._announce(item, out, force=True)
        self._fill_parts(item, out)
        item.done = True
        for place, block in _blocks_of(item):
            self._blocks[place] = block
            out.append(BlockEnd(block, place))

    def _fill_parts(self, item: _Item, out: list[Delta]) -> None:
        """Take in the parts as the item has them at its end; the n-th of a kind is the n-th of that kind here."""
        counts: Counter[str] = Counter()
        for given in _given_parts(item):
            kind = _kind(given)
            if _ITEM_OF_PART.get(kind) != item.type:
                continue
            known = [part for part in item.parts.values() if part.kind == kind]
            number = counts[kind]
            counts[kind] += 1
            part = (
                known[number]
                if number < len(known)
                else self._new_part(item, kind, _next_number(item, kind))
            )
            self._fill(item, part, given, out)

    def _end(self, event: Event, out: list[Delta]) -> None:
        """Close what is open, with what is known at the end of the response."""
        response = event.response or _Response()
        self._note(response, out)
        status = response.status or event.type.removeprefix("response.")
        if response.error is not None or status in {"failed", "cancelled"}:
            raise error_from_stream(response.error or f"the response is marked as {status}")
        self._finish_items(response.output or (), out)
        if status == "incomplete" or response.incomplete_details:
            reason = word((response.incomplete_details or {}).get("reason"))
            self._stop = "refusal" if reason == "content_filter" else "length"
            if reason and reason != "max_output_tokens":
                self._details["stop_reason"] = reason

    def _finish_items(self, output: Sequence[Mapping[str, Any]], out: list[Delta]) -> None:
        """Finish all items; one whose id is not known is the one that is as many in its type."""
        counts: Counter[str] = Counter()
        known = list(self._items)
        for given in output:
            type_ = word(given.get("type"))
            alike = [item for item in known if item.type == type_]
            number = counts[type_]
            counts[type_] += 1
            same_id = [item for item in alike if item.id and item.id == given.get("id")]
            candidates = same_id or alike[number : number + 1]
            self._finish(candidates[0] if candidates else self._new_item(given, None), given, out)
        for item in self._items:
            self._finish(item, {}, out)


def _blocks_of(item: _Item) -> Iterator[tuple[int, AssistantBlock]]:
    """Make the blocks of a finished item, with their places."""
    match item.type:
        case "message":
            for part in item.parts.values():
                if part.text or part.facts:
                    yield part.place, Text(part.text, _text_details(item, part))
        case "reasoning":
            yield item.place, _thinking(item)
        case "function_call":
            arguments = "".join(item.texts("arguments"))
            name, details = word(item.facts.get("name")), _rest(item, _CALL_FIELDS)
            yield item.place, finished_call(item.call_id, name, arguments, details or None)
        case _:
            yield item.place, VendorItem(NAME, item.facts)


def _text_details(item: _Item, part: _Part) -> dict[str, Any] | None:
    details = {key: item.facts[key] for key in ("id", "phase") if item.facts.get(key)} | part.facts
    if part.kind == "refusal":
        details["refusal"] = True
    return details or None


def _thinking(item: _Item) -> Thinking:
    details = _rest(item, _REASONING_FIELDS)
    summary, reasoning = item.texts("summary_text"), item.texts("reasoning_text")
    if summary:
        details["summary"] = [{"type": "summary_text", "text": text} for text in summary]
    if reasoning:
        details["content"] = [{"type": "reasoning_text", "text": text} for text in reasoning]
    text = _BLANK_LINE.join(summary or reasoning)
    sealed = word(item.facts.get("encrypted_content")) or None
    return Thinking(text, sealed, redacted=bool(sealed and not text), details=details or None)


def _rest(item: _Item, used: Collection[str]) -> dict[str, Any]:
    """What else the server said of an item."""
    facts = item.facts.items()
    return {key: value for key, value in facts if key not in used and value not in (None, [])}


def _given_parts(item: _Item) -> Iterator[Mapping[str, Any]]:
    if "arguments" in item.facts:
        yield {"type": "arguments", "text": item.facts["arguments"]}
    for key in ("summary", "content"):
        given = item.facts.get(key)
        if isinstance(given, str):
            given = [{"type": "summary_text" if key == "summary" else "text", "text": given}]
        for part in given if isinstance(given, list) else ():
            if isinstance(part, dict):
                yield part


def _kind(part: Mapping[str, Any]) -> str:
    kind = word(part.get("type"))
    return "output_text" if kind == "text" else kind


def _next_number(item: _Item, kind: str) -> int:
    return max((number for other, number in item.parts if other == kind), default=-1) + 1


def _has_begun(item: _Item) -> bool:
    return any(part.told and part.fragments for part in item.parts.values())


def _is_refusal(block: AssistantBlock) -> bool:
    return isinstance(block, Text) and block.details is not None and "refusal" in block.details


def _delta(part: _Part, text: str) -> Delta:
    match part.kind:
        case "arguments":
            return ToolCallDelta(text, part.place)
        case "summary_text" | "reasoning_text":
            return ThinkingDelta(text, part.place)
        case _:
            return TextDelta(text, part.place)


def _usage(counts: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=count_in(counts, "input_tokens"),
        output_tokens=count_in(counts, "output_tokens"),
        cache_read_tokens=count_in(counts, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=count_in(counts, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=count_in(counts, "output_tokens_details", "reasoning_tokens"),
    )
