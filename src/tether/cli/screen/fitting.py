"""Lines that fit a terminal: they break between words, and wide characters count as the two columns that they take."""

import re
from collections.abc import Iterator
from typing import Final

from tether.cli.door import PLAIN, Drawn, joined

__all__ = ()

_PARTS: Final = re.compile(r"(\x1b\[[0-9;]*m)|([ \t]+)|([^\s\x1b]+)")
_STYLES: Final = re.compile(r"\x1b\[[0-9;]*m")
_COLUMN_GAP: Final = re.compile(r"\S {2,}(?=\S)")


def width_of(text: str) -> int:
    """Count the columns that a text takes; styles take none."""
    plain = _STYLES.sub("", text)
    if plain.isascii():
        return len(plain)
    from rich.cells import cell_len  # noqa: PLC0415 - where there is a terminal

    return cell_len(plain)


def cut(line: str, width: int) -> str:
    """Cut a line to a number of columns; three dots say so."""
    if width_of(line) <= width:
        return line
    from rich.cells import set_cell_size  # noqa: PLC0415 - where there is a terminal

    # Longer ones would be read whole at each drawing.
    return set_cell_size(line[: max(width, 0) + 1], max(width - 3, 0)) + "..."[: max(width, 0)]


def fitted(text: str, width: int) -> Drawn:
    """Break the lines of a text between words, so that they fit.

    What goes on is indented as its line is, or stands below the second column where the line has two.

    Args:
        text: lines, drawn or not.
        width: columns.

    Returns:
        The text; words that are longer than a line are broken too.
    """
    drawn = text if isinstance(text, Drawn) else joined([text])
    if all(len(line) <= width and line.isascii() for line in drawn.split("\n")):
        return drawn
    return Drawn(
        "\n".join(Drawn(part) for line in drawn.split("\n") for part in _lines(line, width))
    )


def _lines(line: str, width: int) -> Iterator[str]:
    if width_of(line) <= width:
        yield line
        return
    indent = " " * _indent(line, width)
    style, now, taken, gap = "", "", 0, ""
    for styled, space, word in _PARTS.findall(line):
        if styled:
            style = "" if styled == PLAIN else style + styled
            now += gap + styled
            taken, gap = taken + len(gap), ""
        elif space:
            gap += space.expandtabs(4)
        else:
            for piece in _pieces(word, width - len(indent)):
                if taken + len(gap) + width_of(piece) > width and taken > len(indent):
                    yield now + (PLAIN if style else "")
                    now, taken, gap = indent + style, len(indent), ""
                now += gap + piece
                taken, gap = taken + len(gap) + width_of(piece), ""
    yield now + gap[: max(width - taken, 0)]


def _indent(line: str, width: int) -> int:
    plain = _STYLES.sub("", line)
    second = _COLUMN_GAP.search(plain)
    if second is not None and width_of(plain[: second.end()]) <= width // 2:
        return width_of(plain[: second.end()])
    return min(len(plain) - len(plain.lstrip(" ")), width // 2)


def _pieces(word: str, width: int) -> list[str]:
    if width_of(word) <= width:
        return [word]
    from rich.cells import chop_cells  # noqa: PLC0415 - where there is a terminal

    return chop_cells(word, max(width, 2))
