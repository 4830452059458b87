"""The line that is typed, broken between words: prompt-toolkit breaks it wherever the screen ends."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prompt_toolkit.layout.processors import Processor

__all__ = ()

_LONGEST: Final = 10_000
"""Characters of a line that is broken between words; a longer one would hold up each key."""


def room_behind(text: str, width: int, first: int) -> Sequence[tuple[int, int]]:
    """Find the spaces that a word does not fit behind, in a line that is broken at a width.

    Args:
        text: the line.
        width: columns of the screen.
        first: columns that are taken before the line begins.

    Returns:
        The places of these spaces, in order, and the columns that are left behind each.
    """
    from prompt_toolkit.layout.screen import Char  # noqa: PLC0415 - only at a terminal
    from prompt_toolkit.utils import get_cwidth  # noqa: PLC0415 - as above

    drawn = Char.display_mappings  # such as ^I for a tab
    found: list[tuple[int, int]] = []
    at, place = first, 0
    for part in _parts(text):
        columns = [get_cwidth(drawn.get(character, character)) for character in part]
        fits = sum(columns) <= width
        if fits and at < width < at + sum(columns) and text[place - 1 : place] == " ":
            found.append((place - 1, width - at))
            at = width
        for one in columns:
            at = one if at + one > width else at + one
        place += len(part)
    return found


def _parts(text: str) -> Sequence[str]:
    """Split a line into words, and spaces one by one."""
    return [part for part in re.split("( )", text) if part]


def breaking_between_words(first: Callable[[], int]) -> "Processor":
    """Make what an editor draws its line with: spaces fill the row before a word that does not fit.

    Args:
        first: returns the columns that stand before the line.
    """
    from prompt_toolkit.formatted_text import (  # noqa: PLC0415 - only at a terminal
        StyleAndTextTuples,
        fragment_list_to_text,
    )
    from prompt_toolkit.layout.processors import (  # noqa: PLC0415 - as above
        Processor,
        Transformation,
        TransformationInput,
    )
    from prompt_toolkit.layout.utils import explode_text_fragments  # noqa: PLC0415 - as above

    class Breaking(Processor):
        def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
            given = explode_text_fragments(transformation_input.fragments)
            if len(given) > _LONGEST:
                return Transformation(given)
            before = first() if transformation_input.lineno == 0 else 0
            text = fragment_list_to_text(given)
            added = dict(room_behind(text, transformation_input.width, before))
            drawn: StyleAndTextTuples = [
                (part[0], part[1] + " " * added.get(place, 0)) for place, part in enumerate(given)
            ]
            return Transformation(drawn, *_mapped(list(added.items())))

    return Breaking()


def _mapped(added: Sequence[tuple[int, int]]) -> tuple[Callable[[int], int], Callable[[int], int]]:
    """Make the functions from places in a line to those on the screen, and back."""

    def on_screen(place: int) -> int:
        return place + sum(columns for behind, columns in added if behind < place)

    def in_line(place: int) -> int:
        for behind, columns in added:
            if place <= behind:
                break
            place -= min(columns, place - behind - 1)
        return place

    return on_screen, in_line
