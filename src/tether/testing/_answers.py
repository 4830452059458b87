"""Secrets, taken out of recorded answers: also where a model says one in several events, such as token by token.

No I/O.
"""

import re
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final, cast

import msgspec
from attrs import define, field

from tether.replay.masking import Change, Masking, replaced, texts_of

__all__ = ("masked_answer",)

_LINE: Final = re.compile(r"(?:^|(?<=[\r\n]))(?:data:)?[ \t]*([^\r\n]+)")
"""An event, as server-sent events and lines of JSON have it, or a part of one."""
_LITERAL: Final = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)([ \t]*:)?')
"""A string in what is no JSON, perhaps cut off at its end; and what shows it to be a name."""
_DEEPEST: Final = 100
"""How deep JSON is searched as such; deeper, its strings are searched as they stand there."""
_BLOCKS: Final = ("index", "output_index", "content_index", "summary_index")
"""What an event says of the block that it is about."""


@define(eq=False)
class _Event:
    """What stands between two places of the body, and what is to stand there."""

    start: int
    end: int
    said: Any
    """What it says as JSON; None for what is none."""
    changes: list[Change] = field(factory=list[Change])
    """Literals of what is no JSON that become others."""
    is_changed: bool = False

    def change(self, body: str) -> Change:
        """Write it anew."""
        if self.said is None:
            [text] = replaced([body[self.start : self.end]], sorted(self.changes))
        else:
            text = msgspec.json.encode(self.said).decode("latin-1")
        return (self.start, self.end), text


@define(eq=False)
class _String:
    """A string in an event, which may be a piece of texts."""

    event: _Event
    text: str
    names: Sequence[Hashable]
    """Those of the texts: of its place in the event and the block, of its place in any, and of what it is called."""
    holder: Any
    """What has it, under `key`; None where the event is no JSON, and `key` is where it stands."""
    key: Any

    def put(self, text: str) -> None:
        """Have another string in its place."""
        self.text = text
        self.event.is_changed = True
        if self.holder is None:
            literal = msgspec.json.encode(text).decode("latin-1")
            changes = self.event.changes
            changes[:] = [change for change in changes if change[0] != self.key]
            changes.append((self.key, literal[1:-1]))
        else:
            self.holder[self.key] = text


def masked_answer(pieces: Sequence[bytes], masking: Masking) -> list[bytes]:
    """Take secrets out of the body of an answer.

    Args:
        pieces: the body, as it came, cut anywhere.
        masking: takes secrets out.

    Returns:
        As many pieces. A mask stands where its secret begins; an event that had a part of one is written anew.
    """
    # A secret is ASCII as a rule, or else stands escaped in JSON; bytes that are no text pass through as they are.
    texts = masking.pieces([piece.decode("latin-1") for piece in pieces])
    changes = _changes("".join(texts), masking)
    return [text.encode("latin-1") for text in replaced(texts, changes)]


def _changes(body: str, masking: Masking) -> Sequence[Change]:
    """Find the events that have a part of a secret, and what is to stand there."""
    strings = [string for event in _events(body) for string in _strings_of(event, body)]
    for text in texts_of((string, string.names) for string in strings):
        before = [string.text for string in text]
        for string, old, new in zip(text, before, masking.pieces(before), strict=True):
            if old != new:
                string.put(new)
    events = dict.fromkeys(string.event for string in strings if string.event.is_changed)
    return [event.change(body) for event in events]


def _events(body: str) -> Iterator[_Event]:
    whole = _json_of(body)
    if whole is not None:
        yield _Event(0, len(body), whole)
        return
    for line in _LINE.finditer(body):
        said = line[1].rstrip(" \t")
        yield _Event(line.start(1), line.start(1) + len(said), _json_of(said))


def _json_of(text: str) -> Any:
    """Read an object or a list; None where it is none that a decoder would read."""
    try:
        said = msgspec.json.decode(text.encode("latin-1"))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict | list) else None


def _strings_of(event: _Event, body: str) -> Iterator[_String]:
    if event.said is not None:
        try:
            yield from [*_strings(event, event.said, (), ())]
        except RecursionError:
            event.said = None
        else:
            return
    name = ""
    for literal in _LITERAL.finditer(body[event.start : event.end]):
        if literal[2]:
            name = literal[1]
        else:
            yield _String(event, _meant(literal[1]), [("called", name)], None, literal.span(1))


def _meant(literal: str) -> str:
    """Read a string of JSON; as it stands, where it is none."""
    try:
        return msgspec.json.decode(f'"{literal}"'.encode("latin-1"), type=str)
    except ValueError:
        return literal


def _strings(
    event: _Event, value: Any, path: tuple[str | int, ...], block: tuple[str, ...]
) -> Iterator[_String]:
    """Find the strings in what an event says.

    Raises:
        RecursionError: it is too deep.
    """
    if len(path) > _DEEPEST:
        raise RecursionError
    items: Iterator[tuple[str | int, Any]]
    match value:
        case dict():
            named = cast("dict[str, Any]", value)
            block = (*block, *(str(named[name]) for name in _BLOCKS if name in named))
            items = iter(named.items())
        case list():
            items = enumerate(value)
        case _:
            return
    for key, one in [*items]:
        below = (*path, key)
        if isinstance(one, str):
            steps = tuple(step for step in below if isinstance(step, str))
            names = (
                ("at", below, block),
                ("within", steps),
                ("called", steps[-1] if steps else ""),
            )
            yield _String(event, one, names, value, key)
        else:
            yield from _strings(event, one, below, block)
