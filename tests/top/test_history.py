"""Rates, values and quantiles over time: resets, restarts, what comes and goes, and the bounds of what is kept."""

import math

import pytest
from tests.top.pages import NOW, answer, history

from tether.top.exposition import parse
from tether.top.figures import Part, activity, is_gone, mean, quantiles, rate, trail, value
from tether.top.history import History, is_absent
from tether.top.source import Failure, Source
from tether.top.span import span

COUNTER = "# TYPE a_total counter\na_total {}\n"
GAUGE = "# TYPE a gauge\na {}\n"
HISTOGRAM = (
    '# TYPE h histogram\nh_bucket{{le="0.1"}} {}\nh_bucket{{le="1"}} {}\nh_bucket{{le="+Inf"}} {}\n'
    "h_sum {}\nh_count {}\n"
)


def parts(kept: History, window: float | None = 60, **options: float) -> list[Part]:
    """All label sets of the first family."""
    chosen = span(kept, window, **options)
    assert chosen is not None
    family = next(iter(kept.catalogue.families.values()))
    return [Part(chosen, one) for one in family.label_sets.values()]


def counter(*values: float) -> History:
    return history(*(COUNTER.format(one) for one in values))


def test_a_counter_has_a_rate() -> None:
    found = parts(counter(10, 12, 16))
    assert rate(found) == 3
    assert value(found) == 16


def test_a_rate_needs_two_scrapes() -> None:
    assert math.isnan(rate(parts(counter(10))))


def test_a_counter_that_falls_has_begun_again_from_nothing() -> None:
    found = parts(counter(100, 110, 4, 5))
    assert rate(found) == (10 + 4 + 1) / 3
    assert value(found) == 5
    assert trail(found, 9) == [10, 4, 1]


def test_a_gauge_that_falls_has_fallen() -> None:
    kept = history(GAUGE.format(10), GAUGE.format(4))
    assert rate(parts(kept)) == -6


def test_counters_of_a_server_that_was_started_again_begin_again_even_if_they_are_higher() -> None:
    page = COUNTER + "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {}\n"
    kept = history(
        page.format(5, 1000), page.format(5, 1000), page.format(9, 2000), page.format(9, 2000)
    )
    assert kept.restarts == 1
    assert rate(parts(kept)) == 9 / 3


def test_a_series_that_comes_later_counts_from_then_on() -> None:
    kept = history("b 1", "b 1", "b 1\n" + COUNTER.format(50), "b 1\n" + COUNTER.format(52))
    chosen = span(kept, 60)
    assert chosen is not None
    [one] = kept.catalogue.families["a_total"].label_sets.values()
    assert rate([Part(chosen, one)]) == 2


def test_a_series_that_vanishes_is_gone_and_keeps_its_rate_for_the_window() -> None:
    kept = history(COUNTER.format(1), COUNTER.format(3), "b 1")
    found = parts(kept)
    assert is_gone(found)
    assert rate(found) == 2
    assert math.isnan(value(found))
    later = parts(history(COUNTER.format(1), COUNTER.format(3), "b 1", "b 1", "b 1"), 1)
    assert is_gone(later)
    assert math.isnan(rate(later))


def test_a_series_that_comes_back_lower_has_begun_again() -> None:
    kept = history(COUNTER.format(10), "b 1", COUNTER.format(2), COUNTER.format(3))
    assert rate(parts(kept)) == 3 / 3


def test_no_number_is_a_value_and_no_absence() -> None:
    found = parts(history(GAUGE.format(1), GAUGE.format("NaN")))
    assert not is_gone(found)
    assert math.isnan(value(found))
    assert not is_absent(value(found))


def test_infinity_stands_nowhere_in_the_way() -> None:
    kept = history(*(GAUGE.format(one) for one in (1, "+Inf", 2, 3)))
    assert rate(parts(kept)) == 2 / 3
    assert math.isfinite(activity(parts(kept)))


def test_a_window_takes_what_is_in_it_and_two_moments_at_least() -> None:
    kept = history(*(COUNTER.format(one) for one in (0, 100, 101, 103)), every=5)
    assert rate(parts(kept, 10)) == 3 / 10
    assert rate(parts(kept, 1)) == 2 / 5


def test_a_base_line_and_the_past_can_be_looked_at() -> None:
    kept = counter(0, 1, 3, 7, 15)
    assert value(parts(kept, since=NOW + 1), difference=True) == 14
    assert value(parts(kept, at=NOW + 2)) == 3
    assert rate(parts(kept, 1, at=NOW + 2.5)) == 2


def test_all_since_the_start_is_what_the_server_has_counted() -> None:
    page = (
        COUNTER
        + f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {NOW - 99}\n"
    )
    found = parts(history(page.format(100), page.format(200)), None)
    assert value(found) == 200
    assert rate(found) == 2


def test_a_created_sample_says_since_when() -> None:
    page = f"# TYPE a counter\na_total 50\na_created {NOW - 10}\n# EOF"
    kept = history(page, openmetrics=True)
    assert list(kept.catalogue.families) == ["a_total"]
    assert rate(parts(kept, None)) == 5
    older = history(
        f"# TYPE a_total counter\na_total 50\n# TYPE a_created gauge\na_created {NOW - 10}\n"
    )
    assert list(older.catalogue.families) == ["a_total"]


def test_activity_is_relative_to_what_is_usual() -> None:
    """A thousand a second, always, is as usual; a single request after a quiet minute is not."""
    steady = counter(*range(0, 60_000, 1000))
    sudden = counter(*[1] * 59, 2)
    assert activity(parts(steady, 5)) == pytest.approx(1)
    assert activity(parts(sudden, 5)) > 10
    assert activity(parts(counter(1, 1, 1), 5)) == 0


