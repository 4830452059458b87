"""Secrets, taken out of recorded answers: also where a model says one in several events, such as token by token.

No I/O.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec

from tether.replay.masking import Change, Masking, replaced

__all__ = ("masked_answer",)

_Text: TypeAlias = tuple[str | int, ...]
"""Which text of an answer a string is a piece of: its path in the event, and which block it is of."""
_String: TypeAlias = tuple[_Text, Any, str | int]
"""A string: of which text it is a piece, what holds it, and under which key."""

_LINE: Final = re.compile(r"(?:^|(?<=[\r\n]))(?:data:)?[ \t]*(\{[^\r\n]*\})[ \t]*(?=[\r\n]|$)")
"""An event, as server-sent events and lines of JSON have it."""
_BLOCKS: Final = ("index", "output_index", "content_index", "summary_index")
"""What an event says of the block that it is about."""


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


def _changes(whole: str, masking: Masking) -> Sequence[Change]:
    """Find the events that have a part of a secret, and what is to stand there."""
    events = [*_events(whole)]
    texts: dict[_Text, list[tuple[int, Any, str | int]]] = {}
    for number, (_, _, strings) in enumerate(events):
        for text, holder, key in strings:
            texts.setdefault(text, []).append((number, holder, key))
    changed: set[int] = set()
    for parts in texts.values():
        masked = masking.pieces([holder[key] for _, holder, key in parts])
        for (number, holder, key), part in zip(parts, masked, strict=True):
            if holder[key] != part:
                holder[key] = part
                changed.add(number)
    return [
        (span, msgspec.json.encode(event).decode("latin-1"))
        for number, (span, event, _) in enumerate(events)
        if number in changed
    ]


def _events(whole: str) -> Iterator[tuple[tuple[int, int], Any, Sequence[_String]]]:
    for line in _LINE.finditer(whole):
        try:
            event = msgspec.json.decode(line[1].encode("latin-1"))
            strings = [*_strings(event, (), ())]
        except (ValueError, RecursionError):
            continue  # no event that a decoder would read
        yield line.span(1), event, strings


def _strings(value: Any, path: _Text, block: _Text) -> Iterator[_String]:
    """Find the strings in an event: of which text each is a piece, what holds it, and under which key."""
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
        if isinstance(one, str):
            yield (*path, key, "of", *block), value, key
        else:
            yield from _strings(one, (*path, key), block)
