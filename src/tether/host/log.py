"""The log of a conversation: its events, numbered from 1, for any number of viewers at any pace.

    log = kept* run*
    kept = MessageStart MessageEnd      # a message that was there before, whole in both
    run = as in `tether.events`

A viewer is a number: that of the last event it has got. The log holds no queue for it. `after` gives it the next event.
Fragments of one block that stand beside each other are merged as they come (see `fragments.py`), so a viewer that keeps
up gets each of them, and one that is late gets all that it lacks of the block in one event. What any viewer gets is
legal by the grammar, and no text is missing or doubled.

A merged piece shares its text with the block that it became. Beyond the messages of the conversation itself, which its
agent holds anyway, a log therefore costs a few objects for each message, eight bytes for each fragment, and the
updates of tools. These are let go of where the log grows beyond its limit, the oldest first: those of calls that have
ended, then plain ones of calls that run.

No I/O.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs
from attrs import define

from tether import (
    AgentEnd,
    Event,
    Message,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    Text,
    Thinking,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
)
from tether.deltas import BlockEnd
from tether.host.fragments import PIECE, Merged, Sealed, fragment_of

__all__ = ("Log",)

_DEEPEST: Final = 32
"""How many levels of a value are counted: what programs put into `details` may refer to itself."""
_KEPT_UPDATES: Final = 16
"""How many plain updates of a call that runs are kept in any case."""


@define
class _Single:
    """An event that stands by itself."""

    event: Event
    size: int

    def after(self, number: int) -> Event:
        return self.event


_Piece: TypeAlias = _Single | Merged | Sealed


class Log:
    """The events of a conversation.

    Args:
        max_bytes: about how many bytes it may hold.
    """

    def __init__(self, *, max_bytes: float) -> None:
        self._pieces: list[_Piece] = []
        # The number that each piece ends with, to find a viewer's place by.
        self._lasts: list[int] = []
        self._max_bytes = max_bytes
        self._thin_again = max_bytes
        self.number: int = 0
        """That of the last event; 0 before the first."""
        self.settled: int = 0
        """That of the last `MessageEnd`."""
        self.message_count: int = 0
        """How many messages have ended."""
        self.last_message: Message | None = None
        self.last_end: int = 0
        """The number of the last `AgentEnd`."""
        self.size: int = 0
        """About how many bytes it holds, the messages included."""

    def keep(self, messages: Iterable[Message]) -> None:
        """Begin with messages that were there before."""
        for message in messages:
            self.append(MessageStart(message))
            self.append(MessageEnd(message))

    @property
    def is_full(self) -> bool:
        """Whether it holds more than it may, and nothing can be let go of."""
        return self.size > self._max_bytes

    def messages(self) -> Iterator[Message]:
        """Iterate over the messages that have ended, in order."""
        for piece in self._pieces:
            if isinstance(piece, _Single) and isinstance(piece.event, MessageEnd):
                yield piece.event.message

    def messages_by(self, number: int) -> int:
        """Count the messages that have ended by a number."""
        pieces = self._pieces[: bisect_right(self._lasts, number)]
        return sum(isinstance(piece.event, MessageEnd) for piece in pieces)

    def append(self, event: Event) -> int:
        """Add an event.

        Returns:
            Its number.
        """
        self.number += 1
        fragment = fragment_of(event)
        last = self._pieces[-1] if self._pieces else None
        if fragment is not None and type(last) is Merged and last.key == fragment[0]:
            before = last.size
            last.grow(event, fragment[1])
            self._lasts[-1] = self.number
            self._grow(last.size - before)
            return self.number
        if type(last) is Merged:
            self._pieces[-1] = self._sealed(last, event)
        if fragment is not None:
            self._add(Merged(self.number, fragment[0], event, fragment[1]))
        else:
            self._add(_Single(event, PIECE + _size_of(event)))
        if isinstance(event, MessageEnd):
            self.settled = self.number
            self.message_count += 1
            self.last_message = event.message
        elif isinstance(event, AgentEnd):
            self.last_end = self.number
        return self.number

    def after(self, number: int) -> tuple[int, Event] | None:
        """Give the next event for a viewer that has got those up to a number.

        Returns:
            Its number, and the event; None if there is none yet.
        """
        if number >= self.number:
            return None
        place = bisect_right(self._lasts, number)
        return self._lasts[place], self._pieces[place].after(number)

    def _add(self, piece: _Piece) -> None:
        self._pieces.append(piece)
        self._lasts.append(self.number)
        self._grow(piece.size)

    def _sealed(self, piece: Merged, following: Event) -> Sealed:
        """Seal a piece; where the block that it became follows, hold its text only once."""
        sealed = piece.sealed()
        nested = following.event if isinstance(following, ToolExecutionUpdate) else following
        match nested:
            case MessageUpdate(delta=BlockEnd(block=Text(text) | Thinking(text))):
                if text == sealed.text:
                    sealed.share(text)
                    self.size -= len(text)
            case _:
                pass
        return sealed

    def _grow(self, size: int) -> None:
        self.size += size
        if self.size > self._thin_again:
            self._thin(self._max_bytes * 3 // 4)
            # Not at each event, where little can be let go of.
            self._thin_again = max(self._max_bytes, self.size + self._max_bytes // 16)

    def _thin(self, wanted: float) -> None:
        """Let go of updates of tools, the oldest first, until the log is small enough."""
        dropped = set[int]()
        for place in self._droppable():
            if self.size <= wanted:
                break
            self.size -= self._pieces[place].size
            dropped.add(place)
        kept = [place for place in range(len(self._pieces)) if place not in dropped]
        self._pieces = [self._pieces[place] for place in kept]
        self._lasts = [self._lasts[place] for place in kept]

    def _droppable(self) -> Iterator[int]:
        """The places of updates that a legal log can be without."""
        running: dict[str, list[int]] = {}
        ended: list[int] = []
        for place, piece in enumerate(self._pieces):
            match piece.event:
                case ToolExecutionStart(call_id):
                    running[call_id] = []
                case ToolExecutionUpdate(call_id=call_id):
                    running.setdefault(call_id, []).append(place)
                case ToolExecutionEnd(call_id):
                    ended += running.pop(call_id, [])
                case _:
                    pass
        yield from sorted(ended)
        for places in running.values():
            plain = [place for place in places if _is_plain(self._pieces[place].event)]
            yield from plain[:-_KEPT_UPDATES]


def _is_plain(event: Event) -> bool:
    """Whether it is a progress report, and not an event of a child agent, which belongs to a run of its own."""
    return isinstance(event, ToolExecutionUpdate) and event.event is None


def _size_of(event: Event) -> int:
    """About how many bytes an event holds. A message counts once, where it ends."""
    match event:
        case MessageEnd(message):
            return _size(message)
        case ToolExecutionUpdate(content=content, details=details, event=None):
            return _size(content) + _size(details)
        case ToolExecutionUpdate(event=nested) if nested is not None:
            return _size_of(nested)
        case _:
            return 0


def _size(value: Any, levels: int = _DEEPEST) -> int:
    if not levels:
        return 0
    match value:
        case str() | bytes():
            return len(value)
        case Mapping():
            return 64 + sum(_size(key, 1) + _size(one, levels - 1) for key, one in value.items())
        case list() | tuple():
            return 64 + sum(_size(one, levels - 1) for one in value)
        case _ if attrs.has(type(value)):
            fields = attrs.fields(type(value))
            return 64 + sum(_size(getattr(value, one.name), levels - 1) for one in fields)
        case _:
            return 8