def test_quantiles_and_the_mean_of_a_histogram_are_those_of_the_window() -> None:
    kept = history(HISTOGRAM.format(90, 100, 100, 10, 100), HISTOGRAM.format(90, 104, 104, 12, 104))
    assert mean(parts(kept)) == 0.5
    assert quantiles(parts(kept), [0.5]) == [pytest.approx(0.1 + 0.9 * 0.5)]
    assert quantiles(parts(kept, None), [0.5]) == [pytest.approx(0.1 * 52 / 90)]


def test_a_histogram_may_lack_its_last_bucket() -> None:
    page = (
        '# TYPE h histogram\nh_bucket{{le="0.1"}} {}\nh_bucket{{le="1"}} {}\nh_sum 1\nh_count {}\n'
    )
    kept = history(page.format(0, 0, 0), page.format(1, 2, 4))
    assert quantiles(parts(kept), [0.25, 0.99]) == [0.1, 1]


def test_a_histogram_may_lack_its_count_and_sum() -> None:
    page = '# TYPE h histogram\nh_bucket{{le="1"}} {}\nh_bucket{{le="+Inf"}} {}\n'
    found = parts(history(page.format(1, 2), page.format(3, 6)))
    assert (rate(found), value(found)) == (4, 6)
    assert quantiles(found, [0.25]) == [0.5]
    assert math.isnan(mean(found))


def test_a_histogram_needs_no_type_line() -> None:
    kept = history('h_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\n')
    assert [family.kind for family in kept.catalogue.families.values()] == ["histogram"]


def test_bounds_are_found_whatever_stands_in_other_labels() -> None:
    text = r'h_bucket{a=",le=",b="\",le=\"9\"",le="1"} 1'
    kept = history(text)
    [one] = kept.catalogue.families["h"].label_sets.values()
    assert one.labels == r'{a=",le=",b="\",le=\"9\""}'
    assert list(one.buckets) == [1]


def test_buckets_that_fall_between_scrapes_give_no_negative_counts() -> None:
    kept = history(HISTOGRAM.format(5, 5, 9, 1, 9), HISTOGRAM.format(9, 7, 12, 2, 12))
    [found] = quantiles(parts(kept), [0.99])
    assert 0 < found <= 1


def test_a_summary_gives_the_quantiles_of_its_server() -> None:
    page = '# TYPE s summary\ns{quantile="0.5"} 3\ns{quantile="0.99"} NaN\ns_sum 10\ns_count 4\n'
    found = parts(history(page, page.replace("10", "16").replace("count 4", "count 6")))
    half, last, none = quantiles(found, [0.5, 0.99, 0.9])
    assert half == 3
    assert math.isnan(last)
    assert math.isnan(none)
    assert mean(found) == 3


def test_native_histograms_have_quantiles() -> None:
    page = "# TYPE n histogram\nn {{count:{},sum:{},schema:0,positive_spans:[0:2],positive_deltas:[{},0]}}\n"
    kept = history(page.format(4, 4, 2), page.format(24, 44, 12))
    found = parts(kept)
    assert (rate(found), value(found), mean(found)) == (20, 24, 2)
    low, high = quantiles(found, [0.25, 1])
    assert low == pytest.approx(2**-0.5)
    assert high == 2
    assert quantiles(parts(kept, None), [1]) == [2]


def test_a_histogram_that_is_a_gauge_says_what_is_there_now() -> None:
    page = '# TYPE g gaugehistogram\ng_bucket{{le="1"}} {}\ng_bucket{{le="+Inf"}} {}\ng_gcount {}\ng_gsum {}\n'
    kept = history(page.format(8, 9, 9, 9), page.format(4, 4, 4, 2))
    assert quantiles(parts(kept), [0.5]) == [0.5]
    assert mean(parts(kept)) == 0.5
    assert value(parts(kept)) == 4


def test_label_sets_are_added_up() -> None:
    page = '# TYPE a_total counter\na_total{{x="1"}} {}\na_total{{x="2"}} {}\n'
    found = parts(history(page.format(0, 10), page.format(1, 12)))
    assert (rate(found), value(found)) == (3, 13)


def test_what_is_kept_is_bounded_in_time_and_in_numbers() -> None:
    kept = History(seconds=10, numbers=1000)
    for second in range(100):
        kept.add(NOW + second, parse("".join(f"a{i} {second}\n" for i in range(10))))
    assert [one.time for one in kept.moments][-1] == NOW + 99
    assert kept.moments[0].time >= NOW + 89
    crowded = History(numbers=400)
    for second in range(100):
        crowded.add(NOW + second, parse("".join(f"a{i} {second}\n" for i in range(10))))
    assert len(crowded.moments) * 10 * 2 <= 400
    assert [one.time for one in crowded.moments][-3:] == [NOW + 97, NOW + 98, NOW + 99]
    assert crowded.moments[0].time == NOW


def test_a_server_whose_series_change_for_ever_does_not_fill_the_memory() -> None:
    source = Source("x")
    for second in range(30):
        page = "".join(f'a{{id="{second}-{i}"}} 1\n' for i in range(2000))
        source.take(answer(page, NOW + second))
    assert source.history.width <= 22_000


def test_a_server_that_goes_and_comes_back_goes_on() -> None:
    source = Source("x")
    source.take(answer(COUNTER.format(1), NOW))
    source.take(Failure(NOW + 1, "connection refused"))
    assert source.failure is not None
    source.take(answer(COUNTER.format(5), NOW + 2))
    assert source.failure is None
    assert rate(parts(source.history)) == 2


def test_a_clock_that_was_set_back_begins_a_new_history() -> None:
    source = Source("x")
    source.take(answer(COUNTER.format(1), NOW))
    source.take(answer(COUNTER.format(1), NOW - 50))
    assert len(source.history.moments) == 1
