"""Fragments of one block that stand beside each other, kept as one piece that can still be cut where they met.

A piece says of each viewer's number what that viewer has not got yet: to one who has everything but the last fragment,
the last fragment; to one who comes late, all of it as one event.

No I/O.
"""

from array import array
from collections.abc import Hashable, MutableSequence
from typing import Final, TypeAlias

from attrs import define, evolve, field

from tether import Event, MessageUpdate, TextDelta, ThinkingDelta, ToolExecutionUpdate
from tether.deltas import BlockDelta, ToolCallDelta

__all__ = ("PIECE", "Fragment", "Merged", "Sealed", "fragment_of")

PIECE: Final = 200
"""About how many bytes a piece of a log takes besides what is in it."""
_PLACE: Final = 8
"""Bytes for the place where two fragments met."""

Fragment: TypeAlias = tuple[Hashable, str]
"""Which block it belongs to, and its text."""


def fragment_of(event: Event) -> Fragment | None:
    """Say of which block an event is a fragment; None if it is none."""
    if type(event) is MessageUpdate:
        return _fragment(event.delta, ())
    if type(event) is ToolExecutionUpdate and type(event.event) is MessageUpdate:
        return _fragment(event.event.delta, (event.call_id, event.path))
    return None


def _fragment(delta: BlockDelta, where: Hashable) -> Fragment | None:
    match delta:
        case TextDelta(text, index) | ThinkingDelta(text, index) | ToolCallDelta(text, index):
            return (type(delta), index, where), text
        case _:
            return None


@define
class Merged:
    """A piece that may still grow.

    Args:
        first: the number of its first fragment; each has one number.
        key: the block that its fragments belong to.
        event: the last of its fragments, as it came.
        text: the text of the first.
    """

    first: int
    key: Hashable
    event: Event
    text: str
    """The text of its first fragment."""
    size: int = field(init=False)
    """About how many bytes it takes."""
    _fragments: list[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._fragments = [self.text]
        self.size = PIECE + len(self.text)

    def grow(self, event: Event, text: str) -> None:
        """Add a fragment."""
        self.event = event
        self._fragments.append(text)
        self.size += len(text) + _PLACE

    def after(self, number: int) -> Event:
        """Give what comes after a number, as one event."""
        rest = self._fragments[max(0, number - self.first + 1) :]
        return self.event if len(rest) == 1 else _with_text(self.event, "".join(rest))

    def sealed(self) -> "Sealed":
        """Give the same, for good: its text as one string, and where its fragments met."""
        ends = array("Q")
        end = 0
        for fragment in self._fragments:
            ends.append(end := end + len(fragment))
        return Sealed(self.first, self.event, "".join(self._fragments), ends, self.size)


@define
class Sealed:
    """A piece that grows no more; see `Merged`."""

    first: int
    event: Event
    """The last of its fragments, as it came."""
    text: str
    _ends: MutableSequence[int]
    size: int

    def share(self, text: str) -> None:
        """Hold somebody else's copy of the text."""
        self.text = text
        self.size -= len(text)

    def after(self, number: int) -> Event:
        """Give what comes after a number, as one event."""
        start = self._ends[number - self.first] if number >= self.first else 0
        return _with_text(self.event, self.text[start:])


def _with_text(event: Event, text: str) -> Event:
    match event:
        case MessageUpdate(delta):
            return MessageUpdate(_delta_with_text(delta, text))
        case ToolExecutionUpdate(event=MessageUpdate(delta)):
            return evolve(event, event=MessageUpdate(_delta_with_text(delta, text)))
        case _:
            return event


def _delta_with_text(delta: BlockDelta, text: str) -> BlockDelta:
    match delta:
        case TextDelta(index=index):
            return TextDelta(text, index)
        case ThinkingDelta(index=index):
            return ThinkingDelta(text, index)
        case ToolCallDelta(index=index):
            return ToolCallDelta(text, index)
        case _:
            return delta
