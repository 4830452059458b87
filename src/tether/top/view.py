"""What a person has chosen to see, and how keys change that. No I/O, no clock."""

from typing import Final, Literal, TypeAlias

from attrs import define, evolve, field

from tether.top.source import Outcome, Source
from tether.top.span import Span, span
from tether.top.table import SORTS, Choice, Row, Rows, ordered

__all__ = ("WINDOWS", "Page", "View")

Page: TypeAlias = Literal["runs", "table", "family", "help"]

WINDOWS: Final[tuple[float | None, ...]] = (1, 2, 5, 10, 30, 60, 300, 1800, None)
"""Seconds; None for all since the server's start."""
_USUAL: Final = 10.0
"""Seconds of the window at first, and of the one that says what is active when there is none."""


@define(eq=False, repr=False)
class View:
    """What is seen of some servers.

    Args:
        sources: the servers.
        window: one of `WINDOWS`.
    """

    sources: list[Source]
    window: float | None = _USUAL
    page: Page = "table"
    choice: Choice = field(factory=Choice)
    folded: bool = True
    summed: bool = False
    """Whether several servers are added up, and do not stand side by side."""
    typing: bool = False
    """Whether keys go to the filter."""
    at: float | None = None
    """The time that is seen, in the past or because of a pause; None for now."""
    base: float | None = None
    """The time of the base line."""
    selected: str | None = None
    """The key of a row."""
    top: int = 0
    """The number of the first row that is seen."""
    opened: Row | None = None
    """The family whose page it is."""
    before: Page = "table"
    """The page to go back to."""
    inner: int = 0
    """The number of the chosen label set on the page of a family."""
    _rows: Rows = field(factory=Rows)
    _spans: dict[object, list[Span | None]] = field(factory=dict)
    _ordered: tuple[object, list[Row]] | None = None

    def take(self, server: int, outcome: Outcome) -> None:
        """Add what came of a scrape of a server."""
        self.sources[server].take(outcome)
        self._spans.clear()
        self._ordered = None

    @property
    def spans(self) -> list[Span | None]:
        """What figures are about, for each server."""
        return self._of(self.window)

    @property
    def recent(self) -> list[Span | None]:
        """What activity is about: the same, but never all since the start."""
        return self._of(_USUAL if self.window is None else self.window)

    @property
    def whole(self) -> list[Span | None]:
        """All since the start of each server."""
        return [span(source.history, None, at=self.at) for source in self.sources]

    def _of(self, window: float | None) -> list[Span | None]:
        key = (window, self.at, self.base)
        if key not in self._spans:
            self._spans[key] = [
                span(source.history, window, at=self.at, since=self.base) for source in self.sources
            ]
        return self._spans[key]

    @property
    def side_by_side(self) -> bool:
        """Whether servers stand in columns."""
        return len(self.sources) > 1 and not self.summed

    def rows(self) -> list[Row]:
        """All rows that are chosen, in their order."""
        key = (self.choice, self.folded, self.window, self.at, self.base)
        if self._ordered is None or self._ordered[0] != key:
            rows = self._rows.of([source.history for source in self.sources], folded=self.folded)
            self._ordered = key, ordered(rows, self.choice, self.spans, self.recent)
        return self._ordered[1]

    def label_sets(self) -> list[Row]:
        """The rows of the family that is opened, those of its label sets."""
        if self.opened is None:
            return []
        rows = self._rows.of([source.history for source in self.sources], folded=False)
        mine = [row for row in rows if row.family.name == self.opened.family.name]
        if not self.folded and self.opened.labels:
            return [row for row in mine if row.key == self.opened.key] or mine
        return ordered(
            mine, evolve(self.choice, only_active=False, words=""), self.spans, self.recent
        )

    def select(self, rows: list[Row], room: int) -> int:
        """Keep the chosen row among those that are there, and in sight.

        Args:
            rows: those that are there.
            room: how many are seen at once.

        Returns:
            Its number; 0 where there are none.
        """
        keys = [row.key for row in rows]
        try:
            index = 0 if self.selected is None else keys.index(self.selected)
        except ValueError:
            index, self.selected = min(self.top, max(len(rows) - 1, 0)), None
        self.top = max(min(self.top, index, max(len(rows) - room, 0)), index - room + 1, 0)
        return index

    def move(self, by: int) -> None:
        """Choose a row below, or above."""
        if self.page == "family":
            self.inner = max(min(self.inner + by, len(self.label_sets()) - 1), 0)
            return
        rows = self.rows()
        if rows:
            keys = [row.key for row in rows]
            index = (
                keys.index(self.selected)
                if self.selected in keys
                else self.top
                if self.selected
                else 0
            )
            self.selected = keys[max(min(index + by, len(rows) - 1), 0)]

    def open(self) -> None:
        """Open the family of the chosen row."""
        if self.page != "table":
            self.back()
            return
        rows = self.rows()
        chosen = [row for row in rows if row.key == self.selected] or rows[:1]
        if chosen:
            self.opened, self.inner = chosen[0], 0
            self.before, self.page = self.page, "family"

    def back(self) -> None:
        """Leave a page; on the table, take back what has been chosen last: the filter, the past, the base line."""
        if self.page in {"help", "family"}:
            self.page = self.before
        elif self.choice.words:
            self.filter("")
        elif self.at is not None:
            self.at = None
        else:
            self.base = None

    def show(self, page: Page) -> None:
        """Show a page, or leave it if it is shown."""
        if self.page == page:
            self.page = self.before if page in {"help", "family"} else "table"
        else:
            if self.page not in {"help", "family"}:
                self.before = self.page
            self.page = page

    def find(self) -> None:
        """Let keys go to the filter."""
        self.page, self.typing = "table", True

    def toggle_folded(self) -> None:
        """Show each label set, or one row for each family."""
        self.folded, self.selected, self.top = not self.folded, None, 0

    def toggle_sum(self) -> None:
        """Add several servers up, or show them side by side."""
        self.summed = not self.summed

    def filter(self, words: str) -> None:
        """Show only rows with these words."""
        self.choice, self.top = evolve(self.choice, words=words), 0

    def sort(self, by: int) -> None:
        """Take the next order."""
        sort = SORTS[(SORTS.index(self.choice.sort) + by) % len(SORTS)]
        self.choice = evolve(self.choice, sort=sort)

    def toggle_idle(self) -> None:
        """Show, or hide, what does not move."""
        self.choice = evolve(self.choice, only_active=not self.choice.only_active)

    def toggle_pin(self) -> None:
        """Keep the chosen row at the top, or no longer."""
        rows = self.rows()
        key = self.selected if self.selected is not None else rows[0].key if rows else None
        if key is not None:
            self.selected = key
            self.choice = evolve(self.choice, pins=frozenset(self.choice.pins) ^ {key})

    def widen(self, by: int) -> None:
        """Take a longer or a shorter window."""
        index = WINDOWS.index(self.window) if self.window in WINDOWS else WINDOWS.index(_USUAL)
        self.window, self.base = WINDOWS[max(min(index + by, len(WINDOWS) - 1), 0)], None

    def toggle_base(self) -> None:
        """Show differences since now; or no longer."""
        self.base = self._newest() if self.base is None else None

    def toggle_pause(self) -> None:
        """Stay at this moment, or go back to now. Servers are scraped meanwhile."""
        self.at = self._newest() if self.at is None else None

    def travel(self, by: int) -> None:
        """Go back by so many moments, or forward."""
        times = [one.time for source in self.sources for one in source.history.moments]
        if not times:
            return
        times.sort()
        here = times[-1] if self.at is None else self.at
        index = max(sum(time <= here for time in times) - 1 + by * len(self.sources), 0)
        self.at = None if index >= len(times) - 1 else times[index]

    def _newest(self) -> float | None:
        times = [one.history.moments[-1].time for one in self.sources if one.history.moments]
        return max(times, default=None)
