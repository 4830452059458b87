"""A choice among several things: a list with a filter and a preview, or numbered lines at a plain terminal."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from attrs import define, field, frozen

from tether.cli.door import Drawn, joined, printable, styled
from tether.cli.question import Question
from tether.cli.screen.fitting import cut, fitted, width_of
from tether.cli.screen.theme import Theme

__all__ = ()

_MOST_ROWS: Final = 10
_MOST_OF_A_PREVIEW: Final = 6
_LONGEST_PREVIEW: Final = 2_000
"""Characters that are looked at."""
_KEYS: Final = "(arrows move, typing filters, Enter takes it, Esc leaves)"


@frozen
class Option:
    """One of the things to choose among.

    Attributes:
        value: what is answered.
        label: what it is called, in a line.
        about: more, behind the label.
        preview: returns what is shown of it while it is looked at.
    """

    value: str
    label: str
    about: str = ""
    preview: Callable[[], str] = lambda: ""


@define(eq=False)
class Choice(Question):
    """A question whose answers are given. Its answer is the value of an option, or empty.

    Attributes:
        options: what there is.
    """

    options: Sequence[Option] = field(kw_only=True)
    _query: str = field(default="", init=False)
    _at: int = field(default=0, init=False)
    _previews: dict[str, str] = field(factory=dict, init=False)

    def look_for(self, query: str) -> None:
        """Filter the options: each word must be in one's label, or in what is about it."""
        if query != self._query:
            self._query, self._at = query, 0

    def move(self, by: int) -> None:
        """Look at another option."""
        self._at = max(0, min(self._at + by, len(self.matching) - 1))

    @property
    def matching(self) -> list[Option]:
        """The options that the filter lets through."""
        words = self._query.lower().split()
        return [
            one
            for one in self.options
            if all(w in f"{one.label} {one.about}".lower() for w in words)
        ]

    @property
    def current(self) -> Option | None:
        """The option that is looked at."""
        return next(iter(self.matching[self._at :]), None)

    def answer(self, text: str) -> None:
        """Take the answer: a value, or the number of an option."""
        values = [one.value for one in self.options]
        if text.isdecimal() and text not in values and 0 < int(text) <= len(values):
            text = values[int(text) - 1]
        super().answer(text if text in values else "")

    def drawn_with(self, *styles: str) -> Drawn:
        """Draw it for a plain terminal: each option with its number."""
        lines = [
            f"{number:3}  {one.label}  {one.about}".rstrip()
            for number, one in enumerate(self.options, start=1)
        ]
        return joined(
            ["\n".join([*lines, ""]), styled(f"{self.line} A number, or nothing: ", *styles)]
        )

    def picture(self, columns: int, height: int, theme: Theme) -> Drawn:
        """Draw it for a line editor, whose line is the filter.

        Args:
            columns: the width.
            height: lines it may take, the line of the editor included.
            theme: the colours.
        """
        rows = max(1, min(_MOST_ROWS, height - 4))
        lines = [
            fitted(styled(self.line, *theme.question), columns),
            *self._rows(columns, rows, theme),
            *self._preview(columns, min(_MOST_OF_A_PREVIEW, height - rows - 4), theme),
            styled(cut(_KEYS, columns), *theme.quiet),
        ]
        return Drawn("\n".join([*lines, "filter: "]))

    def _rows(self, columns: int, rows: int, theme: Theme) -> Iterator[Drawn]:
        found = self.matching
        if not found:
            yield styled("  nothing matches", *theme.quiet)
        first = max(0, min(self._at - rows // 2, len(found) - rows))
        for place, one in enumerate(found[first : first + rows], start=first):
            mark = "> " if place == self._at else "  "
            about = cut(f"  {printable(one.about)}", columns // 2) if one.about else ""
            label = cut(mark + " ".join(printable(one.label).split()), columns - width_of(about))
            yield joined(
                [
                    styled(label, *(theme.person if place == self._at else ())),
                    styled(about, *theme.quiet),
                ]
            )

    def _preview(self, columns: int, height: int, theme: Theme) -> list[Drawn]:
        one = self.current
        if one is None or height < 2:
            return []
        if one.value not in self._previews:
            self._previews[one.value] = one.preview()[:_LONGEST_PREVIEW].strip()
        text = self._previews[one.value]
        if not text:
            return []
        lines = fitted(styled(text, *theme.quiet), columns - 4).lines()[: height - 1]
        return [Drawn(), *(joined(["  | ", line]) for line in lines)]
