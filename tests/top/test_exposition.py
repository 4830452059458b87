"""The text formats, line by line, and against the reference's own parsers."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import BucketSpan, Exemplar, NativeHistogram, Sample

from tether.top.exposition import About, labels_of, name_of, parse
from tether.top.native import read_native


def read(line: str, **options: Any) -> tuple[str, dict[str, str], float]:
    [sample] = parse(line, **options).samples
    return name_of(sample.series), labels_of(sample.series), sample.value


@pytest.mark.parametrize(
    ("line", "name", "labels", "value"),
    [
        ("a 1", "a", {}, 1),
        ("a{} 1", "a", {}, 1),
        ("a\t1", "a", {}, 1),
        ("a 1\r", "a", {}, 1),
        ('a{b="c"}1', "a", {"b": "c"}, 1),
        ('a { b = "c" , } 1', "a", {"b": "c"}, 1),
        (r'a{b="} , \" \\ \n x",c="d",} -1.5e3', "a", {"b": '} , " \\ \n x', "c": "d"}, -1500),
        (r'a{b="C:\dir\\"} 1', "a", {"b": "C:\\dir\\"}, 1),
        (r'a{b=",le=",c="}"} 1', "a", {"b": ",le=", "c": "}"}, 1),
        ('a{b="# 5"} 1', "a", {"b": "# 5"}, 1),
        ('{"my.name"} 3', "my.name", {}, 3),
        (r'{"my \"name\" {x}",l="x"} 3', 'my "name" {x}', {"l": "x"}, 3),
        ('a{x="1","y"="2",z="3"} 1', "a", {"x": "1", "y": "2", "z": "3"}, 1),
        ('a{"größe.x"="日本"} 1', "a", {"größe.x": "日本"}, 1),
        ("a +Inf", "a", {}, math.inf),
        ("a -Inf", "a", {}, -math.inf),
        ("a .5", "a", {}, 0.5),
    ],
)
def test_a_sample_is_read(line: str, name: str, labels: dict[str, str], value: float) -> None:
    assert read(line) == (name, labels, value)
    # A series that is known is found, not read.
    known: dict[str, str] = {}
    assert parse(line, known=known) == parse(line, known=known)


@pytest.mark.parametrize("line", ["a NaN", "a nan", "a -nan"])
def test_a_value_may_be_no_number(line: str) -> None:
    assert math.isnan(read(line)[2])


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "a b",
        "a 1_0",
        "a \u0661",
        "a 0x10",
        "a1",
        "1a 1",
        'a{b="c" 1',
        'a{b="c} 1',
        "a{b=c} 1",
        'a{b="c",,d="e"} 1',
        'a{b="1",b="2"} 1',
        'a{b="1","b"="2"} 1',
        'a{b="1", b="2"} 1',
        'a{1b="c"} 1',
        "a 1 2 3",
        "a 1 x",
        "<html>",
        "{} 1",
        '{"a""b"} 1',
        'a{b="c"} {x',
    ],
)
def test_a_line_that_is_no_sample_is_a_fault_of_its_own(line: str) -> None:
    page = parse(f"before 1\n{line}\nafter 2\n")
    assert [sample.series for sample in page.samples] == ["before", "after"]
    assert [(fault.line, fault.text) for fault in page.faults] == [(2, line)]


@pytest.mark.parametrize("value", ["1_0", "x", ""])
def test_a_known_series_is_no_excuse_for_a_bad_value(value: str) -> None:
    known: dict[str, str] = {}
    parse("a 1", known=known)
    page = parse(f"a {value}", known=known)
    assert page.samples == []
    assert page.fault_count == 1


def test_faults_are_counted_and_some_are_kept() -> None:
    page = parse("bad\n" * 5000 + "good 1")
    assert page.fault_count == 5000
    assert len(page.faults) == 100
    assert len(page.samples) == 1


def test_the_text_of_a_fault_is_bounded() -> None:
    assert len(parse("x" * 10**6).faults[0].text) == 200


def test_a_long_hostile_line_takes_no_long_time() -> None:
    """Patterns that go back would take hours."""
    for line in (
        'a{b="' + '\\"' * 200_000,
        "a{" + 'b="c",' * 50_000,
        "a" * 10**6 + "{",
        "{" * 10**6,
    ):
        assert parse(line).fault_count == 1


def test_timestamps_are_seconds_or_milliseconds() -> None:
    assert parse("a 1 1500").samples[0].timestamp == 1.5
    assert parse("a 1 1500.5", openmetrics=True).samples[0].timestamp == 1500.5


def test_exemplars_are_kept_as_they_were_written() -> None:
    line = r'a_bucket{le="1"} 3 # {trace_id="a } # \" b"} 0.67 1520879607.789'
    [sample] = parse(line, openmetrics=True).samples
    assert (sample.series, sample.value) == ('a_bucket{le="1"}', 3)
    assert sample.exemplar == r'{trace_id="a } # \" b"} 0.67 1520879607.789'
    assert parse("a_total 1 2 # {} 5", openmetrics=True).samples[0].exemplar == "{} 5"


def test_what_a_page_says_of_families_is_read() -> None:
    page = parse(
        "# HELP a It is \\\\ a \\n thing\n# TYPE a counter\n#comment\n# and more\n# HELP a\n"
        '# TYPE "my.name" gauge\n# UNIT b_seconds seconds\n# TYPE b_seconds summary\n# EOF\n'
    )
    assert page.about == {
        "a": About("counter", ""),
        "my.name": About("gauge"),
        "b_seconds": About("summary", unit="seconds"),
    }
    assert parse("# HELP a It is \\\\ a \\n thing").about["a"].help == "It is \\ a \n thing"
    assert page.faults == []


TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\\n{},= #'), max_size=12
)
# The reference's parser strips what Python calls space from the ends of a line, and splits it at a lone return.
LABEL_VALUES = TEXT.filter(
    lambda text: not set(text) & set("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}[a-z]", fullmatch=True).filter(
    lambda name: not name.endswith(("_total", "_created", "_bucket", "_count", "_sum", "_info"))
)
LABEL_NAMES = st.sampled_from(["method", "code", "a_b"])
NUMBERS = st.floats(allow_nan=True) | st.integers(-(10**12), 10**12)
COUNTS = st.integers(0, 10**9)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    """A family as the reference holds it."""
    name, text = draw(NAMES), draw(TEXT.filter(lambda text: "\r" not in text))
    labels = draw(st.lists(LABEL_NAMES, unique=True, max_size=2))
    sets = draw(
        st.lists(
            st.tuples(*(LABEL_VALUES for _ in labels)), unique=True, max_size=3 if labels else 1
        )
    )
    kind = draw(st.sampled_from(["counter", "gauge", "histogram", "summary", "info", "stateset"]))
    match kind:
        case "counter":
            counter = CounterMetricFamily(name, text, labels=labels)
            for one in sets:
                counter.add_metric(one, draw(COUNTS))
            return counter
        case "gauge":
            gauge = GaugeMetricFamily(name, text, labels=labels)
            for one in sets:
                gauge.add_metric(one, draw(NUMBERS))
            return gauge
        case "histogram":
            histogram = HistogramMetricFamily(name, text, labels=labels)
            for one in sets:
                low, more = draw(COUNTS), draw(COUNTS)
                histogram.add_metric(one, [("0.5", low), ("+Inf", low + more)], float(low))
            return histogram
        case "summary":
            summary = SummaryMetricFamily(name, text, labels=labels)
            for one in sets:
                summary.add_metric(one, draw(COUNTS), float(draw(COUNTS)))
            return summary
        case "info":
            info = InfoMetricFamily(name, text, labels=labels)
            for one in sets:
                info.add_metric(one, {"version": draw(LABEL_VALUES)})
            return info
        case _:
            states = StateSetMetricFamily(name, text, labels=labels)
            for one in sets:
                states.add_metric(one, {"on": True, "off": False})
            return states


class Fixed:
    """A collector of what was drawn."""

    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> list[Metric]:
        return self.families


written: Any = openmetrics_exposition.generate_latest  # it has no types


def same(found: Any, wanted: Any) -> bool:
    return repr(found) == repr(wanted)  # NaN is NaN


@given(st.lists(metrics(), max_size=4, unique_by=lambda one: one.name))
def test_all_that_the_reference_writes_is_read_as_it_reads_it(families: list[Metric]) -> None:
    registry = CollectorRegistry()
    registry.register(Fixed(families))
    for text, is_openmetrics, read_families in (
        (generate_latest(registry).decode(), False, text_string_to_metric_families),
        (written(registry).decode(), True, openmetrics_families),
    ):
        page = parse(text, openmetrics=is_openmetrics)
        assert page.faults == []
        found = [(name_of(s.series), labels_of(s.series), s.value) for s in page.samples]
        wanted = [
            (sample.name, dict(sample.labels), float(sample.value))
            for family in read_families(text)
            for sample in family.samples
        ]
        assert same(sorted(found, key=repr), sorted(wanted, key=repr))


ANY_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
LABELS = st.dictionaries(ANY_NAMES.filter(lambda name: name != "__name__"), TEXT, max_size=3)
TIMES = st.none() | st.integers(0, 2**40) | st.floats(0, 1e10, allow_subnormal=False)
EXEMPLARS = st.builds(
    Exemplar, st.dictionaries(LABEL_NAMES, TEXT, max_size=2), st.floats(allow_nan=False), TIMES
)


@st.composite
def natives(draw: st.DrawFn) -> NativeHistogram:
    deltas = draw(st.lists(st.integers(-5, 5), min_size=1, max_size=4))
    spans = (BucketSpan(draw(st.integers(-3, 3)), len(deltas)),)
    return NativeHistogram(
        draw(COUNTS),
        draw(st.floats(0, 1e9)),
        3,
        0.001,
        2,
        spans,
        spans,
        tuple(deltas),
        tuple(deltas),
    )


@st.composite
def any_counters(draw: st.DrawFn) -> Metric:
    """A counter with any name, labels, timestamps and exemplars; or a native histogram."""
    is_native = draw(st.booleans())
    metric = Metric(draw(ANY_NAMES), draw(TEXT), "histogram" if is_native else "counter")
    for labels in draw(st.lists(LABELS, max_size=3)):
        if is_native:
            metric.samples.append(
                Sample(metric.name, labels, math.nan, None, None, draw(natives()))
            )
        else:
            exemplar = draw(st.none() | EXEMPLARS)
            name = f"{metric.name}_total"
            metric.samples.append(Sample(name, labels, draw(COUNTS), draw(TIMES), exemplar))
    return metric


@given(st.lists(any_counters(), max_size=3))
def test_all_that_the_reference_can_write_is_read_back(families: list[Metric]) -> None:
    """Names, labels and exemplars of any text, which its own parsers do not all read."""
    registry: Any = Fixed(families)
    page = parse(
        written(registry, escaping="allow-utf-8", version="2.0.0").decode(), openmetrics=True
    )
    assert page.faults == []
    wanted = [sample for family in families for sample in family.samples]
    assert len(page.samples) == len(wanted)
    for found, sample in zip(page.samples, wanted, strict=True):
        assert name_of(found.series) == sample.name
        assert labels_of(found.series) == sample.labels
        assert (found.exemplar is None) == (sample.exemplar is None)
        if sample.native_histogram is not None:
            assert found.native is not None
            assert read_native(found.native).count == sample.native_histogram.count_value
        else:
            assert found.value == sample.value
            assert found.timestamp == sample.timestamp
        if sample.exemplar is not None:
            assert labels_of(f"x{found.exemplar}") == sample.exemplar.labels


@given(st.text() | st.text(st.sampled_from('ab{}="\\ ,#\n\t1.')))
def test_anything_at_all_is_read_without_an_error(text: str) -> None:
    page = parse(text)
    assert len(page.samples) + page.fault_count <= text.count("\n") + 1


def test_native_histograms_are_read() -> None:
    line = (
        "foo {count:24,sum:100,schema:0,zero_threshold:0.001,zero_count:4,"
        "positive_spans:[0:2,1:2],negative_spans:[0:2,1:2],positive_deltas:[2,1,-3,3],"
        "negative_deltas:[2,1,-2,3]}"
    )
    [sample] = parse(line, openmetrics=True).samples
    assert sample.native is not None
    read = read_native(sample.native)
    assert (read.count, read.sum, read.schema) == (24, 100, 0)
    assert [(one.lower, one.upper, one.count) for one in read.buckets] == [
        (-16, -8, 4),
        (-8, -4, 1),
        (-2, -1, 3),
        (-1, -0.5, 2),
        (-0.001, 0.001, 4),
        (0.5, 1, 2),
        (1, 2, 3),
        (4, 8, 0),
        (8, 16, 3),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{count:x}",
        "{schema:99}",
        "{positive_spans:[0:2],positive_deltas:[1]}",
        "{positive_spans:[3]}",
    ],
)
def test_a_native_histogram_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_native(text)
