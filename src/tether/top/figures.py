"""Figures of label sets, one or many at once: rate, value, mean, quantiles, activity. No I/O.

A folded family, and a label set of several servers, are several parts whose figures are added.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from tether.top.catalogue import LabelSet
from tether.top.history import is_absent
from tether.top.native import Bucket
from tether.top.quantiles import native_quantile, quantile
from tether.top.span import Change, Span, steps

__all__ = ("Part", "activity", "buckets", "is_gone", "mean", "quantiles", "rate", "trail", "value")


@frozen
class Part:
    """A label set, and the stretch of its server's history that figures are about."""

    span: Span
    label_set: LabelSet

    @property
    def counts(self) -> bool:
        """Whether it counts something."""
        column = self.label_set.main
        return column is not None and bool(self.span.history.counting[column])

    def change(self, column: int | None) -> Change | None:
        """Say how much one of its columns has changed."""
        return self.span.change(column, self.label_set.created)


def rate(parts: Iterable[Part]) -> float:
    """Add up how much counters increase, and gauges change, each second; NaN where it is not known yet."""
    return _sum(_rate(part) for part in parts)


def _rate(part: Part) -> float:
    column = part.label_set.main
    if column is None or (part.span.from_zero and not part.counts):
        return math.nan
    found = part.change(column)
    return found.amount / found.seconds if found is not None and found.seconds > 0 else math.nan


def value(parts: Iterable[Part], *, difference: bool = False) -> float:
    """Add up values, or what they have changed by; NaN where there are none."""
    if not difference:
        return _sum(part.span.value(part.label_set.main) for part in parts)
    found = (part.change(part.label_set.main) for part in parts)
    return _sum(one.amount for one in found if one is not None)


def newest(parts: Iterable[Part]) -> float:
    """Return the greatest value, for those of which a sum says nothing."""
    values = (part.span.value(part.label_set.main) for part in parts)
    return max((one for one in values if not math.isnan(one)), default=math.nan)


def _sum(numbers: Iterable[float]) -> float:
    total, some = 0.0, False
    for one in numbers:
        if one == one:
            total, some = total + one, True
    return total if some else math.nan


def is_gone(parts: Iterable[Part]) -> bool:
    """Say whether the servers no longer have any of the series."""
    return all(
        is_absent(part.span.now.value(column))
        for part in parts
        for column in _columns(part.label_set)
    )


def _columns(one: LabelSet) -> Iterator[int]:
    yield from (column for column in (one.value, one.count, one.sum) if column is not None)
    yield from one.buckets.values()
    yield from one.quantiles.values()


def mean(parts: Sequence[Part]) -> float:
    """Divide the sums of observations by their number; NaN without observations."""
    count = _sum(_amount(part, part.label_set.count) for part in parts)
    total = _sum(_amount(part, part.label_set.sum) for part in parts)
    natives = [part for part in parts if part.label_set.is_native]
    if natives:
        count, total = _native_totals(natives)
    return total / count if count > 0 else math.nan


def _amount(part: Part, column: int | None) -> float:
    if part.label_set.family.about.type == "gaugehistogram":
        return part.span.value(column)  # it says what is there now, and counts nothing up
    found = part.change(column)
    return math.nan if found is None else found.amount


def _native_totals(parts: Iterable[Part]) -> tuple[float, float]:
    count = total = 0.0
    for part in parts:
        if part.label_set.value is not None:
            more = part.span.totals(part.label_set.value)
            count, total = count + more[0], total + more[1]
    return count, total


def quantiles(parts: Sequence[Part], wanted: Sequence[float]) -> list[float]:
    """Estimate quantiles of histograms; of a summary, return those that its server has computed.

    Returns:
        One for each that is wanted; NaN where there is none, also for summaries of several parts, which nothing adds.
    """
    if any(part.label_set.is_native for part in parts):
        natives = native_buckets(parts)
        return [native_quantile(q, natives) for q in wanted]
    if any(part.label_set.buckets for part in parts):
        found = buckets(parts)
        count = _sum(_amount(part, part.label_set.count) for part in parts)
        return [quantile(q, found, count) for q in wanted]
    if len(parts) == 1:
        of_server = parts[0].label_set.quantiles
        return [parts[0].span.value(of_server.get(q)) for q in wanted]
    return [math.nan] * len(wanted)


def buckets(parts: Sequence[Part]) -> dict[float, float]:
    """Add up how much buckets of classic histograms have changed, by their upper bounds.

    Returns:
        Only bounds that all parts have: a bound that one lacks cannot be added.
    """
    found: list[dict[float, float]] = []
    for part in parts:
        amounts = {b: _amount(part, column) for b, column in part.label_set.buckets.items()}
        if known := {bound: one for bound, one in amounts.items() if not math.isnan(one)}:
            found.append(known)
    if not found:
        return {}
    shared = set(found[0]).intersection(*found[1:])
    return {bound: math.fsum(one[bound] for one in found) for bound in shared}


def native_buckets(parts: Sequence[Part]) -> list[Bucket]:
    """Add up how much buckets of native histograms have changed, from the lowest."""
    added: dict[tuple[float, float], float] = {}
    for part in parts:
        if part.label_set.value is not None:
            for one in part.span.buckets(part.label_set.value):
                key = (one.lower, one.upper)
                added[key] = added.get(key, 0.0) + one.count
    return [Bucket(lower, upper, count) for (lower, upper), count in sorted(added.items())]


def activity(parts: Iterable[Part]) -> float:
    """Compare how much it moves now with how much it usually moves: 1 is as usual, 0 not at all."""
    pace = usual = 0.0
    for part in parts:
        column, of_columns = part.label_set.main, part.span.activity
        if column is not None and column < len(of_columns):
            pace, usual = pace + of_columns[column][0], usual + of_columns[column][1]
    return pace / usual if usual > 0 else 0.0


def trail(parts: Sequence[Part], points: int) -> list[float]:
    """Return the last values of gauges, or the last rates of what counts, the oldest first.

    Returns:
        At most so many numbers; NaN where nothing was there.
    """
    trails = [list(_trail(part, points)) for part in parts]
    longest = max(map(len, trails), default=0)
    filled = [[math.nan] * (longest - len(one)) + one for one in trails]
    return [_sum(numbers) for numbers in zip(*filled, strict=True)]


def _trail(part: Part, points: int) -> Iterator[float]:
    column, counts = part.label_set.main, part.counts
    for then, now in steps(part.span.history, part.span.last, points):
        if column is None or column >= len(now.values):
            yield math.nan
        elif not counts:
            yield now.value(column)
        elif column < len(then.values) and not math.isnan(then.value(column)):
            yield (now.moved[column] - then.moved[column]) / (now.time - then.time)
        else:
            yield math.nan
