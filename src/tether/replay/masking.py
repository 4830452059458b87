"""Secrets, taken out of what is recorded: also where one is cut into pieces.

No I/O.
"""

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast
from urllib.parse import quote

from attrs import Factory, define, field, frozen

from tether.errors import UsageError
from tether.replay.words import words

__all__ = (
    "MASK",
    "Change",
    "Masking",
    "Place",
    "checked_secrets",
    "likely_secrets",
    "places_in",
    "replaced",
    "texts_of",
)

MASK: Final = "[secret]"

Change: TypeAlias = tuple[tuple[int, int], str]
"""A place in a text, from where to where, and what is to stand there."""
_Path: TypeAlias = tuple[str | int, ...]
_Piece = TypeVar("_Piece")

_SHORTEST: Final = 4
_SHORTEST_FOUND: Final = 8
"""What is shorter is no key of a provider, and may well be a part of what is no secret."""
_TAGS: Final = {"type", "role"}
_FREE: Final = {"details", "arguments", "data"}
"""What holds data of any form: its strings are no pieces of texts outside."""


@define(eq=False)
class Place:
    """Where a string stands in what JSON can hold."""

    holder: Any
    """The object or the list that has it, under `key`."""
    key: str | int
    path: _Path
    """From the whole to it."""
    unit: int
    """How much of the path leads to the message, or to the free data, that it is of."""
    kind: str
    """The tag of the block that holds it, if it has one."""

    @property
    def text(self) -> str:
        """The string."""
        text: str = self.holder[self.key]
        return text

    def put(self, text: str) -> None:
        """Put another string in its place."""
        self.holder[self.key] = text

    @property
    def texts(self) -> Sequence[Hashable]:
        """Name the texts of its unit that it is a piece of: that of its place, and that of its kind of blocks there."""
        unit = self.path[: self.unit]
        names = tuple(step for step in self.path[self.unit :] if isinstance(step, str))
        return (unit, names), (unit, names, self.kind)


def places_in(value: Any, path: _Path = (), unit: int = 0) -> Iterator[Place]:
    """Find the strings in a value, but for tags, in their order.

    Args:
        value: what JSON can hold.
        path: where it stands.
        unit: how much of the path leads to the unit that it is of.
    """
    items: Iterable[tuple[str | int, Any]]
    kind = ""
    match value:
        case dict():
            named = cast("dict[str, Any]", value)
            kind = str(named.get("type", ""))
            unit = len(path) if "role" in named else unit
            items = named.items()
        case list():
            items = enumerate(value)
        case _:
            return
    for key, one in items:
        below = (*path, key)
        within = len(below) if key in _FREE else unit
        if not isinstance(one, str):
            yield from places_in(one, below, within)
        elif key not in _TAGS:
            yield Place(value, key, below, within, kind)


def texts_of(pieces: Iterable[tuple[_Piece, Iterable[Hashable]]]) -> Iterator[list[_Piece]]:
    """Group pieces by the texts that they are of.

    Args:
        pieces: each with the names of its texts.

    Returns:
        The pieces of each text, in order; texts of the same pieces once.
    """
    texts: dict[Hashable, list[_Piece]] = {}
    for piece, names in pieces:
        for name in names:
            texts.setdefault(name, []).append(piece)
    seen: set[tuple[int, ...]] = set()
    for text in texts.values():
        same = tuple(map(id, text))
        if same not in seen:
            seen.add(same)
            yield text


def checked_secrets(secrets: Iterable[object]) -> tuple[str, ...]:
    """Check what is to be taken out of recordings.

    Returns:
        The secrets.

    Raises:
        UsageError: they are no list, or one of them is no string, or is too short, or such that no recording could be
            read without it.
    """
    if isinstance(secrets, str | bytes):
        raise UsageError("secrets must be a list of strings, such as [key], not one string")
    found: list[str] = []
    for secret in secrets:
        if not isinstance(secret, str):
            kind = type(secret).__name__
            raise UsageError(f"secrets must be strings that are not empty, not {kind}")
        if problem := _problem(secret):
            raise UsageError(f"secrets must be {problem}")
        found.append(secret)
    return tuple(found)


def likely_secrets(found: Iterable[str]) -> tuple[str, ...]:
    """Keep those of the strings that may be keys: not those that are too short or too plain."""
    return tuple(one for one in found if len(one) >= _SHORTEST_FOUND and not _problem(one))


