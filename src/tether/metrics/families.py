"""The metrics by name: what each counts or measures, and its labels.

Labels come from the program: names of agents, models and tools, and words of tether's own. None comes from a model or a
person, so that there are as many series as the program has names.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from tether.metrics._prometheus import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ("Families", "families")

UNKNOWN: Final = "unknown"
"""The label of tools that a model has called and nobody has."""

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900)
_LAG: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_BYTES: Final = tuple(4**power * 1024 for power in range(12))


@frozen
class Families:
    """The metrics of one registry."""

    runs_active: Gauge
    runs_started: Counter
    runs: Counter
    run_duration: Histogram
    run_memory: Histogram
    requests: Counter
    request_duration: Histogram
    first_delta: Histogram
    tokens: Counter
    cost: Counter
    retries: Counter
    calls: Counter
    calls_active: Gauge
    call_duration: Histogram
    steering: Counter
    approvals_waiting: Gauge
    approval_wait: Histogram
    viewers: Gauge
    unread: Gauge
    consumer_wait: Counter
    loop_lag: Histogram


def families(registry: CollectorRegistry) -> Families:
    """Make the metrics, in a registry."""

    def counter(name: str, what: str, *labels: str) -> Counter:
        return Counter(f"tether_{name}", what, labels, registry=registry)

    def gauge(name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"tether_{name}", what, labels, registry=registry)

    def histogram(
        name: str, what: str, *labels: str, buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        return Histogram(f"tether_{name}", what, labels, registry=registry, buckets=buckets)

    return Families(
        runs_active=gauge("runs_active", "Runs that are going.", "agent"),
        runs_started=counter("runs_started", "Runs that have begun.", "agent"),
        runs=counter("runs", "Runs that have ended.", "agent", "stop_reason"),
        run_duration=histogram(
            "run_duration_seconds", "From a run's first task to its last.", "agent"
        ),
        run_memory=histogram(
            "run_memory_growth_bytes",
            "How much the memory of the process has grown during a run.",
            "agent",
            buckets=_BYTES,
        ),
        requests=counter(
            "model_requests", "Replies of models, whole or not.", "agent", "model", "stop_reason"
        ),
        request_duration=histogram(
            "model_request_duration_seconds", "From a request to the end of its reply.", "model"
        ),
        first_delta=histogram(
            "model_first_delta_seconds", "From a request to the beginning of its reply.", "model"
        ),
        tokens=counter("tokens", "Tokens of requests and replies.", "agent", "model", "kind"),
        cost=counter("cost_usd", "What runs have cost, as their `price` says.", "agent"),
        retries=counter(
            "model_retries", "Requests that failed and were made again.", "model", "kind"
        ),
        calls=counter("tool_calls", "Tool calls that were answered.", "tool", "outcome"),
        calls_active=gauge(
            "tool_calls_active", "Tool calls that were taken up and not answered yet."
        ),
        call_duration=histogram(
            "tool_duration_seconds", "Of a call, without its wait for an approval.", "tool"
        ),
        steering=counter("steering", "Messages to a run that was going.", "agent"),
        approvals_waiting=gauge("approvals_waiting", "Calls that wait for an approval."),
        approval_wait=histogram(
            "approval_wait_seconds", "Until a call was decided about.", "verdict"
        ),
        viewers=gauge("viewers", "Those who follow conversations now."),
        unread=gauge("events_unread", "Events of runs that their consumers have not taken yet."),
        consumer_wait=counter(
            "consumer_wait_seconds", "How long runs have waited for slow consumers.", "agent"
        ),
        loop_lag=histogram(
            "event_loop_lag_seconds",
            "How much later than asked for a sleeping task goes on.",
            buckets=_LAG,
        ),
    )
