"""The screen that follows from a view: lines of text with styles, as many as fit. No I/O, no clock."""

from collections.abc import Iterator, Sequence
from typing import Final

from tether.top.cells import layout, row_line, title_line
from tether.top.family import family_lines
from tether.top.head import summary
from tether.top.lines import Line, clipped
from tether.top.runs import has_runs, runs_lines
from tether.top.source import Source
from tether.top.span import Span
from tether.top.text import visible
from tether.top.units import age, byte_count, number
from tether.top.view import Page, View

__all__ = ("HELP", "head_lines", "screen")

_HEADS: Final = 4
"""So many servers have a line of their own."""
_PIECES: Final = "  "

HELP: Final = (
    ("up down pgup pgdn home end", "choose a row; the mouse wheel does too"),
    ("enter", "open the family: its series, help text and buckets"),
    ("esc", "back: from a page, a filter, the past, a base line"),
    ("/", "filter while you type; enter keeps it, esc takes it back"),
    ("s S", "next or previous order: activity, name, rate, value"),
    ("a", "hide what does not move, or show it"),
    ("f", "fold label sets, or show each"),
    ("*", "pin the row to the top"),
    ("+ -", "longer or shorter window, up to all since the start"),
    ("b", "base line: show differences since now"),
    ("space", "pause; the history goes on"),
    ("left right", "go through half an hour of history; [ ] by ten"),
    ("m", "several servers: columns or sum"),
    ("t", "the runs of a tether server, or the table"),
    ("? h", "this page"),
    ("q", "leave"),
)
"""What keys do."""
_NOTES: Final = (
    "Activity compares how much a row moves now with how much it usually",
    "moves: what has just changed comes first, whatever its size.",
    "RATE/s  increase of a counter, or observations, each second",
    "MEAN P50 P90 P99  of what was observed in the window",
)


def screen(view: View, width: int, height: int, now: float) -> list[Line]:
    """Draw a view.

    Args:
        view: what is seen.
        width: cells.
        height: lines.
        now: seconds since 1970.

    Returns:
        At most `height` lines of at most `width` cells.
    """
    heads = list(head_lines(view, now))
    room = max(height - len(heads) - 2, 1)
    match view.page:
        case "help":
            body = _help()
        case "family":
            body = family_lines(view, width, room)
        case "runs":
            body = runs_lines(view, width, room)
        case "table":
            body = _table(view, width, room)
    body = [*body[:room], *[[("", "")]] * (room - len(body))]
    lines = [*heads, *body, _choices(view), _keys(view, width)]
    return [clipped(one, width, fill=_filling(one)) for one in lines][-height:]


def _filling(line: Line) -> str | None:
    style = line[0][0] if line else ""
    return style if style in {"class:title", "class:foot", "class:chosen", "class:head"} else None


def head_lines(view: View, now: float) -> Iterator[Line]:
    """Say of each server how it answers, and of a single one what it is."""
    for index, source in enumerate(view.sources[:_HEADS]):
        number_of = f"{index + 1} " if len(view.sources) > 1 else ""
        yield [("class:head", number_of + visible(source.name)), *_state(source, now)]
        span = view.recent[index]
        if len(view.sources) == 1:
            yield [("", _PIECES.join(summary(span)) if span is not None else "")]
    if (more := len(view.sources) - _HEADS) > 0:
        down = sum(one.failure is not None for one in view.sources[_HEADS:])
        yield [("class:head", f"and {more} more servers, {down} of them down")]


def _state(source: Source, now: float) -> Line:
    if source.failure is not None:
        seen = "never seen"
        if source.answered is not None:
            seen = f"last seen {age(now - source.answered)} ago"
        return [("class:down", f"  DOWN {visible(source.failure.reason)} ({seen})")]
    if source.answered is None:
        return [("class:head", "  waiting for an answer")]
    pieces = [
        f"{source.seconds * 1000:.0f} ms",
        byte_count(source.size),
        f"{number(source.series)} series",
    ]
    if restarts := source.history.restarts:
        pieces.append(f"restarted {restarts}x")
    line: Line = [("class:head", f"  {_PIECES.join(pieces)}")]
    if source.fault_count:
        first = source.faults[0]
        line.append(
            (
                "class:down",
                f"  {source.fault_count} bad lines, first {first.line}: {visible(first.text)}",
            )
        )
    return line


