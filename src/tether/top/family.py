"""The page of a family: its help text, its series, and the buckets of the chosen one as bars. No I/O."""

import math
from collections.abc import Sequence
from typing import Final

from tether.top.cells import layout, row_line, title_line
from tether.top.figures import Part, buckets, native_buckets, trail
from tether.top.lines import Line, bar, sparkline, wrapped
from tether.top.native import Bucket
from tether.top.table import Row
from tether.top.text import fitted, visible
from tether.top.units import amount, number, unit_of
from tether.top.view import View

__all__ = ("family_lines",)

_HELP_LINES: Final = 3
_HELP_LENGTH: Final = 2000
"""Characters."""
_LEAST_SERIES: Final = 4


def family_lines(view: View, width: int, room: int) -> list[Line]:
    """Draw the page of the family that is opened.

    Args:
        view: its family is opened.
        width: cells.
        room: lines.
    """
    assert view.opened is not None
    family = view.opened.family
    title = f"{visible(family.name)}  {family.about.type or family.kind}"
    if family.about.unit:
        title += f"  in {visible(family.about.unit)}"
    lines: list[Line] = [[("class:title", title)]]
    lines += [
        [("", one)]
        for one in wrapped(visible(family.about.help[:_HELP_LENGTH]), width, _HELP_LINES)
    ]
    rows = view.label_sets()
    view.inner = max(min(view.inner, len(rows) - 1), 0)
    below = _below(view, rows, width) if rows else []
    room_for_rows = max(room - len(lines) - 1 - len(below), min(_LEAST_SERIES, len(rows)))
    lines += _series(view, rows, width, room_for_rows)
    return [*lines, *below[: max(room - len(lines), 0)]]


def _series(view: View, rows: Sequence[Row], width: int, room: int) -> list[Line]:
    chosen = layout(width, len(view.sources) if view.side_by_side else 1)
    lines = [title_line(chosen, f"{len(rows)} LABEL SETS" if len(rows) != 1 else "LABELS")]
    top = max(min(view.inner - room // 2, len(rows) - room), 0)
    for index in range(top, min(top + room, len(rows))):
        name = rows[index].labels or "(no labels)"
        line = row_line(rows[index], name, chosen, view.spans, difference=view.base is not None)
        is_chosen = index == view.inner
        lines.append([("class:chosen", text) for _, text in line] if is_chosen else line)
    return lines


def _below(view: View, rows: Sequence[Row], width: int) -> list[Line]:
    """What is drawn of the chosen series."""
    row = rows[view.inner]
    parts = row.parts(view.spans)
    title = f"── {visible(row.labels) or visible(row.family.name)} "
    name = [("class:dim", fitted(title, width))]
    if found := _observed(parts):
        if not any(one.count for one in found):
            # Nothing in this window: all time says more.
            found = _observed(row.parts(view.whole))
            name = [("class:dim", fitted(f"{title}since the start ", width))]
        return [name, *_bars(row, found, width)]
    if row.family.kind == "summary":
        return [name, *_quantiles(row, parts)]
    counts = bool(parts) and parts[0].counts
    drawn = sparkline(trail(parts, width), width, from_zero=counts)
    return [name, [("class:spark", drawn)]]


def _observed(parts: Sequence[Part]) -> list[Bucket]:
    """The buckets of the chosen series, with what was observed in each, and not below it."""
    if any(part.label_set.is_native for part in parts):
        return native_buckets(parts)
    cumulative = sorted(buckets(parts).items())
    lower, below, found = -math.inf, 0.0, list[Bucket]()
    for upper, count in cumulative:
        found.append(Bucket(lower, upper, max(count - below, 0.0)))
        lower, below = upper, max(count, below)
    return found


def _bars(row: Row, found: Sequence[Bucket], width: int) -> list[Line]:
    """A bar for each bucket; those at the ends in which nothing was observed are left out."""
    filled = [index for index, one in enumerate(found) if one.count]
    if not filled:
        return [[("class:dim", "nothing was observed")]]
    shown = found[max(filled[0] - 1, 0) : filled[-1] + 2]
    highest = max(one.count for one in shown)
    unit = unit_of(row.family.name, row.family.about.unit, row.family.kind, 0)
    lines: list[Line] = []
    for one in shown:
        bound = f"≤ {amount(one.upper, unit, 0)}"
        numbers = f"{fitted(bound, 11, right=True)} {fitted(number(one.count), 8, right=True)} "
        lines.append([("", numbers), ("class:bar", bar(one.count / highest, max(width - 21, 1)))])
    return lines


def _quantiles(row: Row, parts: Sequence[Part]) -> list[Line]:
    unit = unit_of(row.family.name, row.family.about.unit, row.family.kind, 0)
    return [
        [
            (
                "",
                f"{fitted(f'{q * 100:g}%', 8, right=True)}  {amount(part.span.value(column), unit, 0)}",
            )
        ]
        for part in parts
        for q, column in sorted(part.label_set.quantiles.items())
    ]
