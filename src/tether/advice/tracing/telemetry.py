"""Spans that go, and what is measured of them."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

import anyio
from attrs import define, field, frozen

from tether import ModelError, RunContext
from tether.advice.tracing._opentelemetry import (
    Context,
    Histogram,
    Logger,
    LoggerProvider,
    Meter,
    MeterProvider,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    TracerProvider,
    contexts,
    get_logger,
    get_meter,
    get_tracer,
    set_span_in_context,
)
from tether.advice.tracing.conventions import SCHEMA_URL, Name

__all__ = ("Attributes", "Content", "Operation", "Telemetry", "begin", "current_run", "telemetry")

Content: TypeAlias = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]
"""Where the words of a conversation go: nowhere, into spans, into events of their own, or into both."""

Attributes: TypeAlias = dict[str, Any]

_RUN: Final = contexts.create_key("tether-run")


@frozen
class Instruments:
    """What is measured."""

    operation: Histogram
    tokens: Histogram
    first_chunk: Histogram
    further_chunk: Histogram
    run: Histogram
    tool: Histogram


@frozen
class Telemetry:
    """Where spans, measurements and events go."""

    content: Content
    tracer: Tracer
    logger: Logger
    instruments: Instruments

    @property
    def into_spans(self) -> bool:
        """Whether spans carry the words of the conversation."""
        return self.content in {"SPAN_ONLY", "SPAN_AND_EVENT"}

    @property
    def into_events(self) -> bool:
        """Whether events do."""
        return self.content in {"EVENT_ONLY", "SPAN_AND_EVENT"}


def telemetry(
    content: Content,
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    logger_provider: LoggerProvider | None,
) -> Telemetry:
    """Make one; the global providers are used in place of None."""
    return Telemetry(
        content,
        get_tracer("tether", None, tracer_provider, SCHEMA_URL),
        get_logger("tether", "", logger_provider, SCHEMA_URL),
        _instruments(get_meter("tether", "", meter_provider, SCHEMA_URL)),
    )


def _instruments(meter: Meter) -> Instruments:
    def seconds(name: str, what: str, first: float, count: int) -> Histogram:
        bounds = [first * 2**power for power in range(count)]
        return meter.create_histogram(name, "s", what, explicit_bucket_boundaries_advisory=bounds)

    return Instruments(
        operation=seconds("gen_ai.client.operation.duration", "duration of requests", 0.01, 14),
        tokens=meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "tokens of requests and replies",
            explicit_bucket_boundaries_advisory=[4**power for power in range(14)],
        ),
        first_chunk=seconds(
            "gen_ai.client.operation.time_to_first_chunk", "until a reply begins", 0.01, 14
        ),
        further_chunk=seconds(
            "gen_ai.client.operation.time_per_output_chunk", "between pieces of a reply", 0.01, 14
        ),
        run=seconds("gen_ai.invoke_agent.duration", "duration of runs", 0.1, 13),
        tool=seconds("gen_ai.execute_tool.duration", "duration of tool calls", 0.01, 14),
    )


@define
class Operation:
    """A span that goes. Made by `begin`."""

    span: Span
    context: Context
    measured: Attributes
    """The attributes of what is measured of it."""
    _duration: Histogram
    _started_at: float = field(factory=time.perf_counter)

    def elapsed(self) -> float:
        """Seconds since its start."""
        return time.perf_counter() - self._started_at

    def current(self) -> AbstractContextManager[None]:
        """Make the span the current one in a block that this task enters and leaves without a `yield` in it."""
        return _Current(self.context)

    def end(self, error: BaseException | None = None, error_type: str | None = None) -> None:
        """End the span.

        Args:
            error: what it ended with, if that is an exception.
            error_type: what went wrong, in a word, where there was no exception.
        """
        kind = error_type if error is None else _kind_of(error)
        if kind is not None:
            self.measured[Name.ERROR] = kind
            self.span.set_attribute(Name.ERROR, kind)
            self.span.set_status(StatusCode.ERROR, _about(error))
        self._duration.record(self.elapsed(), self.measured, self.context)
        self.span.end()


def begin(
    telemetry: Telemetry,
    name: str,
    duration: Histogram,
    attributes: Mapping[str, Any],
    *,
    measured: Attributes,
    run: RunContext | None = None,
    calls_out: bool = False,
) -> Operation:
    """Begin a span under the one that is current.

    Args:
        telemetry: where it goes.
        name: its name.
        duration: what its duration is recorded in.
        attributes: those that are known already.
        measured: the attributes of what is measured of it.
        run: the run that begins with it, for those that look for theirs with `current_run`.
        calls_out: whether it waits for another service.
    """
    kind = SpanKind.CLIENT if calls_out else SpanKind.INTERNAL
    span = telemetry.tracer.start_span(name, kind=kind, attributes={**attributes, **measured})
    context = set_span_in_context(span)
    if run is not None:
        context = contexts.set_value(_RUN, run, context)
    return Operation(span, context, measured, duration)


def current_run() -> RunContext | None:
    """Return the traced run that the caller's task belongs to."""
    run = contexts.get_value(_RUN)
    return run if isinstance(run, RunContext) else None


@define
class _Current(AbstractContextManager[None]):
    """Has a context in force in a block."""

    _context: Context
    _token: Any = None

    def __enter__(self) -> None:
        self._token = contexts.attach(self._context)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A coroutine that nobody finished may be closed in another context: there is nothing to take back there.
        if contexts.get_current() is self._context:
            contexts.detach(self._token)


def _kind_of(error: BaseException) -> str:
    if isinstance(error, ModelError):
        return error.kind
    return "cancelled" if _is_cancellation(error) else type(error).__qualname__


def _is_cancellation(error: BaseException) -> bool:
    try:
        return isinstance(error, anyio.get_cancelled_exc_class())
    except anyio.NoEventLoopError:  # a coroutine that nobody finished, closed behind the event loop
        return False


def _about(error: BaseException | None) -> str | None:
    return str(error) if isinstance(error, ModelError) else None
