"""The rows of the table: which there are, and their order. No I/O."""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Literal, TypeAlias

from attrs import define, field, frozen

from tether.top.catalogue import Family, LabelSet
from tether.top.figures import Part
from tether.top.history import History
from tether.top.span import Span

__all__ = ("SORTS", "Choice", "Row", "Rows", "Sort", "ordered")

Sort: TypeAlias = Literal["activity", "name", "rate", "value"]
SORTS: Final[tuple[Sort, ...]] = ("activity", "name", "rate", "value")


@frozen
class Choice:
    """Which rows a person wants to see, and in which order."""

    sort: Sort = "activity"
    only_active: bool = False
    words: str = ""
    """All of them stand in the name or the labels of a row."""
    pins: Collection[str] = ()
    """Keys of rows that come first, whatever else is chosen."""


@define(eq=False)
class Row:
    """A label set, or all of a family; in each server that has it."""

    key: str
    """Its name and labels."""
    family: Family
    labels: str
    members: list[tuple[int, LabelSet]] = field(factory=list, repr=False)
    """With the numbers of their servers."""
    columns: list[tuple[int, int]] = field(factory=list, repr=False)
    """The numbers of servers, and there the columns of what is counted or measured."""

    def parts(self, spans: Sequence[Span | None], server: int | None = None) -> list[Part]:
        """Take its label sets, with spans of their servers.

        Args:
            spans: one for each server; None for one that has never answered.
            server: only of this one.
        """
        chosen = self.members if server is None else [m for m in self.members if m[0] == server]
        return [
            Part(one, label_set)
            for index, label_set in chosen
            if (one := spans[index]) is not None and _has_come(one, label_set)
        ]


def _has_come(one: Span, label_set: LabelSet) -> bool:
    """Whether it was there at the end of the span, which a person may have moved into the past."""
    columns = (
        label_set.main,
        label_set.sum,
        *label_set.buckets.values(),
        *label_set.quantiles.values(),
    )
    return any(column is not None and column < len(one.now.values) for column in columns)


@define(eq=False, repr=False)
class Rows:
    """All rows of some servers, made anew only when there are new series."""

    _made_of: object = None
    _made: dict[bool, list[Row]] = field(factory=dict)
    """By whether they are folded."""

    def of(self, histories: Sequence[History], *, folded: bool) -> list[Row]:
        """Return the rows.

        Args:
            histories: of the servers.
            folded: one row for each family, and not for each label set.
        """
        made_of = [(id(one), one.width) for one in histories]
        if made_of != self._made_of:
            self._made_of = made_of
            self._made.clear()
        if folded not in self._made:
            self._made[folded] = _rows(histories, folded=folded)
        return self._made[folded]


def _rows(histories: Sequence[History], *, folded: bool) -> list[Row]:
    rows: dict[str, Row] = {}
    for server, history in enumerate(histories):
        for family in history.catalogue.families.values():
            for labels, label_set in family.label_sets.items():
                shown = "" if folded else labels
                key = f"{family.name}{shown}"
                row = rows.get(key)
                if row is None:
                    row = rows[key] = Row(key, family, shown)
                row.members.append((server, label_set))
                if (main := label_set.main) is not None:
                    row.columns.append((server, main))
    for row in rows.values() if folded else ():
        if len({label_set.labels for _, label_set in row.members}) > 1:
            row.labels = "{…}"
        else:
            row.labels = row.members[0][1].labels
    return list(rows.values())


def ordered(
    rows: Iterable[Row], choice: Choice, spans: Sequence[Span | None], recent: Sequence[Span | None]
) -> list[Row]:
    """Choose rows, and order them.

    Args:
        rows: all of them.
        choice: which ones.
        spans: what figures are about.
        recent: what activity is about.

    Returns:
        Pinned ones first. Those that are equally active, by factors of two, stand by name, so that they stay in place.
    """
    words = choice.words.lower().split()
    if words:
        rows = [row for row in rows if all(word in _searched(row) for word in words)]
    pins, keyed = choice.pins, list[tuple[bool, float, str, Row]]()
    for row in rows:
        pinned = row.key in pins
        order, level = 0.0, 0.0
        if choice.sort == "activity" or choice.only_active:
            level = _level(row, recent)
        if choice.only_active and level == -math.inf and not pinned:
            continue
        if choice.sort == "activity":
            order = -level
        elif choice.sort != "name":
            order = -_amount(row, spans, choice.sort)
        keyed.append((not pinned, order, row.key, row))
    keyed.sort()  # no two rows have the same key
    return [one[3] for one in keyed]


def _searched(row: Row) -> str:
    return f"{row.family.name}{row.labels}".lower()


def _level(row: Row, recent: Sequence[Span | None]) -> float:
    """The power of two of its activity; minus infinity where nothing moves."""
    pace = usual = 0.0
    for server, column in row.columns:
        span = recent[server]
        if span is not None and column < len(moves := span.activity):
            now, ever = moves[column]
            pace, usual = pace + now, usual + ever
    if not pace > 0:
        return -math.inf
    return float(round(math.log2(pace / usual))) if usual > 0 else 0.0


def _amount(row: Row, spans: Sequence[Span | None], sort: Sort) -> float:
    total = 0.0
    for server, label_set in row.members:
        span, column = spans[server], label_set.main
        if span is None or column is None:
            continue
        if sort == "rate":
            change = span.change(column, label_set.created)
            more = change.amount / change.seconds if change and change.seconds > 0 else 0.0
        else:
            more = span.value(column)
        if math.isfinite(more):
            total += abs(more) if sort == "rate" else more
    return total