def _problem(secret: str) -> str:
    """Say what a secret must be, if it is not."""
    if not secret:
        return "strings that are not empty, not one that is empty"
    if len(secret) < _SHORTEST:
        return (
            f"at least {_SHORTEST} characters long, not {len(secret)}: a shorter one stands in many words, and without"
            " these the recording could not be read"
        )
    if secret in MASK or any(secret in word for word in words()):
        return (
            "other than the words of which each recording is made, such as 'message': without these it could not be"
            f" read; see the one of {len(secret)} characters"
        )
    return ""


def _forms(secrets: Iterable[object]) -> tuple[str, ...]:
    """All that secrets may be written as, the longest first."""
    forms: set[str] = set()
    for secret in checked_secrets(secrets):
        forms |= {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        forms |= {quote(secret, errors="replace"), quote(secret, safe="", errors="replace")}
    return tuple(sorted(forms, key=len, reverse=True))


def _pattern(masking: "Masking") -> re.Pattern[str] | None:
    forms = masking._forms  # noqa: SLF001 - of the class below
    return re.compile("|".join(map(re.escape, forms))) if forms else None


@frozen
class Masking:
    """What takes secrets out, as they are and as JSON and addresses write them."""

    _forms: tuple[str, ...] = field(converter=_forms, alias="secrets", repr=False)
    _found: re.Pattern[str] | None = field(
        default=Factory(_pattern, takes_self=True), init=False, repr=False
    )

    @property
    def is_needed(self) -> bool:
        """Whether there are secrets."""
        return self._found is not None

    def begun(self, text: str) -> int:
        """Say how many characters at the end of a text that goes on may be the beginning of a secret."""
        longest = min(max(map(len, self._forms), default=1) - 1, len(text))
        for length in range(longest, 0, -1):
            end = text[-length:]
            if any(len(form) > length and form.startswith(end) for form in self._forms):
                return length
        return 0

    def text(self, text: str) -> str:
        """Take secrets out of a text."""
        return text if self._found is None else self._found.sub(MASK, text)

    def value(self, value: Any) -> Any:
        """Take secrets out of all strings of what JSON can hold.

        A secret is found too where it is cut between strings that stand at the same place in neighbours in a list, such
        as the blocks of one message. What becomes of a message depends on the message alone.

        Returns:
            A copy; the value itself, where there are no secrets.
        """
        if self._found is None:
            return value
        made = self._each(value)
        for text in texts_of((place, place.texts) for place in places_in(made)):
            if len(text) > 1:  # others were searched by themselves
                self.across(text)
        return made

    def _each(self, value: Any) -> Any:
        """Take secrets out of each string by itself."""
        match value:
            case str():
                return self.text(value)
            case dict():
                named = cast("Mapping[Any, Any]", value)
                return {self.text(key): self._each(one) for key, one in named.items()}
            case list() | tuple():
                return [self._each(one) for one in cast("Sequence[Any]", value)]
            case _:
                return value

    def across(self, places: Sequence[Place]) -> None:
        """Take secrets out of a text whose pieces stand at places, in order."""
        before = [place.text for place in places]
        for place, old, new in zip(places, before, self.pieces(before), strict=True):
            if old != new:
                place.put(new)

    def pieces(self, pieces: Sequence[str]) -> list[str]:
        """Take secrets out of a text that comes in pieces; a mask stands in the piece in which its secret begins."""
        if self._found is None:
            return list(pieces)
        changes = [(match.span(), MASK) for match in self._found.finditer("".join(pieces))]
        return replaced(pieces, changes) if changes else list(pieces)


def replaced(pieces: Sequence[str], changes: Sequence[Change]) -> list[str]:
    """Replace parts of a text that comes in pieces.

    Args:
        pieces: the text.
        changes: the places in the whole, in order, and what stands there then, in the piece in which the place begins.

    Returns:
        As many pieces.
    """
    made: list[str] = []
    start = 0
    for piece in pieces:
        end, at, kept = start + len(piece), 0, ""
        for (begin, over), new in changes:
            if over <= start or begin >= end:
                continue
            kept += piece[at : max(begin - start, at)] + (new if begin >= start else "")
            at = min(over, end) - start
        made.append(kept + piece[at:])
        start = end
    return made
