"""The blocks of the replies of a run, as steps: each one opens, grows and closes, whatever becomes of its reply.

Providers use the ids of calls again, and the end of a reply may change them. A block's id here is made of that of its
reply and of its index: no other block of the conversation has it, and it is the same each time the reply is sent.

No I/O.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from attrs import frozen

from tether.deltas import (
    BlockDelta,
    BlockEnd,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
)
from tether.media import Image
from tether.messages import AssistantBlock, AssistantMessage, Text, Thinking, ToolCall

__all__ = (
    "BlockKind",
    "Closed",
    "Grew",
    "Opened",
    "ReplyBlocks",
    "Shown",
    "Step",
    "block_id",
    "written",
)

BlockKind: TypeAlias = Literal["text", "thinking", "call"]


@frozen
class Opened:
    """A block begins."""

    id: str
    kind: BlockKind
    name: str = ""
    """Of the tool, where it is a call."""


@frozen
class Grew:
    """More of a block: text, or the arguments of a call as JSON text cut anywhere."""

    id: str
    kind: BlockKind
    text: str


@frozen
class Closed:
    """A block is over."""

    id: str
    kind: BlockKind
    name: str
    block: Text | Thinking | ToolCall | None
    """None where the reply was cut off inside it."""


@frozen
class Shown:
    """A picture, which comes whole."""

    id: str
    image: Image


Step: TypeAlias = Opened | Grew | Closed | Shown


@frozen
class _Block:
    id: str
    kind: BlockKind
    name: str = ""


def block_id(reply_id: str, index: int) -> str:
    """Return the id of a block.

    Args:
        reply_id: of its reply.
        index: its place in the reply, from 0.
    """
    return f"{reply_id}-{index}"


class ReplyBlocks:
    """The blocks of the replies of one run, one reply after the other."""

    __slots__ = ("_calls", "_closed_calls", "_number", "_open", "_reply_id", "_told")

    def __init__(self) -> None:
        self._number = 0
        self._reply_id = ""
        self._open: dict[int, _Block] = {}
        self._closed_calls: dict[int, tuple[_Block, ToolCall]] = {}
        self._told = False
        self._calls: dict[str, str] = {}

    @property
    def reply_id(self) -> str:
        """The id of the latest reply."""
        return self._reply_id

    @property
    def open_steps(self) -> list[Opened]:
        """What has opened and not closed, in order."""
        return [Opened(one.id, one.kind, one.name) for _, one in sorted(self._open.items())]

    def id_of_call(self, call_id: str) -> str:
        """Return the id of the block of a call of the latest reply."""
        return self._calls.get(call_id, f"{self._reply_id}-{call_id}")

    def begin(self, reply: AssistantMessage) -> None:
        """Begin the next reply."""
        self._number += 1
        self._reply_id = reply.id or f"reply-{self._number}"
        self._open.clear()
        self._closed_calls.clear()
        self._told = False

    def text_id(self, index: int) -> str | None:
        """Return the id of the text block at an index, if it is open."""
        block = self._open.get(index)
        return block.id if block is not None and block.kind == "text" else None

    def add(self, delta: BlockDelta) -> Iterator[Step]:
        """Take in more of the reply, and give what it does to its blocks."""
        self._told = True
        match delta:
            case TextDelta(text, index):
                yield from self._grow(index, "text", text)
            case ThinkingDelta(text, index):
                yield from self._grow(index, "thinking", text)
            case ToolCallStart(_, name, index):
                yield from self._opened(index, "call", name)
            case ToolCallDelta(arguments, index):
                yield from self._grow(index, "call", arguments)
            case BlockEnd(block, index):
                yield from self._close(index, block)

    def end(self, reply: AssistantMessage) -> Iterator[Step]:
        """End the reply: close the blocks that are open, and give it whole if nothing of it was streamed."""
        for _, block in sorted(self._open.items()):
            yield Closed(block.id, block.kind, block.name, None)
        self._open.clear()
        if not self._told:
            yield from self._whole(reply)
        yield from self._name_calls(reply.tool_calls)
        self._closed_calls.clear()

    def _opened(self, index: int, kind: BlockKind, name: str = "") -> Iterator[Step]:
        if index not in self._open:
            block = self._open[index] = _Block(block_id(self._reply_id, index), kind, name)
            yield Opened(block.id, kind, name)

    def _grow(self, index: int, kind: BlockKind, text: str) -> Iterator[Step]:
        if not text:
            return
        yield from self._opened(index, kind)
        yield Grew(self._open[index].id, kind, text)

    def _close(self, index: int, block: AssistantBlock) -> Iterator[Step]:
        if isinstance(block, Image):
            yield Shown(block_id(self._reply_id, index), block)
        if not isinstance(block, Text | Thinking | ToolCall):
            return
        if index not in self._open:
            yield from self._untold(index, block)
        opened = self._open.pop(index, None)
        if opened is None:
            return
        yield Closed(opened.id, opened.kind, opened.name, block)
        if isinstance(block, ToolCall):
            self._closed_calls[index] = (opened, block)

    def _untold(self, index: int, block: Text | Thinking | ToolCall) -> Iterator[Step]:
        """Open a block of which nothing came before its end."""
        if isinstance(block, ToolCall):
            yield from self._opened(index, "call", block.name)
            yield from self._grow(index, "call", written(block))
        else:
            yield from self._grow(
                index, "text" if isinstance(block, Text) else "thinking", block.text
            )

    def _whole(self, reply: AssistantMessage) -> Iterator[Step]:
        for index, block in enumerate(reply.content):
            yield from self._close(index, block)

    def _name_calls(self, calls: Iterable[ToolCall]) -> Iterator[Step]:
        """Find the block of each call. Its id may be another by now, and a hook may have put in or left out calls."""
        told = [one for _, one in sorted(self._closed_calls.items())]
        self._calls = {}
        missing: list[ToolCall] = []
        for call in calls:
            found = next((one for one in told if one[1].id == call.id), None) or next(
                (one for one in told if one[1].name == call.name), None
            )
            if found is None:
                missing.append(call)
            else:
                told.remove(found)
                self._calls[call.id] = found[0].id
        for block, _ in told:
            yield Closed(block.id, "call", block.name, None)
        for call in missing:
            self._calls[call.id] = added = f"{self._reply_id}-{call.id}"
            yield Opened(added, "call", call.name)
            yield Grew(added, "call", written(call))
            yield Closed(added, "call", call.name, call)


def written(call: ToolCall) -> str:
    """Return the arguments of a call as JSON text, or as they came where they were none."""
    if call.malformed is not None:
        return call.malformed
    return json.dumps(dict(call.arguments), ensure_ascii=False)
