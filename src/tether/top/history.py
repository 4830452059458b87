"""What the series of a server were, for half an hour. No I/O, no clock.

Each scrape is a moment: what each series was, and how far it has moved since it came; a series is a column. A counter
that falls has begun again from 0, and so has every counter of a server that was started again. The increase between
any two moments takes one subtraction.

What is kept is bounded: by time, and by the numbers in all moments, of which older ones are thinned out.
"""

import math
from array import array
from collections.abc import MutableSequence
from typing import Final

from attrs import define, field, frozen

from tether.top.catalogue import Catalogue
from tether.top.exposition import Page, Sample
from tether.top.native import NativeHistogram, read_native

__all__ = ("ABSENT", "History", "Moment", "is_absent")

SECONDS_KEPT: Final = 1800.0
NUMBERS_KEPT: Final = 8_000_000
"""In all moments of a server: 64 MB."""
_COLUMNS_FORGIVEN: Final = 10_000
"""So many series are never too many."""
_SECONDS_OF_DOUBT: Final = 1.0
"""Some servers compute when they were started from how long they run, which is rounded."""
_STARTED: Final = "process_start_time_seconds"
ABSENT: Final = -math.nan
"""Stands in a moment for a series that was not there. A server's own NaN is positive."""
_NATIVES_KEPT: Final = 120


def is_absent(value: float) -> bool:
    """Say whether a value stands for a series that was not there."""
    return math.isnan(value) and math.copysign(1.0, value) < 0


@frozen(eq=False)
class Moment:
    """One scrape.

    A column may be missing at the end of the arrays: it has come later.
    """

    time: float
    """Seconds, of the clock of whoever scrapes."""
    values: MutableSequence[float]
    """`ABSENT` where the server had no such series."""
    moved: MutableSequence[float]
    """How far each series has moved since it came: the increase of a counter, also over its starts from 0; the way that
    a gauge went up and down."""

    def value(self, column: int) -> float:
        """What the server said; `ABSENT` if it said nothing."""
        return self.values[column] if column < len(self.values) else ABSENT


@define(eq=False, repr=False)
class History:
    """The moments of one server, and what its series are."""

    seconds: float = SECONDS_KEPT
    numbers: int = NUMBERS_KEPT
    catalogue: Catalogue = field(factory=Catalogue)
    moments: list[Moment] = field(factory=list)
    natives: dict[int, list[tuple[float, NativeHistogram]]] = field(factory=dict)
    """Native histograms by their columns, with their times."""
    restarts: int = 0
    """How often the server was started anew while it was watched."""
    _columns: dict[str, int] = field(factory=dict)
    _names: list[str] = field(factory=list)
    _counts: bytearray = field(factory=bytearray)
    _latest: MutableSequence[float] = field(factory=lambda: array("d"))
    """What each column was when it was there last."""
    _moved: MutableSequence[float] = field(factory=lambda: array("d"))
    _came: MutableSequence[float] = field(factory=lambda: array("d"))
    _started: float = ABSENT
    _present: int = 0

    @property
    def width(self) -> int:
        """How many series there have been."""
        return len(self._names)

    @property
    def is_crowded(self) -> bool:
        """Whether most of the series are gone, so that it is time for a new history."""
        return len(self._names) > 2 * max(self._present, _COLUMNS_FORGIVEN)

    def started(self) -> float:
        """When the server was started, in seconds since 1970; NaN if it does not say so."""
        return self._started

    @property
    def came(self) -> MutableSequence[float]:
        """For each column, when it was there first."""
        return self._came

    @property
    def counting(self) -> "bytearray":
        """For each column, whether it counts, so that a fall is a start from 0."""
        return self._counts

    def add(self, time: float, page: Page) -> None:
        """Add what a server has answered.

        Args:
            time: later than those of earlier pages.
            page: what it answered.
        """
        values = array("d", [ABSENT]) * len(self._names)
        columns = self._columns
        for sample in page.samples:
            column = columns.get(sample.series)
            if column is None:
                column = self._new(sample, page, time)
                values.append(ABSENT)
            value = sample.value
            values[column] = value if value == value else math.nan
            if sample.native is not None:
                values[column] = self._add_native(column, time, sample.native)
        self._present = len(page.samples)
        self._follow(values, restarted=self._has_restarted(values))
        self.moments.append(Moment(time, values, self._moved[:]))
        self._thin(time)

    def _new(self, sample: Sample, page: Page, time: float) -> int:
        column = self._columns[sample.series] = len(self._names)
        is_native = sample.native is not None
        counts = self.catalogue.add(sample.series, column, page.about, native=is_native)
        self._names.append(sample.series)
        self._counts.append(counts or is_native)
        self._latest.append(ABSENT)
        self._moved.append(0.0)
        self._came.append(time)
        return column

    def _add_native(self, column: int, time: float, text: str) -> float:
        """Keep a native histogram; return its count. One that cannot be read is absent."""
        try:
            read = read_native(text)
        except ValueError:
            return ABSENT
        kept = self.natives.setdefault(column, [])
        kept.append((time, read))
        del kept[:-_NATIVES_KEPT]
        return read.count

    def _has_restarted(self, values: MutableSequence[float]) -> bool:
        column = self._columns.get(_STARTED)
        if column is None:
            return False
        before, self._started = self._started, values[column]
        return self._started > before + _SECONDS_OF_DOUBT

    def _follow(self, values: MutableSequence[float], *, restarted: bool) -> None:
        """Add up how far each series has moved."""
        latest, moved, counts = self._latest, self._moved, self._counts
        self.restarts += restarted
        for column, value in enumerate(values):
            last = latest[column]
            if (value == last and not restarted) or value != value:
                continue
            latest[column] = value
            if last != last:
                continue
            step = abs(value - last)
            if counts[column] and (restarted or value < last):
                step = value
            if step < math.inf:
                moved[column] += step

    def _thin(self, now: float) -> None:
        """Drop what is too old, and every second of the older moments when there are too many numbers."""
        moments = self.moments
        while moments[0].time < now - self.seconds:
            del moments[0]
        while len(moments) > 4 and 2 * len(moments) * len(self._names) > self.numbers:
            del moments[1 : len(moments) // 2 + 1 : 2]
