"""Notes that are held back, since a secret may have begun in one of them that ends in a later one.

Text comes in pieces: that of a reply, what a tool reports, and both of agents that run inside a call. Others' notes may
stand between two pieces.

No I/O.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from attrs import define, field

from tether.deltas import TextDelta, ThinkingDelta, ToolCallDelta
from tether.events import Event, MessageEnd, MessageUpdate, ToolExecutionEnd, ToolExecutionUpdate
from tether.messages import Text
from tether.replay.masking import Masking

__all__ = ("Held", "Noted")

Noted: TypeAlias = tuple[str, float, Any]
"""What kind of note, when, and what it says."""
_Path: TypeAlias = tuple[str | int, ...]
"""Where a text stands in what a note says."""
_Source: TypeAlias = tuple[str, ...]
"""Of which call, and of which agent in it; empty for the run itself."""
_Stream: TypeAlias = tuple[_Source, str, int]
"""What comes in pieces: of one source, of one kind, in one block."""

_MOST: Final = 64
"""Pieces that wait before it is looked whether they may be written."""


@define
class Held:
    """Notes in their order, until no secret may have begun in them.

    Args:
        masking: takes secrets out.
    """

    _masking: Masking
    _notes: list[Noted] = field(factory=list[Any], init=False)
    _pieces: dict[_Stream, list[tuple[Any, _Path, str]]] = field(factory=dict[Any, Any], init=False)
    """What a note says, where in it the piece stands, and the piece, which is not there yet."""
    _open: set[_Stream] = field(factory=set[Any], init=False)
    """Those that may go on."""
    _comes_fast: bool = field(default=False, init=False)
    """Whether the last note is of a piece of the reply, as most are."""

    def add(self, kind: str, seconds: float, said: Any, event: Event | None) -> None:
        """Hold a note.

        Args:
            kind: what it is.
            seconds: since the recording began.
            said: what it says, which it may change.
            event: of which event it is.
        """
        places = [] if event is None else [*_places(event, ())]
        texts = [_taken(said, path) for _, path in places]
        masked = self._masking.value(said)
        self._notes.append((kind, seconds, masked))
        self._comes_fast = isinstance(event, MessageUpdate)
        if event is not None and not places:
            self._close(event)
        for (stream, path), text in zip(places, texts, strict=True):
            self._pieces.setdefault(stream, []).append((masked, path, text))
            self._open.add(stream)

    def add_text(self, seconds: float, delta: TextDelta) -> None:
        """Hold a piece of the reply's text, as most are."""
        said = [delta.index, ""]
        self._notes.append(("text", seconds, said))
        self._comes_fast = True
        stream: _Stream = ((), delta.type, delta.index)
        self._pieces.setdefault(stream, []).append((said, (1,), delta.text))
        self._open.add(stream)

    def end(self) -> None:
        """Take it that no piece follows."""
        self._open.clear()
        self._comes_fast = False

    def ready(self) -> Sequence[Noted]:
        """Take out what may be written: all, or nothing. Where pieces come fast, many of them come out at once."""
        if self._comes_fast and len(self._notes) % _MOST:
            return ()
        if any(self._may_go_on(stream) for stream in self._open):
            return ()
        for pieces in self._pieces.values():
            masked = self._masking.pieces([text for _, _, text in pieces])
            for (said, path, _), text in zip(pieces, masked, strict=True):
                _put(said, path, text)
        ready, self._notes = self._notes, []
        self._pieces.clear()
        self._open.clear()
        return ready

    def _may_go_on(self, stream: _Stream) -> bool:
        return self._masking.may_begin("".join(text for _, _, text in self._pieces[stream]))

    def _close(self, event: Event) -> None:
        """Take it that pieces of what an event has ended do not go on."""
        if isinstance(event, ToolExecutionEnd):
            self._open = {stream for stream in self._open if stream[0][:1] != (event.call_id,)}
        elif isinstance(event, MessageEnd):
            self._open = {stream for stream in self._open if stream[0]}


def _places(event: Event, path: _Path, source: _Source = ()) -> Iterator[tuple[_Stream, _Path]]:
    """Find the pieces in an event, each with its stream.

    Args:
        event: the event.
        path: where it stands in what the note says.
        source: whose it is.
    """
    match event:
        case MessageUpdate(TextDelta() | ThinkingDelta() as delta):
            yield (source, delta.type, delta.index), (*path, "delta", "text")
        case MessageUpdate(ToolCallDelta() as delta):
            yield (source, delta.type, delta.index), (*path, "delta", "arguments")
        case ToolExecutionUpdate():
            inside = (*source, event.call_id, *event.path)
            for place, block in enumerate(event.content):
                if isinstance(block, Text):
                    yield (inside, "content", 0), (*path, "content", place, "text")
            if event.event is not None:
                yield from _places(event.event, (*path, "event"), inside)
        case _:
            pass


def _taken(said: Any, path: _Path) -> str:
    """Take a text out."""
    *way, last = path
    for step in way:
        said = said[step]
    text: str = said[last]
    said[last] = ""
    return text


def _put(said: Any, path: _Path, text: str) -> None:
    *way, last = path
    for step in way:
        said = said[step]
    said[last] = text
