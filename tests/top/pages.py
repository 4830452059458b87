"""Pages of metrics, and views of them, for tests."""

from collections.abc import Sequence

from tether.top.exposition import parse
from tether.top.history import History
from tether.top.source import Answer, Failure, Source
from tether.top.view import View

NOW = 1_800_000_000.0


def history(*pages: str, every: float = 1.0, openmetrics: bool = False) -> History:
    """Scrape pages, one after the other."""
    kept = History()
    for index, page in enumerate(pages):
        kept.add(NOW + index * every, parse(page, openmetrics=openmetrics))
    return kept


def answer(page: str, time: float) -> Answer:
    return Answer(time, parse(page), 0.021, len(page))


def view_of(*servers: Sequence[str | None], every: float = 1.0) -> View:
    """A view of servers, each of which has answered with its pages; None is no answer."""
    view = View(
        [Source(f"http://127.0.0.1:{9000 + index}/metrics") for index in range(len(servers))]
    )
    for server, pages in enumerate(servers):
        for index, page in enumerate(pages):
            time = NOW + index * every
            outcome = Failure(time, "connection refused") if page is None else answer(page, time)
            view.take(server, outcome)
    return view


def shop(step: int) -> str:
    """A page of a web server at some second of its life."""
    requests, slow = 100 + 7 * step, step // 3
    fast = requests - slow
    return f"""\
# HELP http_request_duration_seconds Time that requests took, from their first byte to the last of the answer.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{{path="/",le="0.005"}} {fast // 2}
http_request_duration_seconds_bucket{{path="/",le="0.05"}} {fast}
http_request_duration_seconds_bucket{{path="/",le="0.5"}} {requests}
http_request_duration_seconds_bucket{{path="/",le="+Inf"}} {requests}
http_request_duration_seconds_sum{{path="/"}} {fast * 0.01 + slow * 0.3:.3f}
http_request_duration_seconds_count{{path="/"}} {requests}
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{{path="/",code="200"}} {requests - step}
http_requests_total{{path="/",code="500"}} {step}
http_requests_total{{path="/idle",code="200"}} 3
# HELP queue_bytes Bytes that wait.
# TYPE queue_bytes gauge
queue_bytes {(step * 37 % 11) * 4096}
# TYPE sent_bytes_total counter
sent_bytes_total {step * 150_000}
# TYPE gc_duration_seconds summary
gc_duration_seconds{{quantile="0.5"}} 0.000071
gc_duration_seconds{{quantile="0.9"}} 0.0002
gc_duration_seconds{{quantile="0.99"}} NaN
gc_duration_seconds_sum {step * 0.0001:.4f}
gc_duration_seconds_count {step}
# TYPE last_backup_timestamp_seconds gauge
last_backup_timestamp_seconds {NOW - 3725:.0f}
# TYPE build_info gauge
build_info{{version="1.2.3"}} 1
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {10 + step * 0.013:.3f}
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 62894080
# TYPE process_open_fds gauge
process_open_fds 18
# TYPE process_start_time_seconds gauge
process_start_time_seconds {NOW - 7323:.0f}
# TYPE go_goroutines gauge
go_goroutines 36
"""
