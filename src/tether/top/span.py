"""The stretch of a history that figures are about: a window, or the time since a base line or the server's start."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from operator import sub

from attrs import define, frozen

from tether.top.history import History, Moment
from tether.top.native import Bucket, NativeHistogram

__all__ = ("Change", "Span", "span", "steps")


@frozen
class Change:
    """How much a series has changed."""

    amount: float
    seconds: float
    """NaN where it is not known since when."""


@define(eq=False)
class Span:
    """Moments of a history, from a first to a last one. It is not used after the history has changed."""

    history: History
    first: int
    last: int
    from_zero: bool = False
    """Whether it is about all that the server has counted since its start."""

    @property
    def moments(self) -> list[Moment]:
        """The moments, the first and the last included."""
        return self.history.moments[self.first : self.last + 1]

    @property
    def then(self) -> Moment:
        """The first moment."""
        return self.history.moments[self.first]

    @property
    def now(self) -> Moment:
        """The last moment."""
        return self.history.moments[self.last]

    @property
    def seconds(self) -> float:
        """From its first moment to its last; NaN where it is about all time and the server does not say its start."""
        return self.now.time - (self.history.started() if self.from_zero else self.then.time)

    @cached_property
    def moves(self) -> list[float]:
        """How far each column has moved; NaN where it was not there at both ends."""
        then, now = self.then, self.now
        ways = map(sub, now.moved, then.moved)
        # A number less itself is 0, what is absent stays what it is.
        return [
            way + (a - a) + (b - b)
            for way, a, b in zip(ways, now.values, then.values, strict=False)
        ]

    @cached_property
    def changes(self) -> list[float]:
        """How much each column has changed, counters over their starts from 0; NaN as in `moves`."""
        differences = map(sub, self.now.values, self.then.values)
        counts = self.history.counting
        return [
            way if is_counter else difference
            for is_counter, way, difference in zip(counts, self.moves, differences, strict=False)
        ]

    @cached_property
    def activity(self) -> list[tuple[float, float]]:
        """How much each column moves each second, and how much it usually does; 0 and 0 for one that was not there."""
        now, came, seconds = self.now.time, self.history.came, self.now.time - self.then.time
        if not seconds > 0:
            return [(0.0, 0.0)] * len(self.moves)
        return [
            (move / seconds, way / (now - since)) if way > 0 and move == move else (0.0, 0.0)
            for move, way, since in zip(self.moves, self.now.moved, came, strict=False)
        ]

    def value(self, column: int | None) -> float:
        """What the server said at the last moment; NaN if it said nothing."""
        return math.nan if column is None else self.now.value(column)

    def change(self, column: int | None, created: int | None = None) -> Change | None:
        """Say how much a series has changed; counters over their starts from 0.

        Args:
            column: its column.
            created: the column that says when it began.

        Returns:
            None where there are fewer than two moments with it.
        """
        if column is None:
            return None
        if self.from_zero:
            return self._whole(column, created)
        if column < len(self.changes) and (amount := self.changes[column]) == amount:
            seconds = self.now.time - self.then.time
            return Change(amount, seconds) if seconds else None
        there = [one for one in self.moments if not math.isnan(one.value(column))]
        if len(there) < 2:
            return None
        then, now = there[0], there[-1]
        counts = self.history.counting[column]
        amount = (
            now.moved[column] - then.moved[column]
            if counts
            else now.value(column) - then.value(column)
        )
        return Change(amount, now.time - then.time)

    def _whole(self, column: int, created: int | None) -> Change | None:
        began, value = self.value(created), self.now.value(column)
        seconds = self.seconds if math.isnan(began) else self.now.time - began
        return None if math.isnan(value) else Change(value, seconds)

    def buckets(self, column: int) -> list[Bucket]:
        """Say how much the buckets of a native histogram have increased."""
        then, now = self._natives(column)
        return [] if now is None else _difference(then, now)

    def totals(self, column: int) -> tuple[float, float]:
        """Say how much the count and the sum of a native histogram have increased."""
        then, now = self._natives(column)
        if now is None:
            return 0.0, 0.0
        if then is None or now.count < then.count:
            return now.count, now.sum
        return now.count - then.count, now.sum - then.sum

    def _natives(self, column: int) -> tuple[NativeHistogram | None, NativeHistogram | None]:
        """Find a native histogram at both ends; the first is None where all counts since the start."""
        kept = self.history.natives.get(column, [])
        times = [time for time, _ in kept]
        last = bisect_right(times, self.now.time) - 1
        first = bisect_left(times, self.history.moments[self.first].time)
        if last < 0 or not (self.from_zero or first < last):
            return None, None
        return None if self.from_zero else kept[first][1], kept[last][1]


def _difference(then: NativeHistogram | None, now: NativeHistogram) -> list[Bucket]:
    """The increase of buckets; a start from 0, or a change of the bounds, is an increase from nothing."""
    if then is None or then.schema != now.schema or now.count < then.count:
        return list(now.buckets)
    before = {(one.lower, one.upper): one.count for one in then.buckets}
    return [
        Bucket(one.lower, one.upper, max(one.count - before.get((one.lower, one.upper), 0), 0))
        for one in now.buckets
    ]


def span(
    history: History,
    window: float | None,
    *,
    at: float | None = None,
    since: float | None = None,
) -> Span | None:
    """Choose moments.

    Args:
        history: their history.
        window: seconds up to the last one; None for all since the server's start. At least two moments are taken,
            where there are two.
        at: the last moment is the one at this time, or the next before it; None for the newest.
        since: the time of a base line, which is taken in place of the window.

    Returns:
        None where there are no moments yet.
    """
    times = [moment.time for moment in history.moments]
    last = len(times) - 1 if at is None else bisect_right(times, at) - 1
    if last < 0:
        return None
    if since is not None:
        return Span(history, min(max(bisect_right(times, since) - 1, 0), last), last)
    if window is None:
        return Span(history, last, last, from_zero=True)
    first = bisect_left(times, times[last] - window - 0.001)
    return Span(history, max(min(first, last - 1), 0), last)


def steps(history: History, last: int, count: int) -> Iterator[tuple[Moment, Moment]]:
    """Pair each of the moments before one with the next, the oldest first."""
    for index in range(max(last - count, 0), last):
        yield history.moments[index], history.moments[index + 1]
