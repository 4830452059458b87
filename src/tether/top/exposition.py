"""Pages of metrics: the Prometheus text format (0.0.4 and 1.0.0) and OpenMetrics 1.0, to samples. No I/O.

A page comes from a server that nobody vouches for. A line that breaks the format is a fault with its number, and the
other lines are still read. Labels stay the text that the server wrote: `labels_of` reads them where they are needed.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from attrs import frozen

__all__ = (
    "About",
    "Fault",
    "Page",
    "Sample",
    "labels_of",
    "name_of",
    "parse",
    "written_labels_of",
)

_FAULTS_KEPT: Final = 100
_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_QUOTED: Final = r'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'
_LABEL: Final = rf"[ \t]*+(?:{_NAME}|{_QUOTED})[ \t]*+=[ \t]*+{_QUOTED}[ \t]*+"
_LABELS: Final = rf"(?:{_LABEL}(?:,|(?=\}})))*+[ \t]*+\}}"
_NUMBER: Final = r"[-+]?[0-9A-Za-z.][-+0-9A-Za-z.]*+"  # `float` judges it; it would also take 1_0
_SERIES: Final = (
    rf"{_NAME}(?:[ \t]*+\{{{_LABELS})?"
    rf"|\{{[ \t]*+{_QUOTED}[ \t]*+(?:,{_LABELS}|\}})"
)
_SAMPLE: Final = re.compile(
    rf"[ \t]*+({_SERIES})[ \t]*+(?:(?<=\}})|(?<=[ \t]))({_NUMBER}|\{{[^{{}}]*+\}})"
    rf"(?:[ \t]++({_NUMBER}))?+"
    rf"((?:[ \t]++\#[ \t]*+\{{{_LABELS}[ \t]++{_NUMBER}(?:[ \t]++{_NUMBER})?+)*+)[ \t\r]*+"
).fullmatch
_ABOUT: Final = re.compile(
    rf"\#[ \t]++(HELP|TYPE|UNIT)[ \t]++({_NAME}|{_QUOTED})(?:[ \t]++(.*?))?[ \t\r]*"
).fullmatch
_PLAIN: Final = re.compile(r'[^{"\\ \t]*+\{(?:\w++="[^"\\]*+",?+)++\}').fullmatch
_ONE_LABEL: Final = re.compile(rf"[ \t]*({_NAME}|{_QUOTED})[ \t]*=[ \t]*({_QUOTED})[ \t]*,?")
_FIRST_QUOTED: Final = re.compile(rf"\{{[ \t]*({_QUOTED})[ \t]*,?")
_ESCAPE: Final = re.compile(r'\\([\\n"])')
_MEANINGS: Final = {"\\": "\\", "n": "\n", '"': '"'}


class Sample(msgspec.Struct, gc=False):
    """One line of a page. Pages have tens of thousands of them."""

    series: str
    """Its name and labels, as the server wrote them."""
    value: float
    """NaN for a native histogram."""
    timestamp: float | None = None
    """Seconds since 1970, where the server gave them."""
    exemplar: str | None = None
    """As it was written, behind the `#`; several where a native histogram has several."""
    native: str | None = None
    """A native histogram, as it was written."""


@frozen
class About:
    """What a page says of a family."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


@frozen
class Fault:
    """A line that is not of the format."""

    line: int
    """From 1."""
    reason: str
    text: str
    """Its beginning."""


@frozen
class Page:
    """What a server has answered."""

    samples: list[Sample]
    about: Mapping[str, About]
    """What it says of its families, by name."""
    faults: list[Fault]
    """The first hundred."""
    fault_count: int


def parse(text: str, *, openmetrics: bool = False, known: dict[str, str] | None = None) -> Page:
    """Read a page.

    Args:
        text: the page. Line ends are newlines; a return before one is left out.
        openmetrics: whether its timestamps are seconds, as in OpenMetrics, and not milliseconds.
        known: series of earlier pages of the same server, which are found there instead of read anew. Those of this
            page are added.

    Returns:
        The samples in their order, and the faults.
    """
    return _Reader(openmetrics, {} if known is None else known).page(text)


