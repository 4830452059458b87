"""Change text that may end its lines with LF, with CRLF or with both: each place keeps its own."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final

from attrs import frozen

__all__ = ("LineEnds", "with_ends_of")

_END: Final = re.compile(rb"\r?\n")


@frozen
class LineEnds:
    """A text with plain line ends, and where its real ones are."""

    content: bytes
    """As it is in the file."""

    @cached_property
    def plain(self) -> bytes:
        """The text with LF alone."""
        return self.content.replace(b"\r\n", b"\n")

    @cached_property
    def _crlf(self) -> Sequence[int]:
        """Where in `plain` a CRLF stood."""
        *parts, _ = self.content.split(b"\r\n")
        return [end - 1 for end in accumulate(len(part) + 1 for part in parts)]

    def places(self, old: bytes) -> Iterator[int]:
        """Find a text with plain line ends; gives where it begins in `plain`, without overlaps."""
        start = self.plain.find(old)
        while start >= 0:
            yield start
            start = self.plain.find(old, start + len(old))

    def replace(self, places: Sequence[int], old: bytes, new: bytes) -> bytes:
        """Put another text in some places.

        Args:
            places: where the old text begins in `plain`, in order.
            old: the text there, with plain line ends.
            new: the text to put there, with plain line ends.

        Returns:
            The new content, its line ends as they are in each place.
        """
        parts: list[bytes] = []
        done = 0
        for place in places:
            start, end = self._real(place), self._real(place + len(old))
            parts += [self.content[done:start], self._with_ends(new, start, end)]
            done = end
        return b"".join([*parts, self.content[done:]])

    def _real(self, plain: int) -> int:
        return plain + bisect_left(self._crlf, plain)

    def _with_ends(self, new: bytes, start: int, end: int) -> bytes:
        """Give a text the line ends of what stands in a place, in order; the last one for all that follow."""
        if b"\n" not in new:
            return new
        ends = _END.findall(self.content, start, end) or [self._end_around(start)]
        first, *lines = new.split(b"\n")
        last = len(ends) - 1
        return first + b"".join(ends[min(n, last)] + line for n, line in enumerate(lines))

    def _end_around(self, place: int) -> bytes:
        """Find the end of the line of a place, or of the one before."""
        place_after = self.content.find(b"\n", place)
        found = place_after if place_after >= 0 else self.content.rfind(b"\n", 0, place)
        return b"\r\n" if found > 0 and self.content[found - 1 : found] == b"\r" else b"\n"


def with_ends_of(content: bytes, old: bytes) -> bytes:
    """Give a text the line ends of the one that it replaces.

    Args:
        content: the new text.
        old: the old one; what most of its lines end with is kept.
    """
    crlf = old.count(b"\r\n")
    if crlf * 2 <= old.count(b"\n"):
        return content
    return content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
