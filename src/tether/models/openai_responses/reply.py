"""The decoder of OpenAI Responses.

After OpenAI's API reference ("Streaming events"). A response is a list of items, each announced, streamed and closed:
messages with parts of text, reasoning, calls, and what the server ran. Compatible servers leave events out, give an
item another id in each of them, or number all items alike; so an item is known by its id, else by its number, and
what no fragment brought is taken from the item as it stands at its end, or at the end of the response.

No I/O.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define, field

from tether.deltas import Delta
from tether.messages import AssistantBlock, Text, Usage
from tether.models._wire.failures import cut_short, error_from_stream
from tether.models._wire.holdings import BLOCK
from tether.models._wire.ids import unique_id
from tether.models._wire.leniency import count_in, mended, text_or_empty, tolerant
from tether.models._wire.protocol import Decoder
from tether.models._wire.reply_builder import BlockKind, ReplyBuilder, read_reply
from tether.models.openai_responses.events import (
    ENDS,
    ITEM_OF_PART,
    PARTS,
    Event,
    Fragment,
    Fragments,
    Response,
)
from tether.models.openai_responses.items import (
    BLANK_LINE,
    NAME,
    Item,
    Items,
    Part,
    blocks_of,
    parts_given,
    type_of_part,
)

__all__ = ("decode",)

_KINDS: Final[Mapping[str, BlockKind]] = {"reasoning": "thinking", "function_call": "call"}


_READ: Final = tolerant(Fragments, Event)


def decode(model: str) -> Decoder:
    """Read a reply.

    Args:
        model: the model asked for, until the reply reports its own.

    Returns:
        A decoder; see `Decoder`.
    """
    return read_reply(_Reply(ReplyBuilder(NAME, model)), _READ)


@define(eq=False, repr=False)
class _Reply:
    """What the events mean; see `WireReply`."""

    built: ReplyBuilder
    is_whole: bool = False
    _items: Items = field(factory=Items)
    _call_ids: set[str] = field(factory=set[str])
    _part: Part | None = None
    """What the last fragment went into, if it is shown: the next is mostly of the same."""
    _last: Fragment = field(factory=lambda: Fragment(""))

    def take(self, event: Fragments | Event) -> Sequence[Delta]:
        """Take in an event."""
        if type(event) is Event:  # to match takes twice as long
            self._take_other(event)
            return self.built.new_deltas()
        part, last, text = self._part, self._last, event.delta
        if (
            part is not None
            and type(event) is type(last)
            and event.item_id == last.item_id
            and event.output_index == last.output_index
            and event.number == last.number
            and text
        ):
            part.fragments.append(text)
            return part.block.add(text)
        self._take_fragment(event)
        return self.built.new_deltas()

    def close(self, *, marked: bool) -> None:
        """Say that nothing is open at the end of a whole reply."""
        if not self.is_whole:
            raise cut_short()

    def _take_other(self, event: Event) -> None:
        name, _, ending = event.type.rpartition(".")
        if event.error is not None or event.type == "error":
            raise error_from_stream(event.error or {"code": event.code, "message": event.message})
        if (whole := event.whole) is not None:
            self._end(Event("response.completed", response=whole))
        elif event.type in ENDS:
            self._end(event)
        elif name in PARTS and ending == "done":
            self._take_final_text(event, PARTS[name])
        elif name in PARTS and ending == "delta":
            self._take_mended_fragment(event, PARTS[name])
        elif event.item is not None:
            self._take_item(event, event.item, is_done=ending == "done")
        elif event.part is not None:
            self._take_part(event, event.part)
        elif event.annotation is not None:
            part = self._part_of(event, "output_text", event.content_index)
            if part is not None:
                self.built.holdings.keep(event.annotation)
                part[1].annotations.append(event.annotation)
        elif event.response is not None:
            self._report(event.response)

    def _report(self, response: Response) -> None:
        built = self.built
        built.response_id = built.response_id or response.id or None
        built.model = response.model or built.model
        if response.usage is not None:
            built.count(_usage(response.usage))
        built.report()

    # Texts.

    def _take_fragment(self, event: Fragments) -> None:
        found = self._part_of(event, event.part, event.number)
        if found is not None and event.delta:
            self._add(*found, event.delta)
            if found[1].goes_into_block:
                self._last, self._part = event, found[1]

    def _take_mended_fragment(self, event: Event, kind: str) -> None:
        found = self._part_of(event, kind, event.number_of(kind))
        if found is not None:
            self._add(*found, text_or_empty(event.delta))

    def _take_final_text(self, event: Event, kind: str) -> None:
        found = self._part_of(event, kind, event.number_of(kind))
        if found is not None:
            given = (event.text, event.refusal, event.arguments)
            self._complete(*found, next((text for text in given if text is not None), None))

    def _take_part(self, event: Event, given: Mapping[str, Any]) -> None:
        kind = type_of_part(given)
        if kind in ITEM_OF_PART:
            found = self._part_of(event, kind, event.number_of(kind))
            if found is not None:
                self._fill(*found, given)

    def _part_of(
        self, event: Fragments | Event, kind: str, number: int | None
    ) -> tuple[Item, Part] | None:
        """Find the part an event is about, or begin it; None if its item is over."""
        item_type = ITEM_OF_PART[kind]
        item = self._items.find(event.item_id or "", event.output_index, item_type)
        if item is None:
            fields = {"type": item_type} | ({"id": event.item_id} if event.item_id else {})
            item = self._new_item(fields, event.output_index)
        if item.is_done:
            return None
        return item, item.parts.get((kind, number or 0)) or self._new_part(item, kind, number or 0)

    def _new_part(self, item: Item, kind: str, number: int) -> Part:
        self.built.holdings.charge(BLOCK)
        part = Part(kind, item.block or self.built.open("text"))
        if item.type == "reasoning":
            # Of a summary and the reasoning itself, the one that comes first is shown as it arrives.
            first = next(iter(item.parts.values()), part)
            part.goes_into_block = first.kind == kind
        item.add(part, number)
        return part

    def _add(self, item: Item, part: Part, text: str) -> None:
        """Add a fragment to a part."""
        if part.goes_into_block:
            follows = item.type == "reasoning" and not part.fragments and part.block.fragments
            self.built.add(part.block, f"{BLANK_LINE}{text}" if follows else text)
        part.fragments.append(text)

    def _complete(self, item: Item, part: Part, final: object) -> None:
        """Take in what a part is as a whole: what no fragment brought is added as one."""
        if final and not isinstance(final, str):
            final = json.dumps(final)
        if not isinstance(final, str) or not final:
            return
        # What came in fragments is put together only if as much has come as a whole.
        so_far = None if part.is_longer_than(final) else mended("".join(part.fragments))
        if so_far is None or not final.startswith(so_far):
            part.final = final
        elif final != so_far:
            self._add(item, part, final[len(so_far) :])

    def _fill(self, item: Item, part: Part, given: Mapping[str, Any]) -> None:
        self._complete(item, part, given.get("refusal" if part.kind == "refusal" else "text"))
        noted = {key: given[key] for key in ("annotations", "logprobs") if given.get(key)}
        self.built.holdings.keep(noted)
        part.fields |= noted

    # Items.

    def _take_item(self, event: Event, given: Mapping[str, Any], *, is_done: bool) -> None:
        id_ = text_or_empty(given.get("id")) or event.item_id or ""
        item = self._items.find(id_, event.output_index, text_or_empty(given.get("type")))
        if item is None or (item.is_done and not is_done):
            item = self._new_item(given, event.output_index)
        if is_done:
            self._finish(item, given)
        else:
            self._note(item, given)
            self._announce(item)

    def _new_item(self, fields: Mapping[str, Any], index: int | None) -> Item:
        self.built.holdings.charge(BLOCK)
        self.built.holdings.keep(fields)
        item = Item(dict(fields), index)
        if item.type != "message":
            item.block = self.built.open(_KINDS.get(item.type, "item"))
        self._items.add(item)
        return item

    def _note(self, item: Item, given: Mapping[str, Any]) -> None:
        self.built.holdings.keep(given)
        item.fields |= given
        self._items.note_id(item)

    def _announce(self, item: Item, *, force: bool = False) -> None:
        """Show a call once its id and name are known."""
        call_id, block = text_or_empty(item.fields.get("call_id")), item.block
        if item.type != "function_call" or block is None or block.start is not None:
            return
        if force or (call_id and item.name):
            wanted = call_id or item.id or f"call_{len(self._call_ids) + 1}"
            self.built.announce(block, unique_id(wanted, self._call_ids), item.name)

    def _finish(self, item: Item, given: Mapping[str, Any]) -> None:
        """Close the blocks of an item, with what is known of it at its end."""
        if item.is_done:
            return
        self._part = None
        self._note(item, {key: value for key, value in given.items() if value is not None})
        self._announce(item, force=True)
        self._fill_parts(item)
        item.is_done = True
        for block, whole in blocks_of(item):
            self.built.end(block, whole)

    def _fill_parts(self, item: Item) -> None:
        """Take in the parts as the item has them at its end; the n-th of a kind is the n-th of that kind here."""
        counts: Counter[str] = Counter()
        for given in parts_given(item):
            kind = type_of_part(given)
            if ITEM_OF_PART.get(kind) != item.type:
                continue
            known, number = item.of_kind(kind), counts[kind]
            counts[kind] += 1
            is_known = number < len(known)
            part = known[number] if is_known else self._new_part(item, kind, item.next_number(kind))
            self._fill(item, part, given)

    # The end.

    def _end(self, event: Event) -> None:
        """Close what is open, with what is known at the end of the response."""
        response = event.response or Response()
        self._report(response)
        status = response.status or event.type.removeprefix("response.")
        if response.error is not None or status in {"failed", "cancelled"}:
            raise error_from_stream(response.error or f"the response is marked as {status}")
        self._finish_items(response.output or ())
        if status == "incomplete" or response.incomplete_details:
            reason = text_or_empty((response.incomplete_details or {}).get("reason"))
            self.built.stop_reason = "refusal" if reason == "content_filter" else "length"
            if reason and reason != "max_output_tokens":
                self.built.details["stop_reason"] = reason
        elif not self.built.has_calls and any(map(_is_refusal, self.built.blocks)):
            self.built.stop_reason = "refusal"
        self.is_whole = True

    def _finish_items(self, output: Sequence[Mapping[str, Any]]) -> None:
        """Finish all items; one of unknown id is the one that has the same number in its type."""
        counts: Counter[str] = Counter()
        by_type: dict[str, list[Item]] = {}
        by_id: dict[tuple[str, str], Item] = {}
        for item in self._items.all:
            by_type.setdefault(item.type, []).append(item)
            by_id.setdefault((item.type, item.id), item)
        for given in output:
            type_, id_ = text_or_empty(given.get("type")), text_or_empty(given.get("id"))
            alike, number = by_type.get(type_, ()), counts[type_]
            counts[type_] += 1
            known = by_id.get((type_, id_)) if id_ else None
            if known is None and number < len(alike):
                known = alike[number]
            self._finish(known or self._new_item(given, None), given)
        for item in self._items.all:
            self._finish(item, {})


def _is_refusal(block: AssistantBlock) -> bool:
    return isinstance(block, Text) and block.details is not None and "refusal" in block.details


def _usage(counts: Mapping[str, Any]) -> Usage:
    return Usage(
        input_tokens=count_in(counts, "input_tokens"),
        output_tokens=count_in(counts, "output_tokens"),
        cache_read_tokens=count_in(counts, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=count_in(counts, "input_tokens_details", "cache_write_tokens"),
        reasoning_tokens=count_in(counts, "output_tokens_details", "reasoning_tokens"),
    )
