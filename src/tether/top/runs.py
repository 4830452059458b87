"""The first screen of a tether server: its runs, tokens, models, tools, and the approvals that wait. No I/O."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from tether.top.exposition import labels_of
from tether.top.figures import Part, mean, quantiles, rate, value
from tether.top.lines import Line, clipped
from tether.top.text import fitted, middle_cut, visible
from tether.top.units import duration, number
from tether.top.view import View

__all__ = ("has_runs", "runs_lines")

_PREFIX: Final = "tether_"
_KNOWN: Final = ("tether_runs_active", "tether_runs_started_total", "tether_runs_total")
_TITLES: Final = ("CALLS", "RATE/s", "MEAN", "P50", "P99", "ACTIVE")
_WIDTHS: Final = (7, 7, 7, 7, 7, 7)


def has_runs(view: View) -> bool:
    """Say whether one of the servers is a tether server."""
    families = [source.history.catalogue.families for source in view.sources]
    return any(name in found for found in families for name in _KNOWN)


def runs_lines(view: View, width: int, room: int) -> list[Line]:
    """Draw the runs of tether servers, those of several ones added up.

    Args:
        view: the window of its figures is used.
        width: cells.
        room: lines.
    """
    seen = _Seen(view)
    lines = [
        _fact("RUNS", _runs(seen)),
        _fact("ENDED", _by_label(seen, "tether_runs_total", "stop_reason")),
        _fact("APPROVALS", _approvals(seen)),
        _fact("TOKENS", _tokens(seen)),
        _fact("RETRIES", _by_label(seen, "tether_model_retries_total", "kind")),
        [("", "")],
    ]
    models = _block(
        seen,
        width,
        "MODELS",
        "model",
        "tether_model_requests_total",
        _MODEL_TIMES,
        "tether_model_requests_active",
    )
    tools = _block(
        seen,
        width,
        "TOOLS",
        "tool",
        "tether_tool_calls_total",
        _TOOL_TIMES,
        "tether_tool_calls_active",
    )
    rest = max(room - len(lines) - 1, 2)
    models = models[: max(rest - len(tools), min(len(models), rest // 2))]
    return [clipped(one, width) for one in [*lines, *models, [("", "")], *tools]][:room]


_MODEL_TIMES: Final = ("tether_model_request_duration_seconds", "tether_model_first_delta_seconds")
_TOOL_TIMES: Final = ("tether_tool_duration_seconds",)


def _fact(title: str, pieces: Iterator[tuple[str, str]]) -> Line:
    line: Line = [("class:title", fitted(title, 10)), ("", " ")]
    for what, amount in pieces:
        line += [("", f" {what} "), ("class:value", amount), ("", " ")]
    return line if len(line) > 2 else [*line, ("class:dim", " -")]


@frozen
class _Seen:
    """The series of all servers, by their families."""

    view: View

    def parts(self, family: str) -> list[Part]:
        return [
            Part(span, label_set)
            for source, span in zip(self.view.sources, self.view.spans, strict=True)
            if span is not None and (found := source.history.catalogue.families.get(family))
            for label_set in found.label_sets.values()
        ]

    def first(self, *families: str) -> list[Part]:
        """The series of the first of some families that is there."""
        return next((parts for one in families if (parts := self.parts(one))), [])

    def by(self, label: str, *families: str) -> dict[str, list[Part]]:
        """The same, by the value of a label."""
        found: dict[str, list[Part]] = {}
        for part in self.first(*families):
            labels = labels_of(part.label_set.series)
            found.setdefault(labels.get(label, ""), []).append(part)
        return found


def _runs(seen: _Seen) -> Iterator[tuple[str, str]]:
    yield "active", _number(value(seen.parts("tether_runs_active")))
    started = seen.first("tether_runs_started_total", "tether_runs_total")
    yield "started" if seen.parts("tether_runs_started_total") else "ended", _number(value(started))
    yield "rate", f"{_number(rate(started))}/s"
    yield from _times(seen.parts("tether_run_duration_seconds"))
    if viewers := seen.parts("tether_viewers"):
        yield "viewers", _number(value(viewers))


def _times(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    if parts:
        median, last = quantiles(parts, (0.5, 0.99))
        yield "P50", _duration(median)
        yield "P99", _duration(last)


def _approvals(seen: _Seen) -> Iterator[tuple[str, str]]:
    waiting = value(seen.parts("tether_approvals_waiting"))
    yield "waiting", _number(waiting)
    yield from _by_label(seen, "tether_approvals_total", "verdict")
    yield from _times(
        seen.first("tether_approval_wait_seconds", "tether_approval_duration_seconds")
    )


def _tokens(seen: _Seen) -> Iterator[tuple[str, str]]:
    for kind, parts in seen.by("kind", "tether_tokens_total").items():
        yield visible(kind)[:16], f"{_number(value(parts))} {_number(rate(parts))}/s"
    cost = seen.first("tether_cost_usd_total", "tether_cost_total")
    if cost:
        yield "cost", f"${value(cost):.4f}"


def _by_label(seen: _Seen, family: str, label: str) -> Iterator[tuple[str, str]]:
    for name, parts in seen.by(label, family).items():
        if value(parts) > 0:
            yield visible(name)[:20] or "-", _number(value(parts))


def _block(
    seen: _Seen,
    width: int,
    title: str,
    label: str,
    calls: str,
    times: Sequence[str],
    active: str,
) -> list[Line]:
    """A table of models or tools, the most called first."""
    name_width = max(width - sum(_WIDTHS) - len(_WIDTHS), 10)
    head = [fitted(title, name_width)]
    head += [fitted(one, room, right=True) for one, room in zip(_TITLES, _WIDTHS, strict=True)]
    lines: list[Line] = [[("class:title", " ".join(head))]]
    counted, timed = seen.by(label, calls), seen.by(label, *times)
    now = seen.by(label, active)
    for name in sorted(counted, key=lambda one: (-_zero(value(counted[one])), one)):
        cells = _cells(counted[name], timed.get(name, []), now.get(name, []))
        failed = _failed(counted[name])
        line: Line = [("class:name", fitted(middle_cut(visible(name), name_width), name_width))]
        line += [
            ("", f" {fitted(one, room, right=True)}")
            for one, room in zip(cells, _WIDTHS, strict=True)
        ]
        lines.append(line)
        if failed:
            lines.append([("class:dim", f"  {failed}")])
    return lines


def _cells(counted: list[Part], timed: list[Part], active: list[Part]) -> list[str]:
    median, last = quantiles(timed, (0.5, 0.99)) if timed else (math.nan, math.nan)
    running = value(active)
    return [
        _number(value(counted)),
        _number(rate(counted)),
        _duration(mean(timed)),
        _duration(median),
        _duration(last),
        "" if math.isnan(running) else _number(running),
    ]


def _failed(parts: Sequence[Part]) -> str:
    """How calls have ended, where not all of them went well."""
    ends: dict[str, float] = {}
    for part in parts:
        labels = labels_of(part.label_set.series)
        end = labels.get("outcome", labels.get("stop_reason", ""))
        ends[end] = ends.get(end, 0.0) + _zero(value([part]))
    shown = {name: count for name, count in ends.items() if count and name}
    if set(shown) <= {"ok", "stop", "tool_calls"}:
        return ""
    return "  ".join(f"{visible(name)[:20]} {number(count)}" for name, count in shown.items())


def _zero(one: float) -> float:
    return 0.0 if math.isnan(one) else one


def _number(one: float) -> str:
    return "-" if math.isnan(one) else number(one)


def _duration(one: float) -> str:
    return "-" if math.isnan(one) else duration(one)
