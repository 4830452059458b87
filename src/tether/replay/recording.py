"""Read recordings. A recording that was cut off can be read too: it is valid up to its end.

No I/O except reading the file.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from attrs import field, frozen

from tether.calls import OpenCalls
from tether.deltas import BlockDelta, TextDelta
from tether.errors import DecodeError
from tether.events import Event, MessageUpdate
from tether.messages import Message
from tether.replay.recorder import VERSION
from tether.replay.values import read_messages, read_open
from tether.serialize import from_builtins

__all__ = ("Note", "RecordedRun", "Recording", "event_of", "is_recording", "read", "taking")

_DAMAGE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What is raised where a note has another form than a recorder gives it."""


@frozen
class Note:
    """One line of a recording."""

    kind: str
    seconds: float
    """Since the recording began."""
    said: Any


@frozen
class RecordedRun:
    """One run on a recording."""

    messages: tuple[Message, ...] = field(repr=False)
    """The conversation as it began."""
    prompts: tuple[Message, ...]
    left_open: OpenCalls | None = field(repr=False)
    notes: Sequence[Note] = field(repr=False)
    """All that was noted of it, from its beginning to its end, or as far as the recording goes."""

    @property
    def events(self) -> tuple[Event, ...]:
        """Its events, in the order in which consumers got them."""
        return tuple(event for note in self.notes if (event := event_of(note)) is not None)

    @property
    def is_whole(self) -> bool:
        """Whether the recording has the end of the run."""
        return bool(self.notes) and self.notes[-1].kind in {"result", "raised"}


@frozen
class Recording:
    """What a file holds."""

    path: Path
    runs: tuple[RecordedRun, ...]
    torn: bytes = field(default=b"", repr=False)
    """Half a line at its end, where it was cut off."""


@contextmanager
def taking(note: Note) -> Iterator[None]:
    """Take a note in a block: what is raised where it has no such form as it should says that it is damaged.

    Raises:
        DecodeError: it is.
    """
    try:
        yield
    except (DecodeError, *_DAMAGE) as error:
        where = f"{note.kind!r} at {note.seconds:.6f} s"
        raise DecodeError(f"the recording is damaged: {error}", path=where) from error


def event_of(note: Note) -> Event | None:
    """The event that a note is of, if it is of one."""
    match note.kind:
        case "text":
            index, text = note.said
            return MessageUpdate(TextDelta(text, index))
        case "delta":
            return MessageUpdate(from_builtins(note.said, BlockDelta))
        case "event":
            return from_builtins(note.said, Event)
        case _:
            return None


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Say whether a file begins like a recording; False if it cannot be read, or is a pipe or a device."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False


_BEGINNING: Final = b'["recording",'


def read(path: str | os.PathLike[str]) -> Recording:
    """Read a recording, also while it is being written.

    Raises:
        DecodeError: it is none, or one of a later version, or a line in its middle cannot be read.
        OSError: it cannot be read.
    """
    path = Path(path)
    whole, newline, torn = path.read_bytes().rpartition(b"\n")
    lines = enumerate(whole.split(b"\n"), 1)
    notes = [note for number, line in lines for note in _notes(line, number, path)]
    if not newline or not notes or notes[0].kind != "recording":
        raise DecodeError("it is not a recording of tether", path=str(path))
    with taking(notes[0]):
        version = notes[0].said.get("version")
    if version != VERSION:
        raise DecodeError(
            f"it is a recording of version {version}; this tether reads {VERSION}", path=str(path)
        )
    return Recording(path, tuple(_runs(notes[1:])), torn)


def _notes(line: bytes, number: int, path: Path) -> Sequence[Note]:
    try:
        kind, seconds, said = msgspec.json.decode(line, type=tuple[str, float, Any])
        if kind == "texts":
            texts = msgspec.convert(said, list[tuple[int, int, str]])
            return [Note("text", moment / 1e6, (index, text)) for moment, index, text in texts]
        return [Note(kind, seconds, said)]
    except _DAMAGE as error:
        if number == 1:
            raise DecodeError("it is not a recording of tether", path=str(path)) from error
        where = f"line {number} of {path}"
        raise DecodeError(f"it cannot be read: {error}", path=where) from error


def _runs(notes: Sequence[Note]) -> Iterator[RecordedRun]:
    said: tuple[Message, ...] = ()
    begun: Note | None = None
    own: list[Note] = []
    for note in notes:
        if note.kind == "run":
            if begun is not None:
                yield _run(begun, said, own)
                own = []
            begun = note
            with taking(note):
                said = (*said[: note.said["known"]], *read_messages(note.said["messages"]))
        own.append(note)
        if note.kind in {"result", "raised"} and begun is not None:
            yield _run(begun, said, own)
            begun, own = None, []
    if begun is not None:
        yield _run(begun, said, own)


def _run(begun: Note, said: tuple[Message, ...], notes: Sequence[Note]) -> RecordedRun:
    with taking(begun):
        return RecordedRun(
            messages=said,
            prompts=read_messages(begun.said["prompts"]),
            left_open=read_open(begun.said["left_open"]),
            notes=tuple(notes),
        )
