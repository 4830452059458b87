"""Markdown that is shown while it arrives: finished blocks are rendered once, the rest again and again.

A block is settled when nothing that may still come can change it (CommonMark, section 3). Rich renders, and
markdown-it, which rich reads Markdown with, finds where blocks end.
"""

import io
import re
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from tether.cli.door import Drawn, printable
from tether.cli.screen.theme import DARK, Theme

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ()

_LONGEST: Final = 2_000
"""Characters of a block that is still growing; beyond, it is taken apart, so that it need not be read again whole."""

_SETTLED_AT_ONCE: Final = frozenset({"heading_open", "hr"})
_SETTLED_BY_A_BLANK_LINE: Final = frozenset(
    {"paragraph_open", "table_open", "blockquote_open", "html_block"}
)
_STYLES: Final = re.compile(r"(\x1b\[[0-9;]*m)")


@frozen
class Piece:
    """Markdown that is settled."""

    text: str
    ends_block: bool = True
    """Whether what follows is a block of its own."""


def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # noqa: PLC0415 - where there is a terminal

    # Where blocks end is all that is asked, so that what is within them need not be read.
    return MarkdownIt().enable("table").disable("inline")


@define
class GrowingMarkdown:
    """Text that arrives bit by bit."""

    rest: str = ""
    """What is not settled yet."""
    _parser: "MarkdownIt" = field(factory=_parser, repr=False)
    _read_at: int = 0
    """How long the rest must be to be read again: reading it at each line would take the square of its length."""

    def add(self, text: str) -> Piece | None:
        """Take more in.

        Returns:
            What is settled by it, if anything is.
        """
        self.rest += text
        if len(self.rest) < self._read_at or ("\n" not in text and len(self.rest) < _LONGEST):
            return None
        piece = self._taken_off()
        self._read_at = len(self.rest) * 5 // 4
        return piece

    def finish(self) -> Piece | None:
        """Take it that nothing more comes; return what is left."""
        text, self.rest, self._read_at = self.rest, "", 0
        return Piece(text) if text else None

    def _taken_off(self) -> Piece | None:
        lines = self.rest.splitlines(keepends=True)
        settled = self._settled(lines)
        if settled:
            self.rest = "".join(lines[settled:])
            return Piece("".join(lines[:settled]))
        return self._broken_off() if len(self.rest) >= _LONGEST else None

    def _settled(self, lines: list[str]) -> int:
        """Count the lines of the blocks that nothing can change any more."""
        blocks = self._blocks("".join(lines))
        if not blocks:
            return 0
        last = blocks[-1]
        start, end = last.map or (0, 0)
        whole = len(lines) if lines[-1].endswith("\n") else len(lines) - 1
        blank_follows = end < whole and not lines[end].strip()
        settled = (
            (last.type in _SETTLED_AT_ONCE and end <= whole)
            or (last.type in _SETTLED_BY_A_BLANK_LINE and blank_follows)
            or (last.type == "fence" and end <= whole and _is_closed(last, lines[start:end]))
        )
        return end if settled else start

    def _broken_off(self) -> Piece:
        """Settle what there is of a long block; a block of code goes on in another fence."""
        blocks = self._blocks(self.rest)
        end = self.rest.rfind("\n") + 1 or self.rest.rfind(" ") + 1 or len(self.rest)
        text, self.rest = self.rest[:end], self.rest[end:]
        if blocks and blocks[-1].type == "fence":
            self.rest = f"{blocks[-1].markup}{blocks[-1].info}\n{self.rest}"
        return Piece(text, ends_block=False)

    def _blocks(self, text: str) -> "list[Token]":
        tokens = self._parser.parse(text)
        return [t for t in tokens if t.level == 0 and t.map and t.nesting >= 0]


def _is_closed(fence: "Token", lines: list[str]) -> bool:
    return len(lines) > 1 and set(lines[-1].strip()) == {fence.markup[0]}


def rendered(markdown: str, width: int, theme: Theme = DARK) -> Drawn:
    """Render Markdown for a terminal.

    Args:
        markdown: the text; what of it would command a terminal is left out.
        width: columns.
        theme: the colours.

    Returns:
        Lines with escape sequences for colours and the like, as many as the terminal understands.
    """
    from rich.console import Console  # noqa: PLC0415 - where there is a terminal
    from rich.theme import Theme as Styles  # noqa: PLC0415

    from tether.cli.screen.blocks import Page  # noqa: PLC0415

    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        force_terminal=True,
        legacy_windows=False,
        no_color=theme.name == "plain",
        theme=Styles(theme.markdown),
    )
    console.print(Page(printable(markdown), code_theme=theme.code))
    lines = map(_without_trailing_spaces, out.getvalue().strip("\n").split("\n"))
    return Drawn("\n".join(lines).strip("\n") + "\n")


def _without_trailing_spaces(line: str) -> str:
    """Take the spaces off the end of a line, also between the styles that end there."""
    kept: list[str] = []
    is_end = True
    for part in reversed(_STYLES.split(line)):
        shown = part.rstrip(" ") if is_end and not part.startswith("\x1b") else part
        is_end = is_end and (not shown or shown.startswith("\x1b"))
        kept.append(shown)
    return "".join(reversed(kept))
