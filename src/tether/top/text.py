"""Text of others for a terminal: nothing in it commands the terminal, and its width is known."""

import unicodedata
from typing import Final

from wcwidth import wcwidth

__all__ = ("cut", "fitted", "middle_cut", "visible", "width_of")

_MARKS_IN_A_ROW: Final = 2
"""Some scripts put as many on a letter; more of them would cover the lines above."""
_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""What takes room or joins without being seen, though Python calls it printable."""


def visible(text: str) -> str:
    r"""Write out each character that cannot be seen, as Python does: `\x9b`, `\u202e`, `\n`.

    Returns:
        The text in one line, with no character that a terminal would obey.
    """
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for one in text:
        is_mark = unicodedata.category(one)[0] == "M"
        marks = marks + 1 if is_mark else 0
        seen = one.isprintable() and one not in _UNSEEN and not 0xFE00 <= ord(one) <= 0xFE0F
        if (
            seen
            and marks <= _MARKS_IN_A_ROW
            and (is_mark or wcwidth(one) > 0)
            and ord(one) < 0xE0100
        ):
            shown.append(one)
        else:
            shown.append(ascii(one)[1:-1] if one != "'" else one)
    return "".join(shown)


def width_of(text: str) -> int:
    """Count the cells of a line that is visible."""
    return len(text) if text.isascii() else sum(max(wcwidth(one), 0) for one in text)


def cut(text: str, width: int) -> str:
    """Cut a visible line to so many cells, with an ellipsis where something is left out."""
    if width_of(text) <= width:
        return text
    return f"{_beginning(text, width - 1)}…" if width > 0 else ""


def middle_cut(text: str, width: int) -> str:
    """Cut a visible line in its middle: names often differ at their ends."""
    if width_of(text) <= width:
        return text
    if width < 8:
        return cut(text, width)
    tail = (width - 1) // 2
    end = _beginning(text[::-1], tail)[::-1]
    return f"{_beginning(text, width - 1 - width_of(end))}…{end}"


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """Cut or fill up a visible line to exactly so many cells."""
    text = cut(text, width)
    room = " " * (width - width_of(text))
    return room + text if right else text + room


def _beginning(text: str, width: int) -> str:
    taken = 0
    for index, one in enumerate(text):
        taken += max(wcwidth(one), 0)
        if taken > width:
            return text[:index]
    return text
