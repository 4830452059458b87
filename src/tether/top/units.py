"""Numbers as a person reads them, in at most eight cells: 3.44ms, 60.0MiB, 1.05M, 3d04h. No I/O."""

import math
from typing import Final, Literal, TypeAlias

__all__ = ("Unit", "age", "amount", "byte_count", "duration", "number", "unit_of")

Unit: TypeAlias = Literal["", "seconds", "bytes", "time", "ratio"]

_AN_AGE_FROM: Final = 1e9
"""Seconds since 1970 (2001) from which a gauge of seconds may be a point in time."""
_TIMES: Final = ("_timestamp_seconds", "_time_seconds", "_timestamp", "_time", "_created")
_LARGE: Final = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def unit_of(name: str, unit: str, kind: str, value: float) -> Unit:
    """Find the unit of a family.

    Args:
        name: its name, which says the unit where the server does not.
        unit: what the server says.
        kind: its kind; only gauges are points in time.
        value: one of its values; one that is too small is no point in time.
    """
    base = name.removesuffix("_total")
    if kind == "gauge" and base.endswith(_TIMES) and value > _AN_AGE_FROM:
        return "time"
    for known in ("seconds", "bytes", "ratio"):
        if unit == known or base.endswith(f"_{known}"):
            return known
    return ""


def amount(value: float, unit: Unit, now: float) -> str:
    """Write a value in its unit.

    Args:
        value: the value; NaN as such.
        unit: its unit.
        now: seconds since 1970, for ages.
    """
    match unit:
        case "seconds":
            return duration(value)
        case "bytes":
            return byte_count(value, short=True)
        case "time":
            return age(now - value)
        case _:
            return number(value)


def number(value: float) -> str:
    """Write a number, with three digits that count and a letter for its size."""
    if not math.isfinite(value):
        return _not_finite(value)
    size = abs(value)
    if value == int(value) and size < 100_000:
        return str(int(value))
    if size >= 1e18:
        return f"{value:.2e}"
    for at_least, letter in _LARGE:
        if size >= at_least * 0.9995 and (letter != "k" or size >= 10_000):
            return f"{_three(value / at_least)}{letter}"
    if size >= 1000:
        return f"{value:.0f}"
    return _three(value) if size >= 0.001 else f"{value:.1e}"


def _three(value: float) -> str:
    size = abs(value)
    if size >= 99.95:
        return f"{value:.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.0995:
        return f"{value:.2f}"
    return f"{value:.4f}"


def byte_count(value: float, *, short: bool = False) -> str:
    """Write a number of bytes, with three digits that count, or with two in at most six cells."""
    if not math.isfinite(value):
        return _not_finite(value)
    letters = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while abs(value) >= 999.5 and len(letters) > 1:
        value /= 1024
        del letters[0]
    letter = letters[0]
    if abs(value) >= 1000:
        return f"{value:.1e}{letter}"
    if (letter == "B" and value == int(value)) or (short and abs(value) >= 9.95):
        return f"{value:.0f}{letter}"
    return f"{value:.1f}{letter}" if short else f"{_three(value)}{letter}"


def duration(value: float) -> str:
    """Write a number of seconds."""
    if not math.isfinite(value):
        return _not_finite(value)
    size = abs(value)
    if size >= 60:
        return f"{'-' if value < 0 else ''}{age(size)}"
    if size >= 0.9995 or value == 0:
        return f"{_plain(value)}s"
    for factor, unit in ((1e3, "ms"), (1e6, "µs"), (1e9, "ns")):  # noqa: RUF001 - as it is written
        if size * factor >= 0.9995:
            return f"{_plain(value * factor)}{unit}"
    return f"{value:.0e}s"


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else _three(value)


def age(seconds: float) -> str:
    """Write how long ago something was, or how long it takes: two units at most."""
    if not math.isfinite(seconds):
        return _not_finite(seconds)
    if abs(seconds) >= 999 * 31_536_000:
        return f"{seconds / 31_536_000:.0e}y"
    sign, whole = "-" if seconds <= -1 else "", int(abs(seconds))
    for size, name, part, small in (
        (31_536_000, "y", 86_400, "d"),
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            width = 1 if small == "d" else 2
            return f"{sign}{whole // size}{name}{whole % size // part:0{width}d}{small}"
    return f"{sign}{whole}s"


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
