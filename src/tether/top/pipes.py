"""Lines for pipes: the table as text, as JSON and as CSV. No I/O, no clock."""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence

from tether.top.cells import layout, row_line, title_line
from tether.top.exposition import labels_of
from tether.top.figures import Part, mean, quantiles, rate
from tether.top.lines import plain
from tether.top.screen import head_lines
from tether.top.span import Span
from tether.top.table import Row
from tether.top.text import cut, visible
from tether.top.view import View

__all__ = ("CSV_TITLES", "csv_lines", "json_lines", "text_lines")

CSV_TITLES = (
    "time",
    "server",
    "name",
    "labels",
    "type",
    "value",
    "rate",
    "mean",
    "p50",
    "p90",
    "p99",
)
_QUANTILES = (0.5, 0.9, 0.99)


def text_lines(view: View, width: int, now: float) -> Iterator[str]:
    """Write the table, all of its rows.

    Args:
        view: which rows, and in which order. Without a window, means and quantiles are of all time, and rates are
            recent.
        width: cells.
        now: seconds since 1970.
    """
    for line in head_lines(view, now):
        yield cut(plain(line), width)
    chosen = layout(width, len(view.sources) if view.side_by_side else 1, pictures=False)
    yield plain(title_line(chosen, "NAME")).rstrip()
    for row in view.rows():
        line = row_line(
            row, f"{row.family.name}{row.labels}", chosen, view.spans, recent=view.recent
        )
        yield plain(line).rstrip()


def json_lines(view: View) -> Iterator[str]:
    """Write each label set of each server, and each server that did not answer, as a line of JSON.

    Numbers that JSON does not have are null, or the texts "+Inf" and "-Inf".
    """
    for source in view.sources:
        if source.failure is not None:
            failed = {
                "time": source.failure.time,
                "server": source.name,
                "error": source.failure.reason,
            }
            yield json.dumps(failed)
    for server, row, parts in _records(view):
        figures = {name: _in_json(one) for name, one in _figures(view, server, row, parts).items()}
        record = {
            "time": parts[0].span.now.time,
            "server": view.sources[server].name,
            "name": row.family.name,
            "labels": labels_of(f"x{row.labels}"),
            "type": row.family.about.type or row.family.kind,
            **figures,
        }
        yield json.dumps(record)


def csv_lines(view: View) -> Iterator[str]:
    """Write each label set of each server as a line of comma-separated values (RFC 4180), without line ends."""
    for server, row, parts in _records(view):
        figures = _figures(view, server, row, parts)
        record = [
            f"{parts[0].span.now.time:.3f}",
            view.sources[server].name,
            visible(row.family.name),
            visible(row.labels),
            visible(row.family.about.type or row.family.kind),
            *(
                "" if math.isnan(one) else repr(one)
                for one in (figures.get(name, math.nan) for name in CSV_TITLES[5:])
            ),
        ]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(record)
        yield line.getvalue()


def _records(view: View) -> Iterator[tuple[int, Row, list[Part]]]:
    for server in range(len(view.sources)):
        if view.sources[server].failure is None:
            for row in view.rows():
                if parts := row.parts(view.spans, server):
                    yield server, row, parts


def _figures(view: View, server: int, row: Row, parts: Sequence[Part]) -> dict[str, float]:
    recent: Sequence[Span | None] = view.recent
    found = {
        "value": parts[0].span.value(parts[0].label_set.main),
        "rate": rate(row.parts(recent, server)),
    }
    if row.family.kind in {"histogram", "summary"}:
        shares = quantiles(parts, _QUANTILES)
        found |= {"mean": mean(parts), "p50": shares[0], "p90": shares[1], "p99": shares[2]}
    return found


def _in_json(one: float) -> float | str | None:
    if math.isnan(one):
        return None
    return one if math.isfinite(one) else "+Inf" if one > 0 else "-Inf"
