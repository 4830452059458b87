"""Which series belong together: families, and in each the label sets with their buckets, counts and sums. No I/O.

A series is a column of the history. A label set of a histogram has many columns, that of a counter has one.
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from attrs import define, field

from tether.top.exposition import About, labels_of, name_of, written_labels_of

__all__ = ("Catalogue", "Family", "Kind", "LabelSet", "Role")

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "summary"]
Role: TypeAlias = Literal["value", "count", "sum", "bucket", "quantile", "created"]

_KINDS: Final[Mapping[str, Kind]] = {
    "counter": "counter",
    "histogram": "histogram",
    "gaugehistogram": "histogram",
    "summary": "summary",
}
"""Kinds of types; all other types are gauges."""
_SUFFIXES: Final[Mapping[str, Role]] = {
    "_bucket": "bucket",
    "_count": "count",
    "_sum": "sum",
    "_gcount": "count",
    "_gsum": "sum",
    "_created": "created",
    "_total": "value",
    "_info": "value",
}
_SUFFIXES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("_count", "_sum", "_created"),
    "info": ("_info",),
}
_SUFFIX: Final = re.compile(r"_(?:bucket|g?count|g?sum|created|total|info)\Z")
_NONE: Final[Mapping[float, int]] = MappingProxyType({})
"""Most label sets have neither buckets nor quantiles, and there may be very many of them."""
_LOOKS_COUNTED: Final = ("_total", "_count", "_sum", "_bucket")


@define(eq=False)
class LabelSet:
    """A label set of a family, and its columns. Columns that the server does not have are None."""

    family: "Family" = field(repr=False)
    labels: str
    """As the server wrote them, without `le` and `quantile`; empty where there are none."""
    value: int | None = None
    count: int | None = None
    sum: int | None = None
    created: int | None = None
    buckets: Mapping[float, int] = _NONE
    """By their upper bounds."""
    quantiles: Mapping[float, int] = _NONE
    is_native: bool = False
    """Whether its buckets come from a native histogram, which the history holds."""

    @property
    def series(self) -> str:
        """Its name and labels."""
        return f"{self.family.name}{self.labels}"

    @property
    def main(self) -> int | None:
        """The column that says how often something happened, or what the value is."""
        if self.value is not None:
            return self.value
        return self.buckets.get(math.inf) if self.count is None else self.count


@define(eq=False)
class Family:
    """All series of one metric."""

    name: str
    kind: Kind
    about: About
    label_sets: dict[str, LabelSet] = field(factory=dict, repr=False)


@define(eq=False, repr=False)
class Catalogue:
    """All families of a server, in the order in which it wrote them."""

    families: dict[str, Family] = field(factory=dict)
    _places: dict[str, tuple[Family, Role]] = field(factory=dict)
    """By the names of series."""

    def add(self, series: str, column: int, about: Mapping[str, About], *, native: bool) -> bool:
        """Give a series its place.

        Args:
            series: its name and labels, as the server wrote them.
            column: its column of the history.
            about: what the server says of its families.
            native: whether it is a native histogram.

        Returns:
            Whether it counts, so that a fall is a start from 0.
        """
        name = name_of(series)
        place = self._places.get(name)
        if place is None or native or place[1] in {"quantile", "bucket"}:
            base, role = _place(name, series, about)
            kind: Kind = "histogram" if native else _kind(base, role, about)
            place = self._families_place(base, role, kind, about)
            self._places[name] = place
        family, role = place
        labels = _written(series, name, role)
        label_set = family.label_sets.get(labels)
        if label_set is None:
            label_set = family.label_sets[labels] = LabelSet(family, labels)
        label_set.is_native |= native
        _enter(label_set, role, column, series)
        return _counts(family, role)

    def _families_place(
        self, base: str, role: Role, kind: Kind, about: Mapping[str, About]
    ) -> tuple[Family, Role]:
        family = self.families.get(base)
        if family is None:
            family = self.families[base] = Family(base, kind, _about(base, about))
        return family, role


def _place(name: str, series: str, about: Mapping[str, About]) -> tuple[str, Role]:
    """Find the family of a series, and what the series is in it."""
    found = _SUFFIX.search(name)
    suffix = "" if found is None else found[0]
    base = name.removesuffix(suffix)
    if suffix == "_created":
        # Servers that write 0.0.4 call it a family of its own; it says when another one began.
        for one in (base, f"{base}_total"):
            if one in about and suffix in _SUFFIXES_OF.get(about[one].type, ()):
                return f"{base}_total" if about[one].type == "counter" else one, "created"
    if name in about:
        is_quantile = about[name].type == "summary" and "quantile" in labels_of(series)
        return name, "quantile" if is_quantile else "value"
    if base in about and suffix in _SUFFIXES_OF.get(about[base].type, ()):
        role = _SUFFIXES[suffix]
        # A family of one value bears the name that people know, with its suffix.
        return name if role == "value" else base, role
    if suffix == "_bucket" and "le" in labels_of(series):
        return base, "bucket"  # the server has not said its type
    return name, "value"


def _about(base: str, about: Mapping[str, About]) -> About:
    """What the server says of a family, whose name may have a suffix that OpenMetrics leaves out there."""
    for name in (base, base.removesuffix("_total"), base.removesuffix("_info")):
        if name in about:
            return about[name]
    return About()


def _kind(base: str, role: Role, about: Mapping[str, About]) -> Kind:
    declared = _about(base, about).type
    if role == "bucket":
        return "histogram"
    if declared in {"", "unknown", "untyped"}:
        return "counter" if base.endswith(_LOOKS_COUNTED) else "gauge"
    return _KINDS.get(declared, "gauge")


def _written(series: str, name: str, role: Role) -> str:
    """The labels of a series as the server wrote them, without its bound; empty where there are none."""
    if role not in {"bucket", "quantile"} and series.startswith(f"{name}{{") and " " not in series:
        return "" if series.endswith("{}") else series[len(name) :]
    bound = {"bucket": "le", "quantile": "quantile"}.get(role)
    labels = ",".join(text for label, text in written_labels_of(series) if label != bound)
    return f"{{{labels}}}" if labels else ""


def _counts(family: Family, role: Role) -> bool:
    match role:
        case "value":
            return family.kind == "counter"
        case "bucket" | "count" | "sum":
            return family.about.type != "gaugehistogram"
        case _:
            return False


def _enter(label_set: LabelSet, role: Role, column: int, series: str) -> None:
    match role:
        case "bucket" | "quantile":
            bound = labels_of(series).get("le" if role == "bucket" else "quantile", "")
            try:
                at = float(bound)
            except ValueError:
                return
            if math.isnan(at):
                return
            if role == "bucket":
                label_set.buckets = _with(label_set.buckets, at, column)
            else:
                label_set.quantiles = _with(label_set.quantiles, at, column)
        case "value":
            label_set.value = column
        case "count":
            label_set.count = column
        case "sum":
            label_set.sum = column
        case "created":
            label_set.created = column


def _with(columns: Mapping[float, int], at: float, column: int) -> Mapping[float, int]:
    """Add a column, in place where there are some already."""
    added = columns if isinstance(columns, dict) else {}
    added[at] = column
    return added
