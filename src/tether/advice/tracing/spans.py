"""The hooks that make spans of runs, requests and calls."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from types import TracebackType
from typing import Final

from attrs import define, field, frozen

from tether import (
    Agent,
    AssistantMessage,
    Invocation,
    ModelRequest,
    ProceedTool,
    RunContext,
    ToolResult,
    Usage,
    UsageError,
)
from tether.advice.tracing._opentelemetry import LoggerProvider, MeterProvider, TracerProvider
from tether.advice.tracing.content import (
    as_json,
    finish_reason,
    reply_content,
    request_content,
    result_parts,
)
from tether.advice.tracing.conventions import DETAILS_EVENT, Name, provider_and_model, server_of
from tether.advice.tracing.telemetry import (
    Attributes,
    Content,
    Operation,
    Telemetry,
    begin,
    current_run,
    telemetry,
)
from tether.deltas import Delta, ReplyEnd, ReplyInfo
from tether.hooks import Hooks, ProceedModel
from tether.model import DeltaStream

__all__ = ("Price", "tracing")

Price = Callable[[AssistantMessage], float]

_CONTENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CONTENTS: Final[Mapping[str, Content]] = {
    "": "NO_CONTENT",
    "FALSE": "NO_CONTENT",
    "TRUE": "SPAN_ONLY",
    "NO_CONTENT": "NO_CONTENT",
    "SPAN_ONLY": "SPAN_ONLY",
    "EVENT_ONLY": "EVENT_ONLY",
    "SPAN_AND_EVENT": "SPAN_AND_EVENT",
}

_NAME: Final = "tracing"
_INNERMOST: Final = 2000
"""A depth within approvals: the time for which a person thinks is no part of a call."""


def tracing(
    agent: Agent,
    *,
    content: Content | None = None,
    price: Price | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> None:
    """Trace and measure the runs of an agent, and of agents inside its tools.

    Args:
        agent: the agent. An agent inside its tools that is traced by itself is left to that.
        content: whether the words of the conversation are recorded too. If None, the environment variable
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` decides; without it they are not.
        price: what a reply costs, for the attribute `tether.cost`, such as `tether.price_of`; if None, the agent's own
            `price`, if it has one.
        tracer_provider: where spans go; if None, the global one, and so with the others.
        meter_provider: where metrics go.
        logger_provider: where events with the words of requests go.

    Raises:
        UsageError: the agent is traced already, or `content` or the variable is none of what it may be.
    """
    if any(hook.name == _NAME for hook in agent.hooks.at("around_run")):
        raise UsageError("this agent is traced already")
    made = telemetry(_content(content), tracer_provider, meter_provider, logger_provider)
    traced = _Traced(made, lambda: price or agent.price)
    agent.hooks.add("around_run", traced.around_run, name=_NAME, depth=-_INNERMOST)
    traced.trace_parts(agent.hooks)


def _content(given: str | None) -> Content:
    said = os.environ.get(_CONTENT_VARIABLE, "") if given is None else given
    found = _CONTENTS.get(said.strip().upper())
    if found is None:
        where = _CONTENT_VARIABLE if given is None else "content"
        known = ", ".join(sorted({*_CONTENTS.values()}))
        raise UsageError(f"{where} must be one of {known}, not {said!r}")
    return found


@frozen(eq=False)
class _Traced:
    """The hooks of one agent, which are those of the agents inside its tools too."""

    telemetry: Telemetry
    price: Callable[[], Price | None]

    def trace_parts(self, hooks: Hooks) -> None:
        """Trace the requests and the calls of an agent."""
        hooks.add("around_model", self.around_model, name=_NAME, depth=_INNERMOST)
        hooks.add("around_tool", self.around_tool, name=_NAME, depth=_INNERMOST)

    def around_run(self, run: RunContext) -> AbstractContextManager[object]:
        own = [hook.function for hook in run.hooks.at("around_run") if hook.name == _NAME]
        if own and own != [self.around_run]:
            return nullcontext()  # a child that is traced by itself
        if not own:
            self.trace_parts(run.hooks)
        return _RunSpan(self.telemetry, run)

    def around_model(
        self, request: ModelRequest, proceed: ProceedModel
    ) -> AbstractAsyncContextManager[DeltaStream]:
        return _ChatSpan(self.telemetry, request, proceed, self.price)

    async def around_tool(self, invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        operation = _begin_call(self.telemetry, invocation)
        try:
            with operation.current():
                result = await proceed(invocation)
        except BaseException as error:
            operation.end(error)
            raise
        if self.telemetry.into_spans:
            operation.span.set_attribute(Name.CALL_RESULT, result_parts(result.content))
        operation.end(error_type=None if result.outcome == "ok" else result.outcome)
        return result


@define
class _RunSpan(AbstractContextManager[None]):
    """The span of a run, in force in the run's task."""

    _telemetry: Telemetry
    _run: RunContext
    _operation: Operation = field(init=False)
    _current: AbstractContextManager[None] = field(init=False)

    def __enter__(self) -> None:
        run = self._run
        provider, model = provider_and_model(run.model)
        measured: Attributes = {
            Name.OPERATION: "invoke_agent",
            Name.PROVIDER: provider,
            Name.AGENT: run.agent,
            Name.REQUEST_MODEL: model,
        }
        attributes: Attributes = {
            Name.CONVERSATION: run.conversation_id,
            Name.DEPTH: run.depth,
        }
        self._operation = begin(
            self._telemetry,
            f"invoke_agent {run.agent}",
            self._telemetry.instruments.run,
            attributes,
            measured=measured,
            run=run,
        )
        self._current = self._operation.current()
        self._current.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._current.__exit__(kind, error, traceback)
        span, run = self._operation.span, self._run
        span.set_attributes(_tokens(run.usage))
        if run.cost:
            span.set_attribute(Name.COST, run.cost)
        if run.result is not None:
            span.set_attribute(Name.STOP_REASON, run.result.stop_reason)
        self._operation.end(error)


def _begin_call(telemetry: Telemetry, invocation: Invocation) -> Operation:
    call, tool, run = invocation.call, invocation.tool, current_run()
    measured: Attributes = {Name.OPERATION: "execute_tool", Name.TOOL: tool.name}
    attributes: Attributes = {
        Name.TOOL_TYPE: "function",
        Name.TOOL_DESCRIPTION: tool.description,
        Name.CALL_ID: call.id,
    }
    if run is not None:
        attributes[Name.AGENT] = run.agent
        attributes[Name.CONVERSATION] = run.conversation_id
    if telemetry.into_spans:
        attributes[Name.CALL_ARGUMENTS] = as_json(call.arguments)
    name, duration = f"execute_tool {tool.name}", telemetry.instruments.tool
    return begin(telemetry, name, duration, attributes, measured=measured)


@define
class _ChatSpan(AbstractAsyncContextManager[DeltaStream]):
    """The span of a request, from before it is made until its reply is closed."""

    _telemetry: Telemetry
    _request: ModelRequest
    _proceed: ProceedModel
    _price: Callable[[], Price | None]
    _operation: Operation = field(init=False)
    _opened: AbstractAsyncContextManager[DeltaStream] = field(init=False)
    _watched: "_Watched" = field(init=False)

    async def __aenter__(self) -> DeltaStream:
        self._operation = self._begin()
        try:
            with self._operation.current():
                self._opened = self._proceed(self._request)
                deltas = await self._opened.__aenter__()
        except BaseException as error:
            self._operation.end(error)
            raise
        self._watched = _Watched(deltas, self._operation, self._telemetry)
        return self._watched

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            with self._operation.current():
                held_back = await self._opened.__aexit__(  # noqa: ASYNC102 - the exit of what is within
                    kind, error, traceback
                )
        except BaseException as failure:
            self._end(failure)
            raise
        self._end(None if held_back else error)
        return held_back

    def _begin(self) -> Operation:
        provider, model = provider_and_model(self._proceed.model)
        options, run = self._request.options, current_run()
        measured: Attributes = {
            Name.OPERATION: "chat",
            Name.PROVIDER: provider,
            Name.REQUEST_MODEL: model,
            **server_of(self._proceed.model),
        }
        attributes: Attributes = {
            Name.STREAM: True,
            Name.TEMPERATURE: options.temperature,
            Name.MAX_TOKENS: options.max_output_tokens,
            Name.STOP_SEQUENCES: options.stop_sequences or None,
            Name.AGENT: None if run is None else run.agent,
            Name.CONVERSATION: None if run is None else run.conversation_id,
        }
        if self._telemetry.into_spans:
            attributes |= request_content(self._request)
        return begin(
            self._telemetry,
            f"chat {model}",
            self._telemetry.instruments.operation,
            {name: value for name, value in attributes.items() if value is not None},
            measured=measured,
            calls_out=True,
        )

    def _end(self, error: BaseException | None) -> None:
        watched, operation = self._watched, self._operation
        told, reply = watched.attributes(), watched.reply
        if reply is not None:
            told[Name.FINISH_REASONS] = (finish_reason(reply),)
            told[Name.COST] = self._cost(reply)
            if self._telemetry.into_spans:
                told |= reply_content(reply)
            if self._telemetry.into_events:
                self._publish(operation, {**request_content(self._request), **reply_content(reply)})
        told = {name: value for name, value in told.items() if value is not None}
        operation.span.set_attributes(told)
        if model := told.get(Name.RESPONSE_MODEL):
            operation.measured[Name.RESPONSE_MODEL] = model
        self._count(watched.usage)
        operation.end(error, error_type="malformed" if reply is None else None)

    def _publish(self, operation: Operation, content: Attributes) -> None:
        self._telemetry.logger.emit(
            context=operation.context,
            event_name=DETAILS_EVENT,
            attributes={**operation.measured, **content},
        )

    def _count(self, usage: Usage | None) -> None:
        if usage is None:
            return
        kinds = {"input": usage.input_tokens, "output": usage.output_tokens}
        for kind, tokens in kinds.items():
            attributes = {**self._operation.measured, Name.TOKEN_TYPE: kind}
            self._telemetry.instruments.tokens.record(tokens, attributes, self._operation.context)

    def _cost(self, reply: AssistantMessage) -> float | None:
        price = self._price()
        if price is None:
            return None
        try:
            return float(price(reply)) or None
        except Exception:  # noqa: BLE001 - a price that is not known ends no run
            return None


class _Watched:
    """A reply as it arrives, with what is known of it so far."""

    __slots__ = ("_deltas", "_first_at", "_operation", "_telemetry", "info", "reply", "usage")

    def __init__(self, deltas: DeltaStream, operation: Operation, telemetry: Telemetry) -> None:
        self._deltas = deltas
        self._operation = operation
        self._telemetry = telemetry
        self._first_at: float | None = None
        self.info = ReplyInfo()
        self.usage: Usage | None = None
        self.reply: AssistantMessage | None = None

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> Delta:
        asked_at = time.perf_counter()
        delta = await anext(self._deltas)
        match delta:
            case ReplyEnd(reply):
                self.reply, self.usage = reply, reply.usage
            case ReplyInfo():
                self.info = delta
                self.usage = delta.usage or self.usage
            case _:
                self._measure(asked_at)
        return delta

    def _measure(self, asked_at: float) -> None:
        instruments, operation = self._telemetry.instruments, self._operation
        if self._first_at is None:
            self._first_at = operation.elapsed()
            instruments.first_chunk.record(self._first_at, operation.measured, operation.context)
        else:
            waited = time.perf_counter() - asked_at
            instruments.further_chunk.record(waited, operation.measured, operation.context)

    def attributes(self) -> Attributes:
        """What is known of the reply, for its span."""
        known = self.reply or self.info
        told: Attributes = {
            Name.RESPONSE_MODEL: known.model or None,
            Name.RESPONSE_ID: known.response_id,
            Name.FIRST_CHUNK: self._first_at,
        }
        return told if self.usage is None else told | _tokens(self.usage)


def _tokens(usage: Usage) -> Attributes:
    counts = {
        Name.INPUT_TOKENS: usage.input_tokens,
        Name.OUTPUT_TOKENS: usage.output_tokens,
        Name.CACHE_READ_TOKENS: usage.cache_read_tokens,
        Name.CACHE_WRITE_TOKENS: usage.cache_write_tokens,
        Name.REASONING_TOKENS: usage.reasoning_tokens,
    }
    always = (Name.INPUT_TOKENS, Name.OUTPUT_TOKENS)
    return {name: count for name, count in counts.items() if count or name in always}
