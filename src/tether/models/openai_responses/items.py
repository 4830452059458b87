"""Items of a response, as far as they are known, and the blocks they become. No I/O."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import define, field

from tether.messages import AssistantBlock, ProviderItem, Text, Thinking
from tether.models._wire.leniency import finished_call, mended, text_or_empty
from tether.models._wire.reply_builder import OpenBlock

__all__ = (
    "BLANK_LINE",
    "NAME",
    "Item",
    "Items",
    "Part",
    "blocks_of",
    "parts_given",
    "type_of_part",
)

NAME: Final = "openai-responses"
"""The wire API."""

BLANK_LINE: Final = "\n\n"
"""Between the parts of a reasoning item."""

_CALL_FIELDS: Final = frozenset({"type", "status", "call_id", "name", "arguments"})
_REASONING_FIELDS: Final = frozenset({"type", "status", "summary", "content", "encrypted_content"})
"""Fields of items that have a place of their own in a block."""


@define(eq=False)
class Part:
    """A text that arrives: of a message, of reasoning, or the arguments of a call."""

    kind: str
    block: OpenBlock
    fragments: list[str] = field(factory=list[str])
    final: str | None = None
    """The text as it was given at the end, if that is not what the fragments make."""
    fields: dict[str, Any] = field(factory=dict[str, Any])
    annotations: list[Any] = field(factory=list[Any])
    """Those that came one by one; `fields` has all of them, if they came at the end."""
    goes_into_block: bool = True
    """False for reasoning in another form than the one that is shown."""
    _counted: int = 0
    """Fragments."""
    _length: int = 0
    """Characters in those."""

    def is_longer_than(self, text: str) -> bool:
        """Compare the fragments with a text, without putting them together."""
        self._length += sum(map(len, self.fragments[self._counted :]))
        self._counted = len(self.fragments)
        return self._length > len(text)

    @property
    def text(self) -> str:
        """The text as it is known."""
        return self.final if self.final is not None else mended("".join(self.fragments))


@define(eq=False)
class Item:
    """An item of the response."""

    fields: dict[str, Any]
    index: int | None = None
    """The server's number for it."""
    block: OpenBlock | None = None
    """None for a message, whose parts are blocks of their own."""
    parts: dict[tuple[str, int], Part] = field(factory=dict[tuple[str, int], Part])
    is_done: bool = False
    _kinds: dict[str, list[Part]] = field(factory=dict[str, list[Part]])
    _numbers: dict[str, int] = field(factory=dict[str, int])

    def add(self, part: Part, number: int) -> None:
        """Add a part; each kind is numbered by itself."""
        self.parts[part.kind, number] = part
        self._kinds.setdefault(part.kind, []).append(part)
        self._numbers[part.kind] = max(self.next_number(part.kind), number + 1)

    @property
    def type(self) -> str:
        """What it is."""
        return text_or_empty(self.fields.get("type"))

    @property
    def id(self) -> str:
        """The server's id, or ""."""
        return text_or_empty(self.fields.get("id"))

    @property
    def name(self) -> str:
        """The tool that a call names, or ""."""
        return text_or_empty(self.fields.get("name"))

    def of_kind(self, kind: str) -> Sequence[Part]:
        """The parts of a kind, in the order in which they began."""
        return self._kinds.get(kind, ())

    def texts(self, kind: str) -> Sequence[str]:
        """Their texts, without empty ones."""
        return [part.text for part in self.of_kind(kind) if part.text]

    def next_number(self, kind: str) -> int:
        """The number of the next part of a kind."""
        return self._numbers.get(kind, 0)


@define(eq=False)
class Items:
    """The items of a response, found by what a server calls them."""

    all: list[Item] = field(factory=list[Item])
    """In the order in which they began."""
    _by_id: dict[tuple[str, str], Item] = field(factory=dict[tuple[str, str], Item])
    _by_index: dict[tuple[str, int | None], list[Item]] = field(
        factory=dict[tuple[str, "int | None"], list[Item]]
    )

    def add(self, item: Item) -> None:
        """Add an item that has begun."""
        self.all.append(item)
        self._by_index.setdefault((item.type, item.index), []).append(item)
        self.note_id(item)

    def note_id(self, item: Item) -> None:
        """Know an item by the id that it now has."""
        self._by_id[item.type, item.id] = item

    def find(self, id_: str, index: int | None, type_: str) -> Item | None:
        """Find the item that an event is about: by its id, else by its number, if it is not over."""
        known = self._by_id.get((type_, id_)) if id_ else None
        if known is not None and known.id == id_:
            return known
        alike = self._by_index.get((type_, index), [])
        while alike and alike[-1].is_done:
            alike.pop()
        return alike[-1] if alike else None


def type_of_part(part: Mapping[str, Any]) -> str:
    """Return the type of a part as the API names it; some servers shorten it."""
    type_ = text_or_empty(part.get("type"))
    return "output_text" if type_ == "text" else type_


def parts_given(item: Item) -> Iterator[Mapping[str, Any]]:
    """Return the parts that an item holds itself."""
    if "arguments" in item.fields:
        yield {"type": "arguments", "text": item.fields["arguments"]}
    for key in ("summary", "content"):
        given = item.fields.get(key)
        if isinstance(given, str):
            given = [{"type": "summary_text" if key == "summary" else "text", "text": given}]
        for part in given if isinstance(given, list) else ():
            if isinstance(part, dict):
                yield part


def blocks_of(item: Item) -> Iterator[tuple[OpenBlock, AssistantBlock | None]]:
    """Make the blocks of a finished item, each with the open one it closes; None for an empty text."""
    match item.type, item.block:
        case "message", _:
            for part in item.parts.values():
                is_kept = part.text or part.fields or part.annotations
                yield part.block, Text(part.text, _text_details(item, part)) if is_kept else None
        case "reasoning", OpenBlock() as block:
            yield block, _thinking(item)
        case "function_call", OpenBlock(start=start) as block:
            assert start is not None
            arguments, details = "".join(item.texts("arguments")), _rest(item, _CALL_FIELDS)
            yield block, finished_call(start.id, item.name, arguments, details or None)
        case _, OpenBlock() as block:
            # The API would refuse an item without a type.
            yield block, ProviderItem(NAME, item.fields) if item.type else None
        case _:
            raise AssertionError("every item but a message has a block")


def _text_details(item: Item, part: Part) -> dict[str, Any] | None:
    details = {key: item.fields[key] for key in ("id", "phase") if item.fields.get(key)}
    if part.annotations:
        details["annotations"] = part.annotations
    details |= part.fields
    if part.kind == "refusal":
        details["refusal"] = True
    return details or None


def _thinking(item: Item) -> Thinking:
    details = _rest(item, _REASONING_FIELDS)
    summary, reasoning = item.texts("summary_text"), item.texts("reasoning_text")
    if summary:
        details["summary"] = [{"type": "summary_text", "text": text} for text in summary]
    if reasoning:
        details["content"] = [{"type": "reasoning_text", "text": text} for text in reasoning]
    text = BLANK_LINE.join(summary or reasoning)
    sealed = text_or_empty(item.fields.get("encrypted_content")) or None
    return Thinking(text, sealed, redacted=bool(sealed and not text), details=details or None)


def _rest(item: Item, used: Collection[str]) -> dict[str, Any]:
    """What else the server reported of an item."""
    fields = item.fields.items()
    return {key: value for key, value in fields if key not in used and value not in (None, [])}
