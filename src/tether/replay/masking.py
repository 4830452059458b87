"""Secrets, taken out of what is recorded: also where one is cut into pieces.

No I/O.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from attrs import Factory, field, frozen

from tether.errors import UsageError

__all__ = ("MASK", "Change", "Masking", "replaced")

MASK: Final = "[secret]"

Change: TypeAlias = tuple[tuple[int, int], str]
"""A place in a text, from where to where, and what is to stand there."""


def _forms(secrets: Iterable[object]) -> tuple[str, ...]:
    """All that secrets may be written as, the longest first."""
    if isinstance(secrets, str | bytes):
        raise UsageError("secrets must be a list of strings, such as [key], not one string")
    forms: set[str] = set()
    for secret in secrets:
        if not isinstance(secret, str) or not secret:
            kind = "one that is empty" if isinstance(secret, str) else type(secret).__name__
            raise UsageError(f"secrets must be strings that are not empty, not {kind}")
        forms |= {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        forms |= {quote(secret), quote(secret, safe="")}
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

    def may_begin(self, text: str) -> bool:
        """Say whether a secret may have begun at the end of a text that goes on."""
        return any(
            form.startswith(text[-length:])
            for form in self._forms
            for length in range(1, min(len(form), len(text) + 1))
        )

    def text(self, text: str) -> str:
        """Take secrets out of a text."""
        return text if self._found is None else self._found.sub(MASK, text)

    def value(self, value: Any) -> Any:
        """Take secrets out of all strings of what JSON can hold."""
        if self._found is None:
            return value
        match value:
            case str():
                return self._found.sub(MASK, value)
            case dict():
                return {self.text(key): self.value(one) for key, one in value.items()}
            case list() | tuple():
                return [self.value(one) for one in value]
            case _:
                return value

    def pieces(self, pieces: Sequence[str]) -> list[str]:
        """Take secrets out of a text that comes in pieces; a mask stands in the piece in which its secret begins."""
        if self._found is None:
            return list(pieces)
        found = self._found.finditer("".join(pieces))
        return replaced(pieces, [(match.span(), MASK) for match in found])


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
