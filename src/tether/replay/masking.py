"""Secrets, taken out of what is recorded: also where one is cut into pieces.

No I/O.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

from attrs import Factory, field, frozen

from tether.errors import UsageError

__all__ = ("MASK", "Masking")

MASK: Final = "[secret]"


def _forms(secrets: Iterable[object]) -> tuple[str, ...]:
    """All that secrets may be written as, the longest first."""
    forms: set[str] = set()
    for secret in secrets:
        if not isinstance(secret, str) or not secret:
            raise UsageError(f"secrets must be strings that are not empty, not {secret!r}")
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
        whole = "".join(pieces)
        spans = [match.span() for match in self._found.finditer(whole)]
        masked: list[str] = []
        start = 0
        for piece in pieces:
            end, at, kept = start + len(piece), start, ""
            for begin, over in spans:
                if over <= start or begin >= end:
                    continue
                kept += whole[at : max(begin, at)] + (MASK if begin >= start else "")
                at = min(over, end)
            masked.append(kept + whole[at:end])
            start = end
        return masked
