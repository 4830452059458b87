"""Lines of a screen: pieces of text with styles, cut to a width. No I/O."""

import math
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from tether.top.text import cut, width_of

__all__ = ("Line", "bar", "clipped", "plain", "sparkline", "wrapped")

Line: TypeAlias = list[tuple[str, str]]
"""Styles, by the names of prompt-toolkit, and texts."""

_SPARKS: Final = "▁▂▃▄▅▆▇█"
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


def plain(line: Iterable[tuple[str, str]]) -> str:
    """Leave styles out."""
    return "".join(text for _, text in line)


def clipped(line: Iterable[tuple[str, str]], width: int, *, fill: str | None = None) -> Line:
    """Cut a line to so many cells.

    Args:
        line: the line; its texts are visible.
        width: cells.
        fill: the style of what fills it up; None to leave it short.
    """
    result: Line = []
    room = width
    for style, text in line:
        if room <= 0:
            break
        short = cut(text, room)
        room -= width_of(short)
        result.append((style, short))
    if fill is not None and room > 0:
        result.append((fill, " " * room))
    return result


def sparkline(numbers: Sequence[float], width: int, *, from_zero: bool) -> str:
    """Draw numbers, the newest at the right end; what is not there, or does not move, is left out.

    Args:
        numbers: the oldest first.
        width: cells.
        from_zero: whether the lowest mark is 0, and not the least of the numbers.
    """
    shown = numbers[-width:] if width > 0 else []
    there = [one for one in shown if math.isfinite(one)]
    low = min(0.0, *there) if from_zero and there else min(there, default=0.0)
    high = max(there, default=0.0)
    marks = "".join(_spark(one, low, high) for one in shown)
    return marks.rjust(max(width, 0))


def _spark(number: float, low: float, high: float) -> str:
    if not math.isfinite(number):
        return " "
    if not 0 < high - low < math.inf:
        return " "  # it does not move
    return _SPARKS[min(int((number - low) / (high - low) * len(_SPARKS)), len(_SPARKS) - 1)]


def bar(share: float, width: int) -> str:
    """Draw a share of 1 as a bar, to an eighth of a cell; what is more than nothing is seen."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def wrapped(text: str, width: int, most: int) -> list[str]:
    """Break visible text at spaces into at most so many lines; the last one is cut."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        if line and width_of(line) + 1 + width_of(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".lstrip()
    lines = [*lines, line] if line else lines
    if len(lines) > most:
        lines = [*lines[: most - 1], cut(" ".join(lines[most - 1 :]), width)]
    return [cut(one, width) for one in lines]
