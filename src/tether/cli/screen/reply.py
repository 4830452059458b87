"""A reply in Markdown at a terminal without a line editor: what is settled stays, the rest is drawn over itself."""

import time
from collections.abc import Callable
from typing import Final

from attrs import define, field

from tether.cli.door import Door, Drawn, joined, printable
from tether.cli.markdown import GrowingMarkdown, Piece, rendered
from tether.cli.screen.theme import DARK, Theme

__all__ = ()

_SECONDS_BETWEEN_DRAWINGS: Final = 0.05


@define(eq=False)
class DrawnReply:
    """A reply as it arrives.

    Args:
        out: the terminal. Where it takes no escape sequences, nothing is shown before it is settled.
        size: returns the columns and lines of the terminal.
        theme: the colours.
        now: a clock, in seconds.
    """

    out: Door
    size: Callable[[], tuple[int, int]]
    theme: Theme = DARK
    now: Callable[[], float] = time.monotonic
    _text: GrowingMarkdown = field(factory=GrowingMarkdown, init=False)
    _lines: int = field(default=0, init=False)
    """How many were drawn of what is not settled."""
    _drawn_at: float | None = field(default=None, init=False)

    def add(self, text: str) -> None:
        """Show more of it."""
        settled = self._text.add(printable(text))
        if settled is not None:
            self._settle(settled)
        now = self.now()
        if settled or self._drawn_at is None or now - self._drawn_at >= _SECONDS_BETWEEN_DRAWINGS:
            self._drawn_at = now
            self._draw()

    def finish(self) -> None:
        """Show the rest: nothing more comes."""
        self._drawn_at = None
        if (rest := self._text.finish()) is not None:
            self._settle(rest)

    def _settle(self, piece: Piece) -> None:
        self._erase()
        if piece.text.strip():
            shown = rendered(piece.text, self.size()[0], self.theme)
            self.out.write(joined([shown, "\n" if piece.ends_block else ""]))

    def _draw(self) -> None:
        if not self.out.escapes:
            return
        self._erase()
        columns, height = self.size()
        if self._text.rest.strip():
            lines = rendered(self._text.rest, columns, self.theme).lines()[1 - height :]
            self._lines = len(lines)
            self.out.write(joined(part for line in lines for part in (line, "\n")))

    def _erase(self) -> None:
        """Take away what was drawn, from its first line on."""
        if self._lines:
            self.out.write(Drawn(f"\x1b[{self._lines}A\r\x1b[J"))
            self._lines = 0
