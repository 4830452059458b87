"""What is used of OpenTelemetry's API; where it is missing, this says what to install."""

try:
    from opentelemetry import context as contexts
    from opentelemetry._logs import Logger, LoggerProvider, get_logger
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, Meter, MeterProvider, get_meter
    from opentelemetry.trace import (
        Span,
        SpanKind,
        StatusCode,
        Tracer,
        TracerProvider,
        get_tracer,
        set_span_in_context,
    )
except ImportError as error:
    raise ModuleNotFoundError(
        "tether.advice.tracing needs OpenTelemetry: pip install 'tether[otel]'", name=error.name
    ) from error

__all__ = (
    "Context",
    "Histogram",
    "Logger",
    "LoggerProvider",
    "Meter",
    "MeterProvider",
    "Span",
    "SpanKind",
    "StatusCode",
    "Tracer",
    "TracerProvider",
    "contexts",
    "get_logger",
    "get_meter",
    "get_tracer",
    "set_span_in_context",
)