class _Reader:
    """Reads one page."""

    def __init__(self, openmetrics: bool, known: dict[str, str]) -> None:  # noqa: FBT001 - of this module alone
        self._known = known
        self._per_second = 1 if openmetrics else 1000
        self._samples: list[Sample] = []
        self._about: dict[str, dict[str, str]] = {}
        self._faults: list[Fault] = []
        self._fault_count = 0

    def page(self, text: str) -> Page:
        known, add = self._known.get, self._samples.append
        for number, line in enumerate(text.split("\n"), 1):
            head, _, tail = line.rpartition(" ")
            series = known(head)
            # A series that is known was whole: what follows it is its value, and nothing else.
            if series is not None and tail.isascii() and "_" not in tail:
                try:
                    add(Sample(series, float(tail)))
                except ValueError:
                    self._fault(number, line, "its value is not a number")
            else:
                self._read(number, line)
        about = {name: About(**parts) for name, parts in self._about.items()}
        return Page(self._samples, about, self._faults, self._fault_count)

    def _read(self, number: int, line: str) -> None:
        if line.startswith("#"):
            self._read_about(line)
        elif line and not line.isspace():
            match = _SAMPLE(line)
            if match is None:
                self._fault(number, line, "it is no sample")
            else:
                self._read_sample(number, line, match)

    def _read_sample(self, number: int, line: str, match: "re.Match[str]") -> None:
        series, value, timestamp, exemplar = match.groups()
        native = value if value.startswith("{") else None
        try:
            at = None if timestamp is None else float(timestamp) / self._per_second
            read = math.nan if native else float(value)
            sample = Sample(series, read, at, exemplar.lstrip(" \t#") or None, native)
        except ValueError:
            self._fault(number, line, "its value or its timestamp is not a number")
            return
        if not _labels_differ(series):
            self._fault(number, line, "a label stands in it twice")
            return
        self._samples.append(sample)
        self._known[series] = series

    def _read_about(self, line: str) -> None:
        match = _ABOUT(line)
        if match is None:
            return  # a comment
        what, name, text = match.groups()
        parts = self._about.setdefault(_unquoted(name), {})
        parts[what.lower()] = _unescaped(text or "") if what == "HELP" else text or ""

    def _fault(self, number: int, line: str, reason: str) -> None:
        self._fault_count += 1
        if len(self._faults) < _FAULTS_KEPT:
            self._faults.append(Fault(number, reason, line[:200]))


def _labels_differ(series: str) -> bool:
    """Say whether each label stands in a series once."""
    if _PLAIN(series):  # quotes stand around values alone
        names = [name.lstrip(",") for name in series.partition("{")[2].split('"')[:-1:2]]
    else:
        names = [name for name, _ in written_labels_of(series)]
    return len(names) == len(set(names))


def name_of(series: str) -> str:
    """Return the name of a series, which may be any text where it is quoted."""
    if series.startswith("{"):
        quoted = _FIRST_QUOTED.match(series)
        return "" if quoted is None else _unquoted(quoted[1])
    return series.partition("{")[0].rstrip(" \t")


def labels_of(series: str) -> dict[str, str]:
    """Read the labels of a series, in their order, with all escapes resolved."""
    found = _ONE_LABEL.findall(series, _start_of_labels(series))
    return {_unquoted(name): _unquoted(value) for name, value in found}


def written_labels_of(series: str) -> list[tuple[str, str]]:
    """Split the labels of a series: each one's name, and the label as the server wrote it, such as `a="b"`."""
    found = _ONE_LABEL.findall(series, _start_of_labels(series))
    return [(_unquoted(name), f"{name}={value}") for name, value in found]


def _start_of_labels(series: str) -> int:
    if series.startswith("{"):
        quoted = _FIRST_QUOTED.match(series)
        return len(series) if quoted is None else quoted.end()
    return series.find("{") + 1 or len(series)


def _unquoted(text: str) -> str:
    return _unescaped(text[1:-1]) if text.startswith('"') else text


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _MEANINGS[found[1]], text) if "\\" in text else text
