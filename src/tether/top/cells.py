"""The cells of the table: which columns fit, and what stands in them. No I/O."""

import math
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from attrs import frozen

from tether.top.figures import Part, is_gone, mean, newest, quantiles, rate, trail, value
from tether.top.lines import Line, sparkline
from tether.top.span import Span
from tether.top.table import Row
from tether.top.text import fitted, middle_cut, visible
from tether.top.units import Unit, amount, number, unit_of

__all__ = ("Column", "Layout", "layout", "row_line", "title_line")

Field: TypeAlias = Literal["rate", "value", "mean", "p50", "p90", "p99", "spark"]

_TITLES: Final[dict[Field, str]] = {
    "rate": "RATE/s",
    "value": "VALUE",
    "mean": "MEAN",
    "p50": "P50",
    "p90": "P90",
    "p99": "P99",
    "spark": "",
}
_ONE: Final[tuple[Field, ...]] = ("rate", "value", "mean", "p50", "p90", "p99")
_SIDE_BY_SIDE: Final[tuple[tuple[Field, ...], ...]] = (
    ("rate", "value", "mean", "p50", "p90", "p99"),
    ("rate", "value", "p50", "p99"),
    ("rate", "value", "p99"),
    ("rate", "value"),
    ("rate",),
)
_WIDE: Final = 120
"""Columns of a terminal from which on the table is laid out with more room."""
_ENDS: Final = 1000
"""Characters at either end of a name."""
_LEAST_NAME: Final = 24
_SHARES: Final[tuple[Field, ...]] = ("p50", "p90", "p99")
_QUANTILES: Final = (0.5, 0.9, 0.99)


@frozen
class Column:
    """A column of figures."""

    field: Field
    width: int
    server: int | None = None
    """Of one server; None for all of them."""


@frozen
class Layout:
    """Which columns there are."""

    name: int
    """Cells of the names."""
    columns: tuple[Column, ...]
    servers: int
    """How many servers stand side by side; fewer than there are where the others do not fit."""


def layout(width: int, servers: int, *, pictures: bool = True) -> Layout:
    """Choose columns that fit.

    Args:
        width: cells of the screen.
        servers: how many stand side by side; 1 where figures are of one, or of all.
        pictures: whether there may be sparklines.
    """
    roomy = width >= _WIDE
    if servers == 1:
        columns = [Column(one, _width_of(one, roomy)) for one in _ONE]
        rest = width - sum(one.width + 1 for one in columns)
        spark = min(24 if roomy else 8, rest - _LEAST_NAME - 4)
        if pictures and spark > 3:
            columns.append(Column("spark", spark - 1))
    else:
        fields, servers = _fields(width, servers, roomy)
        columns = [
            Column(one, _width_of(one, roomy), server)
            for server in range(servers)
            for one in fields
        ]
    name = width - sum(one.width + 1 for one in columns)
    return Layout(max(name, 1), tuple(columns), servers)


def _fields(width: int, servers: int, roomy: bool) -> tuple[tuple[Field, ...], int]:  # noqa: FBT001
    room = width - _LEAST_NAME
    for fields in _SIDE_BY_SIDE:
        if servers * sum(_width_of(one, roomy) + 1 for one in fields) <= room:
            return fields, servers
    return ("rate",), max(room // (_width_of("rate", roomy) + 1), 1)


def _width_of(field: Field, roomy: bool) -> int:  # noqa: FBT001 - of this module alone
    narrow = 7 if field in {"rate", "value"} else 6
    return narrow + 2 if roomy else narrow


def title_line(chosen: Layout, title: str) -> Line:
    """Write the titles of the columns."""
    cells = [fitted(title, chosen.name)]
    for one in chosen.columns:
        title_of = _TITLES[one.field]
        if one.server is not None and one.field == "rate":
            title_of = f"{one.server + 1}: RATE"
        cells.append(fitted(title_of, one.width, right=True))
    return [("class:title", " ".join(cells))]


def row_line(
    row: Row,
    name: str,
    chosen: Layout,
    spans: Sequence[Span | None],
    *,
    difference: bool = False,
    recent: Sequence[Span | None] | None = None,
) -> Line:
    """Write a row of the table.

    Args:
        row: its label sets.
        name: what stands in front, of any text.
        chosen: the columns.
        spans: what figures are about, for each server.
        difference: whether values are what has changed since a base line.
        recent: what rates are about, if it is something else.
    """
    parts = row.parts(spans)
    style = "class:gone" if parts and is_gone(parts) else ""
    if len(name) > 2 * _ENDS:
        name = name[:_ENDS] + name[-_ENDS:]  # more than any screen shows
    line: Line = [
        (style or "class:name", fitted(middle_cut(visible(name), chosen.name), chosen.name))
    ]
    figures: dict[int | None, dict[Field, str]] = {}
    for one in chosen.columns:
        of_server = parts if one.server is None else row.parts(spans, one.server)
        if one.field == "spark":
            counts = bool(parts) and parts[0].counts
            drawn = sparkline(trail(parts, one.width), one.width, from_zero=counts)
            line.append(("class:spark", f" {drawn}"))
            continue
        if one.server not in figures:
            lately = None if recent is None else row.parts(recent, one.server)
            figures[one.server] = _figures_of(row, of_server, difference=difference, lately=lately)
        cell = fitted(figures[one.server].get(one.field, ""), one.width, right=True)
        line.append((style or f"class:{one.field}", f" {cell}"))
    return line


def _figures_of(
    row: Row,
    parts: Sequence[Part],
    *,
    difference: bool = False,
    lately: Sequence[Part] | None = None,
) -> dict[Field, str]:
    """Write the figures of some label sets; those that their kind does not have are left out."""
    if not parts:
        return {}
    kind, about = row.family.kind, row.family.about
    highest = newest(parts)
    unit = unit_of(row.family.name, about.unit, kind, highest)
    now = max(part.span.now.time for part in parts)
    if kind in {"histogram", "summary"}:
        found: dict[Field, str] = {
            "rate": _written(rate(parts if lately is None else lately), ""),
            "value": _value(value(parts, difference=difference), "", difference),
            "mean": _observed(mean(parts), unit),
        }
        shares = quantiles(parts, _QUANTILES)
        found |= zip(_SHARES, (_observed(share, unit) for share in shares), strict=True)
        return found
    if unit == "time":
        return {"value": "gone" if math.isnan(highest) else amount(highest, unit, now)}
    speed, whole = rate(parts if lately is None else lately), value(parts, difference=difference)
    written = _written(speed, "bytes" if unit == "bytes" else "")
    if kind == "gauge":  # of which a fall is no mistake
        written = "" if not speed else f"+{written}" if speed > 0 else written
    if math.isnan(whole) and is_gone(parts):
        return {"rate": written, "value": "gone"}
    return {"rate": written, "value": _value(whole, unit, difference)}


def _value(whole: float, unit: Unit, difference: bool) -> str:  # noqa: FBT001 - of this module alone
    if difference:
        moved = not math.isnan(whole) and whole != 0
        return f"{'+' if whole > 0 else ''}{amount(whole, unit, 0)}" if moved else ""
    return amount(whole, unit, 0)


def _written(one: float, unit: Unit) -> str:
    return "" if math.isnan(one) else amount(one, unit, 0) if unit else number(one)


def _observed(one: float, unit: Unit) -> str:
    return "-" if math.isnan(one) else amount(one, unit, 0)
