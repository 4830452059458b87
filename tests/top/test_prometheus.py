"""A real Prometheus and a real node exporter: what they write, and what PromQL makes of it."""

import json
import math
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.ports import reserved_port

from tether.top.exposition import labels_of, name_of, parse
from tether.top.figures import Part, quantiles, rate
from tether.top.history import History
from tether.top.span import Span, span

PROMETHEUS, EXPORTER = shutil.which("prometheus"), shutil.which("prometheus-node-exporter")
WINDOW = 3
"""Seconds."""
QUANTILES = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)
HISTOGRAM = "prometheus_http_request_duration_seconds"
NAMES = {
    "node": ("node_cpu_seconds_total", "process_cpu_seconds_total", "go_memstats_mallocs_total"),
    "prometheus": (
        "prometheus_tsdb_head_samples_appended_total",
        "prometheus_http_requests_total",
        f"{HISTOGRAM}_bucket",
    ),
}
"""By the servers that have them."""
_PATIENCE = 60

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None or EXPORTER is None,
    reason="Debian's prometheus and prometheus-node-exporter are not installed",
)


@contextmanager
def running(*words: str) -> Iterator[None]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def until(client: httpx.Client, url: str, met: Callable[[httpx.Response], bool]) -> httpx.Response:
    """Ask until a server answers as it should."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            response = client.get(url)
            if response.status_code == 200 and met(response):
                return response
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"{url} never answered as it should"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str, str]]:
    """A Prometheus that scrapes itself and a node exporter; their addresses."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as opened:
        prometheus, exporter = (
            f"127.0.0.1:{opened.enter_context(reserved_port())}" for _ in range(2)
        )
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms}\n"
            "scrape_configs:\n"
            f"- {{job_name: prometheus, static_configs: [{{targets: ['{prometheus}']}}]}}\n"
            f"- {{job_name: node, static_configs: [{{targets: ['{exporter}']}}]}}\n"
        )
        opened.enter_context(running(str(EXPORTER), f"--web.listen-address={exporter}"))
        opened.enter_context(
            running(
                str(PROMETHEUS),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={prometheus}",
            )
        )
        client = opened.enter_context(httpx.Client(trust_env=False, timeout=30))
        for one in (prometheus, exporter):
            until(client, f"http://{one}/metrics", lambda response: bool(response.text))
        yield client, f"http://{prometheus}", f"http://{exporter}"


def test_their_pages_are_read_as_the_reference_reads_them(
    servers: tuple[httpx.Client, str, str],
) -> None:
    client, *addresses = servers
    for address in addresses:
        text = client.get(f"{address}/metrics").text
        page = parse(text)
        assert page.faults == []
        found = {_key(name_of(s.series), labels_of(s.series)): s.value for s in page.samples}
        wanted = {
            _key(sample.name, sample.labels): float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        # The reference gives counters the suffix that OpenMetrics wants.
        for key, value in wanted.items():
            name, labels = key
            ours = found.get(key, found.get((name.removesuffix("_total"), labels)))
            assert ours is not None, key
            assert ours == value or (math.isnan(ours) and math.isnan(value)), key
        assert len(found) == len(wanted) > 100


def _key(name: str, labels: dict[str, str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


def test_rates_and_quantiles_are_those_of_promql_but_for_the_edges_of_the_window(
    servers: tuple[httpx.Client, str, str],
) -> None:
    """Of Prometheus's own samples, so that both see the same.

    PromQL goes on from the first and the last sample to the edges of its window: the window ends with them here. What
    Prometheus adds meanwhile may still make a sample's difference to a rate.
    """
    client, prometheus, _ = servers
    ready = _query(prometheus, f"min(count_over_time(up[{WINDOW}s])) > 9")
    until(client, ready, lambda response: bool(_results(response)))
    end = time.time()
    for job, names in NAMES.items():
        history = _history(client, prometheus, job, names, end)
        for name in names:
            if name != f"{HISTOGRAM}_bucket":
                _has_the_same_rates(client, prometheus, history, f'{name}{{job="{job}"}}')
    _has_the_same_quantiles(client, prometheus, history)


def _history(
    client: httpx.Client, prometheus: str, job: str, names: tuple[str, ...], end: float
) -> History:
    """What Prometheus has scraped in the window, as if we had."""
    pages: dict[float, list[str]] = {}
    # All at once: between two questions a scrape may be added.
    query = f'{{__name__=~"{"|".join(names)}",job="{job}"}}[{WINDOW}s]'
    for one in _results(client.get(_query(prometheus, query, end))):
        name = one["metric"].pop("__name__")
        labels = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(one["metric"].items()))
        for at, value in one["values"]:
            pages.setdefault(at, []).append(f"{name}{{{labels}}} {value}")
    history = History()
    for at in sorted(pages):
        history.add(at, parse("\n".join(pages[at])))
    return history


def _window(ours: Span) -> str:
    """The whole of a span, and a millisecond at each end: times are rounded."""
    return f"{math.ceil(ours.seconds * 1000) + 2}ms"


def _end(ours: Span) -> float:
    return ours.now.time + 0.001


def _has_the_same_rates(
    client: httpx.Client, prometheus: str, history: History, selector: str
) -> None:
    ours = span(history, WINDOW)
    assert ours is not None
    name = selector.partition("{")[0]
    found = {
        tuple(sorted(labels_of(one.series).items())): rate([Part(ours, one)])
        for one in history.catalogue.families[name].label_sets.values()
    }
    theirs = _results(
        client.get(_query(prometheus, f"rate({selector}[{_window(ours)}])", _end(ours)))
    )
    assert len(theirs) == len(found) > 0
    for one in theirs:
        value = found[tuple(sorted(one["metric"].items()))]
        assert value == pytest.approx(float(one["value"][1]), rel=0.2, abs=1e-9), one


def _has_the_same_quantiles(client: httpx.Client, prometheus: str, history: History) -> None:
    ours = span(history, WINDOW)
    assert ours is not None
    seen = 0
    for q in QUANTILES:
        query = f'histogram_quantile({q}, rate({HISTOGRAM}_bucket{{job="prometheus"}}[{_window(ours)}]))'
        theirs = {
            tuple(sorted(one["metric"].items())): float(one["value"][1])
            for one in _results(client.get(_query(prometheus, query, _end(ours))))
        }
        for one in history.catalogue.families[HISTOGRAM].label_sets.values():
            [value] = quantiles([Part(ours, one)], [q])
            wanted = theirs[tuple(sorted(labels_of(one.series).items()))]
            assert value == pytest.approx(wanted, rel=1e-9, nan_ok=True)
            seen += not math.isnan(value)
    assert seen >= len(QUANTILES), "something was observed"


def _query(prometheus: str, query: str, at: float | str | None = None) -> str:
    parameters = {"query": query, **({} if at is None else {"time": str(at)})}
    return f"{prometheus}/api/v1/query?{httpx.QueryParams(parameters)}"


def _results(response: httpx.Response) -> list[Any]:
    found: list[Any] = response.json()["data"]["result"]
    return found
