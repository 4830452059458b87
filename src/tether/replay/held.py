"""Notes that are held back, since a secret may have begun in one of them that ends in a later one.

Text comes in pieces: that of a reply, what a tool reports, and both of agents that run inside a call. Others' notes may
stand between two pieces.

No I/O.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from attrs import define, field

from tether.deltas import BlockEnd, TextDelta, ThinkingDelta, ToolCallDelta
from tether.events import Event, MessageEnd, MessageUpdate, ToolExecutionEnd, ToolExecutionUpdate
from tether.messages import Text, Thinking
from tether.replay.masking import Masking, Place, places_in, texts_of

__all__ = ("Held", "Noted")

Noted: TypeAlias = tuple[str, float, Any]
"""What kind of note, when, and what it says."""
_Source: TypeAlias = tuple[str, ...]
"""Of which call, and of which agent in it; empty for the run itself."""
_Name: TypeAlias = tuple[object, ...]
"""Of a text that comes in pieces: its source, and what it is."""

_MOST: Final = 64
"""Pieces that wait before it is looked whether they may be written."""


@define(eq=False)
class _Piece:
    """A piece of texts."""

    note: int
    """The note that it stands in, counted from the first."""
    place: Place
    source: _Source
    texts: Sequence[_Name]
    """Those that it is a piece of."""
    goes_on: bool = field(default=True, init=False)
    """Whether these may go on."""

    @property
    def is_said(self) -> bool:
        """Whether it is of a reply."""
        return self.texts[0][1] in {"said", "arguments", "blocks"}


@define
class Held:
    """Notes in their order, until no secret may have begun in them.

    Args:
        masking: takes secrets out.
    """

    _masking: Masking
    _notes: list[Noted] = field(factory=list[Any], init=False)
    _written: int = field(default=0, init=False)
    """How many notes were held before these."""
    _pieces: list[_Piece] = field(factory=list[_Piece], init=False)
    _texts: dict[int, Sequence[_Name]] = field(factory=dict[int, Any], init=False)
    """The names of the texts of a piece of text, for each block."""
    _comes_fast: bool = field(default=False, init=False)
    """Whether the last note is of a piece of the reply, as most are."""

    def add(self, kind: str, seconds: float, said: Any, event: Event | None) -> None:
        """Hold a note.

        Args:
            kind: what it is.
            seconds: since the recording began.
            said: what it says.
            event: of which event it is.
        """
        masked = self._masking.value(said)
        if event is not None:
            self._close(event)
            for source, place, names in _places(event, masked):
                texts = [(source, *name) for name in names]
                self._pieces.append(_Piece(self._number, place, source, texts))
        self._notes.append((kind, seconds, masked))
        self._comes_fast = isinstance(event, MessageUpdate)

    def add_text(self, seconds: float, delta: TextDelta) -> None:
        """Hold a piece of the reply's text, as most are."""
        said = [delta.index, delta.text]
        texts = self._texts.get(delta.index)
        if texts is None:
            texts = self._texts[delta.index] = [((), *name) for name in _names_of(delta)]
        self._pieces.append(_Piece(self._number, Place(said, 1, (1,), 0, ""), (), texts))
        self._notes.append(("text", seconds, said))
        self._comes_fast = True

    def end(self) -> None:
        """Note that no further piece follows."""
        for piece in self._pieces:
            piece.goes_on = False
        self._comes_fast = False

    def ready(self) -> Sequence[Noted]:
        """Take out what may be written: all before the first note in which a secret may have begun.

        Where pieces come fast, many of them come out at once.
        """
        if self._comes_fast and len(self._notes) % _MOST:
            return ()
        first = self._number
        for text in texts_of((piece, piece.texts) for piece in self._pieces):
            self._masking.across([piece.place for piece in text])
            first = min(first, self._begun(text))
        count = first - self._written
        ready, self._notes = self._notes[:count], self._notes[count:]
        self._pieces = [piece for piece in self._pieces if piece.note >= first]
        self._written = first
        return ready

    def _begun(self, text: Sequence[_Piece]) -> int:
        """Return the first note in which a secret may have begun that the text does not hold whole yet."""
        left = 0
        if text[-1].goes_on:
            left = self._masking.begun("".join(piece.place.text for piece in text))
        first = self._number
        for piece in reversed(text):
            if left <= 0:
                break
            left -= len(piece.place.text)
            first = piece.note
        return first

    @property
    def _number(self) -> int:
        """That of the next note."""
        return self._written + len(self._notes)

    def _close(self, event: Event, source: _Source = ()) -> None:
        """Take it that pieces of what an event of a source has ended do not go on."""
        match event:
            case ToolExecutionEnd():
                inside = (*source, event.call_id)
                ended = [one for one in self._pieces if one.source[: len(inside)] == inside]
            case MessageEnd():
                ended = [one for one in self._pieces if one.source == source and one.is_said]
            case ToolExecutionUpdate(event=inner) if inner is not None:
                self._close(inner, (*source, event.call_id, *event.path))
                return
            case _:
                return
        for piece in ended:
            piece.goes_on = False


def _names_of(delta: TextDelta | ThinkingDelta) -> Sequence[_Name]:
    """Name the texts of a piece: all of the reply, that of its kind of blocks, and that of its block."""
    return ("said",), ("said", delta.type), ("said", delta.type, delta.index)


def _places(
    event: Event, said: Any, source: _Source = ()
) -> Iterator[tuple[_Source, Place, Sequence[_Name]]]:
    """Find the pieces in an event, each with the names of its texts.

    Args:
        event: the event.
        said: what the note says of it.
        source: whose it is.
    """
    match event:
        case MessageUpdate(TextDelta() | ThinkingDelta() as delta):
            yield source, _at(said["delta"], "text"), _names_of(delta)
        case MessageUpdate(ToolCallDelta() as delta):
            yield source, _at(said["delta"], "arguments"), [("arguments", delta.index)]
        case MessageUpdate(BlockEnd(Text() | Thinking() as block)):
            place = _at(said["delta"]["block"], "text")
            yield source, place, (("blocks",), ("blocks", block.type))
        case ToolExecutionUpdate():
            inside = (*source, event.call_id, *event.path)
            for place in places_in(said):
                if place.path[0] in {"content", "details"}:
                    names = tuple(step for step in place.path if isinstance(step, str))
                    yield inside, place, (names, place.path, (*names, place.kind))
            if event.event is not None:
                yield from _places(event.event, said["event"], inside)
        case _:
            pass


def _at(holder: Any, key: str) -> Place:
    return Place(holder, key, (key,), 0, "")
