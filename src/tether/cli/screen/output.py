"""What a running tool prints: its last lines for the screen, and all of it for whoever wants to see it."""

from collections import deque
from collections.abc import Iterable
from typing import Final

from attrs import define, field

__all__ = ()

LINES_SHOWN: Final = 5
"""The last lines, which stay on the screen; the model gets what the tool returns."""
_LONGEST_SHOWN: Final = 1_000
"""Characters of a line that are looked at to draw it: a line may have thousands, and is drawn again and again."""
_MOST_KEPT: Final = 4_000_000
"""Characters."""


@define
class Output:
    """The lines that a tool has printed."""

    last: deque[str] = field(factory=lambda: deque(maxlen=LINES_SHOWN))
    """The beginnings of the last ones."""
    lines: int = 0
    """All there were."""
    _kept: deque[str] = field(factory=deque)
    _size: int = 0

    def hear(self, lines: Iterable[str]) -> None:
        """Take lines in."""
        for line in lines:
            self.last.append(line[:_LONGEST_SHOWN])
            self.lines += 1
            self._kept.append(line)
            self._size += len(line)
        while self._size > _MOST_KEPT:
            self._size -= len(self._kept.popleft())

    @property
    def folded(self) -> int:
        """How many lines are not among the last."""
        return self.lines - len(self.last)

    @property
    def whole(self) -> str:
        """All of it, or what is kept of very much."""
        gone = self.lines - len(self._kept)
        return "\n".join([*([f"... {gone:,} lines before"] if gone else []), *self._kept])
