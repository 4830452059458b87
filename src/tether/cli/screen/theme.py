"""Colours that say what matters, for dark and light terminals, and none for plain ones.

The roles use the terminal's own palette. What differs with its background is how questions, and Markdown with its code,
are coloured.
"""

import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from tether.cli.door import BOLD, DIM, MAGENTA, RED, YELLOW

__all__ = ()


@frozen
class Theme:
    """How things of each kind look.

    Attributes:
        name: what people call it.
        quiet: what happened as it should: calls, counts, thinking.
        failed: what failed.
        refused: what a person or a limit stopped: denied, interrupted and cut-off.
        question: what waits for the person.
        person: what the person has said.
        code: the colours of code, as rich names them.
        markdown: rich's styles of Markdown.
    """

    name: str
    quiet: tuple[str, ...] = (DIM,)
    failed: tuple[str, ...] = (RED,)
    refused: tuple[str, ...] = (YELLOW,)
    question: tuple[str, ...] = (BOLD, YELLOW)
    person: tuple[str, ...] = (BOLD,)
    code: str = "ansi_dark"
    markdown: Mapping[str, str] = field(factory=dict)


_MARKDOWN: Final = {
    "markdown.h1": "bold underline",
    "markdown.h2": "bold",
    "markdown.h3": "bold",
    "markdown.h4": "italic",
    "markdown.h5": "italic",
    "markdown.h6": "italic",
    "markdown.block_quote": "dim",
    "markdown.item.bullet": "none",
    "markdown.item.number": "none",
    "markdown.table.header": "bold",
    "markdown.table.border": "dim",
    "markdown.hr": "dim",
    "markdown.link": "underline",
    "markdown.link_url": "dim",
}

DARK: Final = Theme("dark", markdown={**_MARKDOWN, "markdown.code": "cyan"})
LIGHT: Final = Theme(
    "light",
    refused=(MAGENTA,),
    question=(BOLD, MAGENTA),
    code="ansi_light",
    markdown={**_MARKDOWN, "markdown.code": "blue"},
)
PLAIN_THEME: Final = Theme(
    "plain", quiet=(), failed=(), refused=(), question=(), person=(), markdown=_MARKDOWN
)
THEMES: Final[Mapping[str, Theme]] = {theme.name: theme for theme in (DARK, LIGHT, PLAIN_THEME)}

_COLOUR: Final = re.compile(
    r"\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})"
)
_LIGHT_FROM: Final = 0.5
_LIGHT_COLOURS: Final = frozenset({"7", "15"})
"""White and bright white, among the sixteen colours."""


def forced_theme(environ: Mapping[str, str]) -> Theme | None:
    """Return the theme that the environment demands; None if the terminal's background decides.

    TETHER_THEME names one. With NO_COLOR it is the plain one.
    """
    if environ.get("NO_COLOR"):
        return PLAIN_THEME
    return THEMES.get(environ.get("TETHER_THEME", ""))


def first_theme(environ: Mapping[str, str]) -> Theme:
    """Choose the theme to begin with: the one that is demanded, else what COLORFGBG says, else dark."""
    if (forced := forced_theme(environ)) is not None:
        return forced
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if background in _LIGHT_COLOURS else DARK


def theme_for(answer: str) -> Theme | None:
    """Choose the theme for a terminal's answer to the question for its background (OSC 11 of xterm).

    Returns:
        The theme; None where the answer has no colour.
    """
    found = _COLOUR.match(answer)
    if found is None:
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in found.groups())
    # How bright it looks: ITU-R BT.709.
    return LIGHT if 0.2126 * red + 0.7152 * green + 0.0722 * blue > _LIGHT_FROM else DARK
