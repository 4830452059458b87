"""Secrets within a text, found in whatever form they stand there: escaped, in base64, or cut at its end. No I/O."""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from attrs import field, frozen

__all__ = ("MASK", "Masking")

MASK: Final = "[key]"
"""What stands in the place of a secret."""

_SHORTEST_SECRET: Final = 6
"""Characters. Shorter keys, such as the `x` that some local servers want, occur in ordinary words."""
_SHORTEST_REST: Final = 4
"""Characters of a secret at the end of a text that was cut there."""


@frozen(slots=False)
class Masking:
    """Takes secrets out of texts."""

    _given: Iterable[str] = field(repr=False)

    @cached_property
    def _texts(self) -> Sequence[str]:
        """The secrets, the longest first: one may be a part of another."""
        texts = {text for text in self._given if len(text) >= _SHORTEST_SECRET}
        return sorted(texts, key=len, reverse=True)

    @cached_property
    def _in_base64(self) -> Sequence[str]:
        return [form for text in self._texts for form in _in_base64(text)]

    def without(self, text: str, *, may_be_cut: bool = False) -> str:
        """Return a text without the secrets, in whatever form they stand there.

        Args:
            text: the text.
            may_be_cut: whether one may have been cut at the end of the text.
        """
        for secret in self._texts:
            text = text.replace(secret, MASK)
        if _ESCAPE.search(text):
            text = _without_escaped(text, self._texts)
        standard = _standard(text)
        if any(encoded in standard for encoded in self._in_base64):
            text = _without_encoded(text, self._in_base64)
        return _without_cut_end(text, self._texts) if may_be_cut else text


_ESCAPE: Final = re.compile(
    r"\\{1,4}u([0-9a-f]{4})|\\{1,4}x([0-9a-f]{2})|%(?:25)*([0-9a-f]{2})|&#x([0-9a-f]{1,5});"
    r"|&#(\d{1,6});|&(\w{2,4});|\\{1,4}(.)",
    re.IGNORECASE | re.DOTALL,
)
"""A character that is escaped: as in JSON, in Python, in an address, in HTML."""
_NAMED: Final = {"amp": "&", "apos": "'", "gt": ">", "lt": "<", "quot": '"'}


def _meant(found: re.Match[str]) -> str:
    """The character that an escape stands for; none for a backslash, since it cannot be told how many are meant."""
    *in_hex, decimal, name, itself = found.groups()
    digits = next((digits for digits in in_hex if digits is not None), None)
    if digits is not None:
        itself = chr(int(digits, 16))
    elif decimal is not None:
        itself = chr(int(decimal))
    elif name is not None:
        itself = _NAMED.get(name.lower(), found[0])
    return "" if itself == "\\" else str(itself)


def _without_escaped(text: str, secrets: Sequence[str]) -> str:
    """Mask secrets of which any character may be escaped, in several ways."""
    plain, places = _unescaped(text)
    for secret in secrets:
        meant = _ESCAPE.sub(_meant, secret)
        if meant in plain:
            text = _without(text, plain, meant, places)
            plain, places = _unescaped(text)
    return text


def _unescaped(text: str) -> tuple[str, Sequence[int]]:
    """Return what a text means, and where each character of that, and its end, stands in the text."""
    plain: list[str] = []
    places: list[int] = []
    end = 0
    for found in _ESCAPE.finditer(text):
        plain += (text[end : found.start()], meant := _meant(found))
        places += (*range(end, found.start()), *[found.start()] * len(meant))
        end = found.end()
    plain.append(text[end:])
    places += range(end, len(text) + 1)
    return "".join(plain), places


def _without(text: str, searched: str, secret: str, places: Sequence[int]) -> str:
    """Mask the parts of a text that correspond to a secret in another form of it.

    Args:
        text: the text.
        searched: its other form.
        secret: the secret in that form.
        places: where each character of the other form, and its end, stands in the text.
    """
    kept: list[str] = []
    start = 0
    at = searched.find(secret)
    while at >= 0:
        kept += (text[places[start] : places[at]], MASK)
        start = at + len(secret)
        at = searched.find(secret, start)
    return "".join([*kept, text[places[start] :]]) if kept else text


def _standard(text: str) -> str:
    """From the alphabet of base64 that is used in addresses to the other one."""
    return text.replace("-", "+").replace("_", "/")


def _without_encoded(text: str, in_base64: Sequence[str]) -> str:
    for encoded in in_base64:
        text = _without(text, _standard(text), encoded, range(len(text) + 1))
    return text


def _in_base64(secret: str) -> Iterator[str]:
    """Encode a secret at each of the places where it may begin within what is encoded."""
    data = secret.encode(errors="replace")
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        # The characters at both ends also depend on what stands beside the secret.
        yield encoded[(0, 2, 3)[offset] : len(encoded) if not (len(data) + offset) % 3 else -1]


def _without_cut_end(text: str, secrets: Sequence[str]) -> str:
    """Mask the beginning of a secret at the end of a text."""
    plain, places = _unescaped(text)
    end = len(plain.rstrip("'\".) \u2026"))
    for secret in secrets:
        meant = _ESCAPE.sub(_meant, secret)
        for length in range(min(len(meant) - 1, end), _SHORTEST_REST - 1, -1):
            if plain.startswith(meant[:length], end - length):
                return f"{text[: places[end - length]]}{MASK}{text[places[end] :]}"
    return text
