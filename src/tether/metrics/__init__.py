"""What runs do, for Prometheus: see README.md in this folder.

    metrics = Metrics()
    metrics.watch(agent)
    app = tether.metrics.app(metrics)       # an ASGI application that answers each request with the metrics

It needs the extra `metrics`. Nothing is shared between two `Metrics`: each has a registry of its own.
"""

from tether.metrics.exposition import app, exposition, serving
from tether.metrics.metrics import Metrics

__all__ = ("Metrics", "app", "exposition", "serving")