def _table(view: View, width: int, room: int) -> list[Line]:
    rows = view.rows()
    chosen_layout = layout(width, len(view.sources) if view.side_by_side else 1)
    lines = [title_line(chosen_layout, "NAME")]
    index = view.select(rows, room - 1)
    spans, pins = view.spans, view.choice.pins
    for number_of in range(view.top, min(view.top + room - 1, len(rows))):
        row = rows[number_of]
        mark = "*" if row.key in pins else ""
        name = f"{mark}{row.family.name}{row.labels}"
        line = row_line(row, name, chosen_layout, spans, difference=view.base is not None)
        lines.append(_marked(line, chosen=number_of == index))
    if not rows:
        lines.append([("class:dim", _why_empty(view))])
    return lines


def _marked(line: Line, *, chosen: bool) -> Line:
    return [("class:chosen", text) for _, text in line] if chosen else line


def _why_empty(view: View) -> str:
    if not any(source.history.moments for source in view.sources):
        return "no metrics yet"
    if view.choice.words:
        return f"no row has {visible(view.choice.words)}; esc takes the filter back"
    return "nothing moves; a shows what is idle" if view.choice.only_active else "no metrics"


def _choices(view: View) -> Line:
    """What a person has chosen."""
    if view.typing:
        return [("class:foot", f" find: {visible(view.choice.words)}_")]
    pieces = [_window(view)]
    if view.at is not None:
        newest = max(
            (s.history.moments[-1].time for s in view.sources if s.history.moments), default=view.at
        )
        behind = newest - view.at
        pieces.append(f"PAUSED {age(behind)} ago" if behind >= 1 else "PAUSED")
    if view.page == "runs":
        pieces = [f"rates {_window(view)}, times since the start", *pieces[1:]]
    if view.page == "table":
        pieces = [f"sort {view.choice.sort}", *pieces, *_choices_of_rows(view)]
    return [("class:foot", " " + "  ".join(pieces))]


def _choices_of_rows(view: View) -> Iterator[str]:
    if view.choice.words:
        yield f"find {visible(view.choice.words)}"
    if view.choice.only_active:
        yield "active only"
    yield "folded" if view.folded else "each label set"
    if view.choice.pins:
        yield f"{len(view.choice.pins)} pinned"
    if len(view.sources) > 1:
        yield "columns" if view.side_by_side else "sum"


def _window(view: View) -> str:
    if view.base is not None:
        spans: Sequence[Span] = [one for one in view.spans if one is not None]
        seconds = max((one.now.time - view.base for one in spans), default=0.0)
        return f"since base line {age(seconds)} ago"
    return "since the start" if view.window is None else f"over {age(view.window)}"


_KEYS: Final[dict[Page, str]] = {
    "help": "esc back|q quit",
    "family": "esc back|? help|q quit|up/down series|+- window|b base|space pause",
    "runs": "? help|q quit|t table|+- window|b base|space pause|left/right history",
    "table": (
        "? help|q quit|t runs|m sum|/ find|s sort|f fold|a idle|enter open|b base|+- window|* pin|space pause"
        "|left/right history"
    ),
}


def _keys(view: View, width: int) -> Line:
    """Say what the most useful keys do, as many as fit."""
    keys = ("enter keep|esc take back" if view.typing else _KEYS[view.page]).split("|")
    useless = {
        *([] if has_runs(view) else ["t runs"]),
        *([] if len(view.sources) > 1 else ["m sum"]),
    }
    line = ""
    for key in keys:
        shown = "m columns" if key == "m sum" and view.summed else key
        if key not in useless and len(line) + 2 + len(shown) <= width:
            line += f"  {shown}" if line else f" {shown}"
    return [("class:keys", line)]


def _help() -> list[Line]:
    width = max(len(keys) for keys, _ in HELP)
    lines: list[Line] = [[("class:title", "KEYS")]]
    lines += [[("class:name", f"{keys:{width}}  "), ("", what)] for keys, what in HELP]
    return [*lines, *([("class:dim", note)] for note in _NOTES)]
