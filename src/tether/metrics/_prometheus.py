"""What is used of prometheus-client; where it is missing, this says what to install."""

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        ProcessCollector,
        start_http_server,
    )
    from prometheus_client.exposition import choose_encoder
except ImportError as error:
    raise ModuleNotFoundError(
        "tether.metrics needs prometheus-client: pip install 'tether[metrics]'", name=error.name
    ) from error

__all__ = (
    "CollectorRegistry",
    "Counter",
    "Gauge",
    "Histogram",
    "ProcessCollector",
    "choose_encoder",
    "start_http_server",
)
