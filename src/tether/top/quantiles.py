"""Quantiles of histograms, as PromQL computes them. No I/O."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from attrs import evolve

from tether.top.native import Bucket

__all__ = ("native_quantile", "quantile")


def quantile(q: float, buckets: Mapping[float, float], count: float = math.nan) -> float:
    """Estimate a quantile from the buckets of a classic histogram.

    Args:
        q: from 0 to 1.
        buckets: how many observations were at most each bound.
        count: how many there were in all, which stands in for a missing `+Inf`.

    Returns:
        As PromQL's `histogram_quantile`: the values in a bucket are taken to lie evenly, those of the lowest begin at 0
        if its bound is above 0, and beyond the highest bound there is only that. NaN without observations.
    """
    bounds, counts = _rising(buckets, count)
    if not bounds or not counts[-1] > 0:
        return math.nan
    rank = q * counts[-1]
    index = bisect_left(counts, rank)
    if index >= len(bounds) - 1:
        return bounds[-2] if len(bounds) > 1 else math.nan
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    lower, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    inside = counts[index] - below
    return lower + (bounds[index] - lower) * ((rank - below) / inside) if inside else lower


def _rising(buckets: Mapping[float, float], count: float) -> tuple[list[float], list[float]]:
    """Order buckets; those that were read at slightly different times may not fall."""
    bounds = sorted(bound for bound, number in buckets.items() if not math.isnan(number))
    counts: list[float] = []
    for bound in bounds:
        counts.append(max(buckets[bound], counts[-1] if counts else 0.0))
    if bounds and bounds[-1] != math.inf:
        bounds.append(math.inf)
        counts.append(counts[-1] if math.isnan(count) else max(count, counts[-1]))
    return bounds, counts


def native_quantile(q: float, buckets: Sequence[Bucket]) -> float:
    """Estimate a quantile from the buckets of a native histogram, from the lowest.

    Returns:
        The values in a bucket are taken to lie evenly by their logarithms, those around zero evenly. NaN without
        observations.
    """
    total = math.fsum(bucket.count for bucket in buckets)
    if not total > 0:
        return math.nan
    rank, below = q * total, 0.0
    for index, bucket in enumerate(buckets):
        if below + bucket.count >= rank and bucket.count:
            first, last = index == 0, index == len(buckets) - 1
            return _within(_around_zero(bucket, first, last), (rank - below) / bucket.count)
        below += bucket.count
    return buckets[-1].upper


def _around_zero(bucket: Bucket, first: bool, last: bool) -> Bucket:  # noqa: FBT001 - of this module alone
    """Where nothing lies below zero, or nothing above, the bucket around it ends there."""
    if not bucket.lower < 0 < bucket.upper or first == last:
        return bucket
    return evolve(bucket, lower=0.0) if first else evolve(bucket, upper=0.0)


def _within(bucket: Bucket, share: float) -> float:
    lower, upper = bucket.lower, bucket.upper
    if math.isinf(lower) or math.isinf(upper):
        return upper if math.isinf(lower) else lower
    if lower > 0:
        return lower * math.pow(upper / lower, share)
    if upper < 0:
        return lower * math.pow(upper / lower, share)
    return lower + (upper - lower) * share
