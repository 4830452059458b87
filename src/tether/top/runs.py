"""The first screen of a tether server: its runs, tokens, models, tools, and the approvals that wait. No I/O."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen

from tether.top.exposition import labels_of
from tether.top.figures import Part, mean, quantiles, rate, value
from tether.top.lines import Line, clipped
from tether.top.text import fitted, middle_cut, visible
from tether.top.units import duration, number
from tether.top.view import View

__all__ = ("has_runs", "runs_lines")

_KNOWN: Final = ("tether_runs_active", "tether_approvals_waiting", "tether_events_unread")
"""Before the first run, there are only those without labels."""
_TITLES: Final = ("CALLS", "RATE/s", "MEAN", "P50", "P99", "FIRST")
_WIDTH: Final = 7
_WELL: Final = {"ok", "stop", "tool_calls"}
"""How calls of tools and requests to models end when all is well."""


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
        _fact("FLOW", _flow(seen)),
        [("", "")],
    ]
    models = _models(seen, width)
    tools = _tools(seen, width)
    rest = max(room - len(lines) - 1, 2)
    models = models[: max(rest - len(tools), min(len(models), rest // 2))]
    return [clipped(one, width) for one in [*lines, *models, [("", "")], *tools]][:room]


def _fact(title: str, pieces: Iterator[tuple[str, str]]) -> Line:
    line: Line = [("class:title", fitted(title, 10)), ("", " ")]
    for what, amount in pieces:
        line += [("", f" {what} "), ("class:value", amount), ("", " ")]
    return line if len(line) > 2 else [*line, ("class:dim", " -")]


@frozen
class _Seen:
    """The series of all servers, by their families."""

    view: View

    def parts(self, family: str, *, whole: bool = False) -> list[Part]:
        """The label sets of a family.

        Args:
            family: its name.
            whole: for all time. Runs are rare: times of a short window would mostly be of none.
        """
        spans = self.view.whole if whole else self.view.recent
        return [
            Part(span, label_set)
            for source, span in zip(self.view.sources, spans, strict=True)
            if span is not None and (found := source.history.catalogue.families.get(family))
            for label_set in found.label_sets.values()
        ]

    def by(self, label: str, family: str, *, whole: bool = False) -> dict[str, list[Part]]:
        """The same, by the value of a label."""
        found: dict[str, list[Part]] = {}
        for part in self.parts(family, whole=whole):
            labels = labels_of(f"x{part.label_set.labels}")
            found.setdefault(labels.get(label, ""), []).append(part)
        return found


def _runs(seen: _Seen) -> Iterator[tuple[str, str]]:
    started = seen.parts("tether_runs_started_total")
    yield "active", number(_zero(value(seen.parts("tether_runs_active"))))
    yield "started", f"{number(_zero(value(started)))} {number(_zero(rate(started)))}/s"
    yield from _times(seen.parts("tether_run_duration_seconds", whole=True))
    if viewers := seen.parts("tether_viewers"):
        yield "viewers", _number(value(viewers))


def _times(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    if parts:
        median, last = quantiles(parts, (0.5, 0.99))
        yield "P50", _duration(median)
        yield "P99", _duration(last)


def _approvals(seen: _Seen) -> Iterator[tuple[str, str]]:
    yield "waiting", _number(value(seen.parts("tether_approvals_waiting")))
    yield from _by_label(seen, "tether_approval_wait_seconds", "verdict")
    yield from _times(seen.parts("tether_approval_wait_seconds", whole=True))


def _tokens(seen: _Seen) -> Iterator[tuple[str, str]]:
    for kind, parts in seen.by("kind", "tether_tokens_total").items():
        yield visible(kind)[:16], f"{_number(value(parts))} {_number(rate(parts))}/s"
    if cost := seen.parts("tether_cost_usd_total"):
        yield "cost", f"${value(cost):.4f}"


def _flow(seen: _Seen) -> Iterator[tuple[str, str]]:
    """What holds runs up: tools that are going, events that nobody has taken, an event loop that is late."""
    for what, family in (
        ("tools active", "tether_tool_calls_active"),
        ("steered", "tether_steering_total"),
        ("events unread", "tether_events_unread"),
    ):
        if parts := seen.parts(family):
            yield what, _number(value(parts))
    if lag := seen.parts("tether_event_loop_lag_seconds"):
        [last] = quantiles(lag, (0.99,))
        yield "loop lag P99", _duration(last)


def _by_label(seen: _Seen, family: str, label: str) -> Iterator[tuple[str, str]]:
    for name, parts in seen.by(label, family).items():
        if value(parts) > 0:
            yield visible(name)[:20] or "-", _number(value(parts))


def _models(seen: _Seen, width: int) -> list[Line]:
    first = seen.by("model", "tether_model_first_delta_seconds", whole=True)
    firsts = {name: quantiles(parts, (0.5,))[0] for name, parts in first.items()}
    times = "tether_model_request_duration_seconds"
    return _block(seen, width, "model", "tether_model_requests_total", times, firsts)


def _tools(seen: _Seen, width: int) -> list[Line]:
    return _block(
        seen, width, "tool", "tether_tool_calls_total", "tether_tool_duration_seconds", {}
    )


def _block(
    seen: _Seen, width: int, label: str, calls: str, times: str, firsts: Mapping[str, float]
) -> list[Line]:
    """A table of models or tools, the most called first."""
    name_width = max(width - (_WIDTH + 1) * len(_TITLES), 10)
    titles = _TITLES if firsts else _TITLES[:-1]
    head = [
        fitted(f"{label.upper()}S", name_width),
        *(fitted(one, _WIDTH, right=True) for one in titles),
    ]
    lines: list[Line] = [[("class:title", " ".join(head))]]
    counted, timed = seen.by(label, calls), seen.by(label, times, whole=True)
    for name in sorted(counted, key=lambda one: (-_zero(value(counted[one])), one)):
        cells = _cells(counted[name], timed.get(name, []))
        if firsts:
            cells.append(_duration(firsts.get(name, math.nan)))
        line: Line = [("class:name", fitted(middle_cut(visible(name), name_width), name_width))]
        line += [("", f" {fitted(one, _WIDTH, right=True)}") for one in cells]
        lines.append(line)
        if failed := _failed(counted[name]):
            lines.append([("class:dim", f"  {failed}")])
    return lines if counted else [*lines, [("class:dim", "none yet")]]


def _cells(counted: list[Part], timed: list[Part]) -> list[str]:
    median, last = quantiles(timed, (0.5, 0.99)) if timed else (math.nan, math.nan)
    return [
        _number(value(counted)),
        _number(rate(counted)),
        _duration(mean(timed)),
        _duration(median),
        _duration(last),
    ]


def _failed(parts: Sequence[Part]) -> str:
    """How calls have ended, where not all of them went well."""
    ends: dict[str, float] = {}
    for part in parts:
        labels = labels_of(f"x{part.label_set.labels}")
        end = labels.get("outcome", labels.get("stop_reason", ""))
        ends[end] = ends.get(end, 0.0) + _zero(value([part]))
    shown = {name: count for name, count in ends.items() if count and name}
    if set(shown) <= _WELL:
        return ""
    return "  ".join(f"{visible(name)[:20]} {number(count)}" for name, count in shown.items())


def _zero(one: float) -> float:
    return 0.0 if math.isnan(one) else one


def _number(one: float) -> str:
    return "-" if math.isnan(one) else number(one)


def _duration(one: float) -> str:
    return "-" if math.isnan(one) else duration(one)
