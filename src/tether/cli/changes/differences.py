"""The difference between two texts, as a person reads it: with colours, and every character that could deceive."""

import difflib
from collections.abc import Iterator
from typing import Final

from tether.cli.door import DIM, GREEN, RED, Drawn, revealed, styled

__all__ = ()

_MOST_COMPARISONS: Final = 4_000_000
"""Lines of one text times lines of the other; beyond, comparing them takes seconds."""
_STYLES: Final = {"+": (GREEN,), "-": (RED,), "@": (DIM,)}


def difference(before: str, after: str) -> list[str]:
    """Compare two texts.

    Args:
        before: the one.
        after: the other.

    Returns:
        Lines in the format that `diff -u` has, without the names of files. Where both are long, all of the other.
    """
    old, new = before.splitlines(), after.replace("\r\n", "\n").splitlines()
    if len(old) * len(new) > _MOST_COMPARISONS:
        return [f"(in place of {len(old):,} lines)", *(f"+{line}" for line in new)]
    if old == new:
        return ["(no line changes)" if old else "(empty)"]
    # The first two lines name files.
    return list(difflib.unified_diff(old, new, lineterm=""))[2:]


def drawn_difference(lines: list[str]) -> Iterator[Drawn]:
    """Draw what `difference` returns: what is new in green, what is gone in red."""
    for line in lines:
        if line.startswith("("):
            yield styled(f"  {line}", DIM)
        else:
            yield revealed(f"  {line}", *_STYLES.get(line[:1], ()))


def marked(mark: str, text: str) -> list[str]:
    """Write all lines of a text with a mark, `+` or `-`."""
    return [f"{mark}{line}" for line in text.splitlines()]
