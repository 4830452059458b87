"""Native histograms in the text form of OpenMetrics 2.0: `{count:24,sum:100,schema:0,...}`. No I/O."""

import math
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from attrs import frozen

__all__ = ("Bucket", "NativeHistogram", "read_native")

_FIELD: Final = re.compile(r"(\w+):(\[[^\]]*\]|[^,\[\]}]+)")
_CUSTOM: Final = -53
"""The schema whose bounds are written out."""
_SCHEMAS: Final = range(-4, 9)
_MOST_BUCKETS: Final = 2000


@frozen
class Bucket:
    """Observations above one bound, up to another."""

    lower: float
    upper: float
    count: float


@frozen
class NativeHistogram:
    """What a native histogram has counted since its start."""

    count: float
    sum: float
    schema: int
    buckets: tuple[Bucket, ...]
    """Those that are not empty, from the lowest."""


def read_native(text: str) -> NativeHistogram:
    """Read a native histogram.

    Args:
        text: its fields, in braces. Absent ones are 0, or empty.

    Raises:
        ValueError: a field is no number, the schema is unknown, or spans and counts do not fit; the text says which.
    """
    fields = dict(_FIELD.findall(text.replace(" ", "")))
    schema = int(fields.get("schema", 0))
    if schema not in _SCHEMAS and schema != _CUSTOM:
        raise ValueError(f"schema {schema} is not known; known are -4 to 8, and {_CUSTOM}")
    custom = [float(one) for one in _listed(fields, "custom_values")]
    positive = [
        Bucket(*_bounds(index, schema, custom), count) for index, count in _side(fields, "positive")
    ]
    negative = [
        Bucket(-upper, -lower, count)
        for index, count in _side(fields, "negative")
        for lower, upper in [_bounds(index, schema, custom)]
    ]
    threshold = float(fields.get("zero_threshold", 0))
    zero = Bucket(-threshold, threshold, float(fields.get("zero_count", 0)))
    return NativeHistogram(
        float(fields.get("count", 0)),
        float(fields.get("sum", 0)),
        schema,
        (*reversed(negative), *([zero] if zero.count else []), *positive),
    )


def _listed(fields: dict[str, str], name: str) -> list[str]:
    return [one for one in fields.get(name, "[]").strip("[]").split(",") if one]


def _side(fields: dict[str, str], side: str) -> Iterator[tuple[int, float]]:
    """The indexes of the buckets on one side of zero, and their counts."""
    spans = [tuple(map(int, one.split(":"))) for one in _listed(fields, f"{side}_spans")]
    deltas = [int(one) for one in _listed(fields, f"{side}_deltas")]
    counts = [float(one) for one in _listed(fields, f"{side}_counts")] or [*accumulate(deltas)]
    if any(len(span) != 2 or span[1] < 0 for span in spans):
        raise ValueError(f"{side}_spans are not pairs such as 0:2")
    if sum(length for _, length in spans) != len(counts) or len(counts) > _MOST_BUCKETS:
        raise ValueError(f"{side}_spans do not fit the {len(counts)} counts")
    values, index = iter(counts), 0
    for offset, length in spans:
        index += offset
        for _ in range(length):
            yield index, next(values)
            index += 1


def _bounds(index: int, schema: int, custom: list[float]) -> tuple[float, float]:
    if schema == _CUSTOM:
        if not 0 <= index <= len(custom):
            raise ValueError(f"custom_values have no bucket {index}")
        return (
            custom[index - 1] if index else -math.inf,
            custom[index] if index < len(custom) else math.inf,
        )
    return _power((index - 1) * 2.0**-schema), _power(index * 2.0**-schema)


def _power(exponent: float) -> float:
    try:
        return math.pow(2.0, exponent)
    except OverflowError:
        return math.inf
