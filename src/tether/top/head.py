"""The head of the screen: what a process is, from the metrics that most of them have. No I/O."""

import math
from collections.abc import Callable, Iterator

from tether.top.catalogue import LabelSet
from tether.top.exposition import labels_of
from tether.top.figures import Part, rate, value
from tether.top.span import Span
from tether.top.text import visible
from tether.top.units import age, byte_count, number

__all__ = ("summary",)


def summary(span: Span) -> list[str]:
    """Say in a few words what a process is: its CPU, memory, file descriptors, threads, uptime.

    Args:
        span: a stretch of its history.

    Returns:
        Short texts, such as `cpu 1.3%`; only what the server has metrics for. A machine's, where it is a node exporter.
    """
    return [*_process(span), *_runtime(span), *_machine(span)]


def _process(span: Span) -> Iterator[str]:
    cpu = _rate(span, "process_cpu_seconds_total")
    if not math.isnan(cpu):
        yield f"cpu {_percent(cpu)}"
    yield from _said("rss", _value(span, "process_resident_memory_bytes"), byte_count)
    yield from _said("fds", _value(span, "process_open_fds"), number)
    yield from _said(
        "threads", _first(span, "process_threads", "go_threads", "jvm_threads_current"), number
    )
    started = _value(span, "process_start_time_seconds")
    if started > 0:
        yield f"up {age(max(span.now.time - started, 0))}"


def _runtime(span: Span) -> Iterator[str]:
    yield from _said("goroutines", _value(span, "go_goroutines"), number)
    yield from _said(
        "heap",
        _first(span, "go_memstats_heap_alloc_bytes", "nodejs_heap_size_used_bytes"),
        byte_count,
    )
    yield from _said(
        "gc", _rate(span, "python_gc_collections_total"), lambda one: f"{number(one)}/s"
    )
    yield from _said(
        "lag", _value(span, "nodejs_eventloop_lag_seconds"), lambda one: f"{one * 1000:.1f}ms"
    )
    for name, label, prefix in (
        ("python_info", "version", "python "),
        ("go_info", "version", ""),
        ("nodejs_version_info", "version", "node "),
    ):
        family = span.history.catalogue.families.get(name)
        for labels in list(family.label_sets)[:1] if family is not None else ():
            if version := labels_of(f"{name}{labels}").get(label):
                yield visible(f"{prefix}{version}"[:20])


def _machine(span: Span) -> Iterator[str]:
    yield from _said("load", _value(span, "node_load1"), number)
    total = _value(span, "node_memory_MemTotal_bytes")
    free = _value(span, "node_memory_MemAvailable_bytes")
    if total > 0 and not math.isnan(free):
        yield f"mem {byte_count(total - free)}/{byte_count(total)}"
    idle = [
        one for one in _label_sets(span, "node_cpu_seconds_total") if 'mode="idle"' in one.labels
    ]
    spent = rate([Part(span, one) for one in idle])
    if idle and not math.isnan(spent):
        yield f"busy {_percent(max(len(idle) - spent, 0))} of {len(idle)} cpus"


def _said(name: str, value: float, write: Callable[[float], str]) -> Iterator[str]:
    if not math.isnan(value):
        yield f"{name} {write(value)}"


def _percent(share: float) -> str:
    percent = share * 100
    return f"{percent:.1f}%" if percent < 10 else f"{percent:.0f}%"


def _label_sets(span: Span, name: str) -> list[LabelSet]:
    family = span.history.catalogue.families.get(name)
    return [] if family is None else list(family.label_sets.values())


def _value(span: Span, name: str) -> float:
    return value([Part(span, one) for one in _label_sets(span, name)])


def _rate(span: Span, name: str) -> float:
    return rate([Part(span, one) for one in _label_sets(span, name)])


def _first(span: Span, *names: str) -> float:
    found = (_value(span, name) for name in names)
    return next((one for one in found if not math.isnan(one)), math.nan)
