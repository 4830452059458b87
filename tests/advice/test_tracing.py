"""Spans and metrics of runs: their tree, their attributes, how they end, and what stays in no other task."""

import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import field, frozen
from tests.agent.checked_runs import GUARD, add, fail
from tests.waiting import until_blocked

from tether import (
    Agent,
    AssistantMessage,
    Deny,
    Image,
    Limits,
    MessageUpdate,
    ModelError,
    ModelRequest,
    RetryPolicy,
    RunContext,
    Thinking,
    Usage,
    UsageError,
    UserMessage,
    fallback,
    tool,
)
from tether.model import DeltaStream
from tether.testing import Pause, ScriptedModel, call, cancel_at_every_step

pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tether.advice.tracing import Content, tracing

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Seen:
    """What has been exported."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._logs: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # of OpenTelemetry
        self._metrics = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.loggers = LoggerProvider(shutdown_on_exit=False)
        self.loggers.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self.meters = MeterProvider([self._metrics], shutdown_on_exit=False)

    def trace(self, agent: Agent, **options: Any) -> None:
        tracing(
            agent,
            tracer_provider=self.tracers,
            meter_provider=self.meters,
            logger_provider=self.loggers,
            **options,
        )

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._spans.get_finished_spans()

    def span(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.spans if span.name == name]
        return found

    def tree(self) -> dict[str, str | None]:
        """The names of spans, and those of what they are under."""
        names = {span.context.span_id: span.name for span in self.spans}
        return {span.name: span.parent and names.get(span.parent.span_id) for span in self.spans}

    def points(self) -> Mapping[str, list[HistogramDataPoint]]:
        """The data points of each metric."""
        data = self._metrics.get_metrics_data()
        found: dict[str, list[HistogramDataPoint]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: Any = metric.data.data_points
                    found.setdefault(metric.name, []).extend(points)
        return found

    def events(self) -> list[Any]:
        return [record.log_record for record in self._logs.get_finished_logs()]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def endings(seen: Seen) -> dict[str, Any]:
    """What went wrong in each span, by its name."""
    return {span.name: attributes(span).get("error.type") for span in seen.spans}


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry logs what it cannot do, such as taking a context back, and goes on."""
    caplog.set_level(logging.WARNING)
    yield
    assert [r.getMessage() for r in caplog.records if r.name.startswith("opentelemetry")] == []


async def test_a_run_its_requests_and_its_calls_are_a_tree(seen: Seen) -> None:
    current: dict[str, str] = {}
    tracer = seen.tracers.get_tracer("user")

    @tool
    def in_thread() -> str:
        """Work."""
        with tracer.start_as_current_span("work in a thread"):
            return "done"

    @tool
    async def in_task() -> str:
        """Work."""
        with tracer.start_as_current_span("work in a task"):
            return "done"

    leaf = Agent(ScriptedModel("from the child"), name="leaf")
    calls = [call("in_thread"), call("in_task"), call("ask", request="?")]
    agent = Agent(
        ScriptedModel(calls, "Done.", name="anthropic:opus"),
        name="clerk",
        tools=[in_thread, in_task, leaf.as_tool("ask", "Ask.")],
    )
    seen.trace(agent)
    with tracer.start_as_current_span("request"):
        async with agent.run("go") as run:
            async for _ in run:
                name = getattr(trace.get_current_span(), "name", "none")
                current[name] = name
    assert list(current) == ["request"], "the consumer keeps its own span"
    assert seen.tree() == {
        "request": None,
        "invoke_agent clerk": "request",
        "chat opus": "invoke_agent clerk",
        "execute_tool in_thread": "invoke_agent clerk",
        "work in a thread": "execute_tool in_thread",
        "execute_tool in_task": "invoke_agent clerk",
        "work in a task": "execute_tool in_task",
        "execute_tool ask": "invoke_agent clerk",
        "invoke_agent leaf": "execute_tool ask",
        "chat scripted": "invoke_agent leaf",
    }
    assert set(endings(seen).values()) == {None}


USAGE = Usage(
    input_tokens=50, output_tokens=7, cache_read_tokens=40, cache_write_tokens=3, reasoning_tokens=2
)


async def test_spans_say_what_the_conventions_want(seen: Seen) -> None:
    asks = AssistantMessage(
        [call("add", id="c1", a=1, b=2)],
        model="gpt-x-1",
        stop_reason="tool_calls",
        response_id="r1",
        usage=USAGE,
    )
    model = ScriptedModel(asks, AssistantMessage("3", usage=USAGE), name="openai-chat:gpt-x")
    agent = Agent(model, name="clerk", tools=[add], system="Be brief.", price=lambda _: 0.25)
    agent.options = type(agent.options)(temperature=0.5, max_output_tokens=100)
    seen.trace(agent)
    await agent.prompt("go")
    [first, second] = [span for span in seen.spans if span.name == "chat gpt-x"]
    said = attributes(first)
    assert said.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "clerk",
        "gen_ai.conversation.id": agent.messages[0].id,
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.response.model": "gpt-x-1",
        "gen_ai.response.id": "r1",
        "gen_ai.response.finish_reasons": ("tool_call",),
        "gen_ai.usage.input_tokens": 50,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "tether.cost": 0.25,
    }
    assert attributes(second)["gen_ai.response.finish_reasons"] == ("stop",)
    assert (first.kind, first.status.status_code) == (SpanKind.CLIENT, StatusCode.UNSET)
    whole = attributes(seen.span("invoke_agent clerk"))
    assert whole["gen_ai.operation.name"] == "invoke_agent"
    assert whole["gen_ai.usage.input_tokens"] == 100
    assert (whole["tether.cost"], whole["tether.run.stop_reason"]) == (0.5, "stop")
    used = attributes(seen.span("execute_tool add"))
    assert used == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.agent.name": "clerk",
        "gen_ai.conversation.id": agent.messages[0].id,
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Add two numbers.",
        "gen_ai.tool.call.id": "c1",
    }


async def test_what_is_measured(seen: Seen) -> None:
    model = ScriptedModel(
        call("add", a=1, b=2), AssistantMessage("one two three", usage=USAGE), name="xai:grok"
    )
    agent = Agent(model, name="clerk", tools=[add])
    seen.trace(agent)
    await agent.prompt("go")
    points = seen.points()
    counts = {name: sum(point.count for point in found) for name, found in points.items()}
    assert counts.pop("gen_ai.client.operation.time_per_output_chunk") > 0
    assert counts == {
        "gen_ai.client.operation.duration": 2,
        "gen_ai.client.operation.time_to_first_chunk": 2,
        "gen_ai.client.token.usage": 4,
        "gen_ai.invoke_agent.duration": 1,
        "gen_ai.execute_tool.duration": 1,
    }
    tokens = {
        str((point.attributes or {})["gen_ai.token.type"]): point.sum
        for point in points["gen_ai.client.token.usage"]
        if point.sum
    }
    assert tokens == {"input": 50, "output": 7}
    [whole] = points["gen_ai.invoke_agent.duration"]
    assert dict(whole.attributes or {}) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "x_ai",
        "gen_ai.agent.name": "clerk",
        "gen_ai.request.model": "grok",
    }
    assert whole.explicit_bounds[:3] == (0.1, 0.2, 0.4)
    assert len(points["gen_ai.client.operation.duration"][0].explicit_bounds) == 14


@frozen
class Retrying:
    """A model that is asked twice."""

    model: ScriptedModel
    retry: RetryPolicy = field(factory=lambda: RetryPolicy(attempts=2, wait_initial=0))
    name: str = "openai:a"

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[DeltaStream]:
        return self.model.stream(request)


async def test_each_retry_and_each_fallback_is_a_span_of_its_own(seen: Seen) -> None:
    overloaded = ModelError("busy", kind="overloaded")
    first = Retrying(ScriptedModel(overloaded, overloaded))
    second = ScriptedModel("Here.", name="google:b")
    agent = Agent(fallback(first, second))
    seen.trace(agent)
    assert (await agent.prompt("go")).text == "Here."
    chats = [span for span in seen.spans if span.name.startswith("chat")]
    assert [
        (
            span.name,
            attributes(span)["gen_ai.provider.name"],
            attributes(span).get("error.type"),
            span.status.status_code,
        )
        for span in chats
    ] == [
        ("chat a", "openai", "overloaded", StatusCode.ERROR),
        ("chat a", "openai", "overloaded", StatusCode.ERROR),
        ("chat b", "gcp.gemini", None, StatusCode.UNSET),
    ]


async def test_failures_are_told_in_a_word(seen: Seen) -> None:
    broken = ScriptedModel(call("fail"), ModelError("no key", kind="authentication"))
    agent = Agent(broken, tools=[fail])
    seen.trace(agent)
    with pytest.raises(ModelError):
        await agent.prompt("go")
    chats = [span for span in seen.spans if span.name == "chat scripted"]
    assert [attributes(span).get("error.type") for span in chats] == [None, "authentication"]
    assert chats[1].status.description is not None
    assert "no key" in chats[1].status.description
    assert endings(seen)["execute_tool fail"] == "error"
    assert seen.span("execute_tool fail").status.description is None, "it is content"
    assert endings(seen)["invoke_agent agent"] == "authentication"


async def test_a_hook_that_fails_is_told_by_its_class(seen: Seen) -> None:
    def broken(_: object) -> None:
        raise LookupError("secret")

    agent = Agent(ScriptedModel("Hi."), should_stop=broken)
    seen.trace(agent)
    with pytest.raises(LookupError):
        await agent.prompt("go")
    assert endings(seen) == {"chat scripted": None, "invoke_agent agent": "LookupError"}
    assert seen.span("invoke_agent agent").status.description is None


async def test_what_is_cancelled_ends_with_cancelled(seen: Seen) -> None:
    hanging = anyio.Event()

    @tool
    async def hang() -> None:
        """Hang."""
        hanging.set()
        await anyio.sleep_forever()

    agent = Agent(ScriptedModel(call("hang")), tools=[hang])
    seen.trace(agent)
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await hanging.wait()
            tasks.cancel_scope.cancel()
    assert endings(seen) == {
        "chat scripted": None,
        "execute_tool hang": "cancelled",
        "invoke_agent agent": "cancelled",
    }
    assert seen.span("invoke_agent agent").status.status_code is StatusCode.ERROR


async def test_a_reply_that_is_cut_off_is_cancelled_and_the_run_goes_on(seen: Seen) -> None:
    agent = Agent(ScriptedModel(["One ", Pause(anyio.Event())], "Two.", name="m"))
    seen.trace(agent)
    with anyio.fail_after(GUARD):
        async with agent.run("go") as run:
            async for event in run:
                if isinstance(event, MessageUpdate) and event.text.startswith("O"):
                    run.steer("stop", interrupt=True)
    chats = [span for span in seen.spans if span.name == "chat m"]
    assert [attributes(span).get("error.type") for span in chats] == ["cancelled", None]
    assert endings(seen)["invoke_agent agent"] is None


async def test_outcomes_of_calls_and_ends_of_runs(seen: Seen) -> None:
    @tool(timeout=0.001)
    async def slow() -> None:
        """Take long."""
        await anyio.sleep_forever()

    agent = Agent(
        ScriptedModel(call("slow"), call("slow")),
        tools=[slow],
        limits=Limits(turns=2),
        before_tool=lambda i: Deny("not twice") if i.call.id == "call_2" else None,
    )
    seen.trace(agent)
    await agent.prompt("go")
    assert endings(seen)["execute_tool slow"] == "timeout"
    assert attributes(seen.span("invoke_agent agent"))["tether.run.stop_reason"] == "limit"


async def test_the_words_are_told_only_where_that_is_wanted(seen: Seen) -> None:
    agent = Agent(ScriptedModel(call("add", a=1, b=2), "secret reply"), tools=[add], system="hush")
    seen.trace(agent)
    await agent.prompt("secret question")
    for span in seen.spans:
        told = json.dumps(attributes(span))
        assert not any(word in told for word in ("secret", "hush", '"a"'))
    assert seen.events() == []


SAID = [
    {"role": "user", "parts": [{"type": "text", "content": "look"}, {"type": "uri"}]},
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 1, "b": 2}},
        ],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "3"}]},
]


@pytest.mark.parametrize("content", ["SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"])
async def test_the_words_are_in_spans_or_in_events(seen: Seen, content: Content) -> None:
    asks = AssistantMessage([Thinking("hm"), call("add", id="c1", a=1, b=2)])
    agent = Agent(ScriptedModel(asks, "It is 3."), tools=[add], system="Be brief.")
    seen.trace(agent, content=content)
    image = Image(url="https://example.org/a.png", media_type="image/png")
    await agent.prompt(UserMessage(["look", image]))
    chats = [span for span in seen.spans if span.name == "chat scripted"]
    told = []
    if content != "EVENT_ONLY":
        told.append(attributes(chats[1]))
        used = attributes(seen.span("execute_tool add"))
        assert json.loads(used["gen_ai.tool.call.arguments"]) == {"a": 1, "b": 2}
        assert used["gen_ai.tool.call.result"] == "3"
    if content != "SPAN_ONLY":
        [_, event] = seen.events()
        assert event.event_name == "gen_ai.client.inference.operation.details"
        assert event.span_id == chats[1].context.span_id
        told.append(dict(event.attributes))
    for one in told:
        messages = json.loads(one["gen_ai.input.messages"])
        messages[0]["parts"][1] = {"type": messages[0]["parts"][1]["type"]}
        assert messages == SAID
        assert json.loads(one["gen_ai.output.messages"]) == [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "It is 3."}],
                "finish_reason": "stop",
            }
        ]
        assert json.loads(one["gen_ai.system_instructions"])[0]["content"] == "Be brief."
        assert json.loads(one["gen_ai.tool.definitions"])[0]["name"] == "add"
    assert ("gen_ai.input.messages" in attributes(chats[1])) == (content != "EVENT_ONLY")


@pytest.mark.parametrize(
    ("value", "is_told"),
    [("span_only", True), ("NO_CONTENT", False), ("", False), ("true", True), ("false", False)],
)
async def test_the_variable_says_whether_words_are_told(
    seen: Seen, monkeypatch: pytest.MonkeyPatch, value: str, is_told: bool
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    agent = Agent(ScriptedModel("Hi."))
    seen.trace(agent)
    await agent.prompt("hello")
    assert ("gen_ai.input.messages" in attributes(seen.span("chat scripted"))) == is_told


def test_what_is_not_to_be_understood_is_refused(
    seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"content must be one of .*SPAN_ONLY.*, not 'yes'"):
        seen.trace(Agent(), content="yes")
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(UsageError, match=f"{VARIABLE} must be one of"):
        seen.trace(Agent())
    monkeypatch.delenv(VARIABLE)
    agent = Agent()
    seen.trace(agent)
    with pytest.raises(UsageError, match="traced already"):
        seen.trace(agent)


async def test_a_child_that_is_traced_by_itself_is_traced_once(seen: Seen) -> None:
    child = Agent(ScriptedModel("x", "x"), name="child")
    agent = Agent(ScriptedModel(call("ask", request="?"), "ok"), name="top")
    agent.tools = [child.as_tool("ask", "Ask.")]
    seen.trace(child)
    seen.trace(agent)
    await agent.prompt("go")
    assert [span.name for span in seen.spans].count("invoke_agent child") == 1
    assert seen.tree()["invoke_agent child"] == "execute_tool ask"
    same = agent.copy(model=ScriptedModel("again"), tools=[])
    await same.prompt("go")
    assert [span.name for span in seen.spans].count("invoke_agent top") == 2


async def _broken_off(agent: Agent) -> None:
    async with agent.run("go") as run:
        async for _ in run:
            break


async def _text_broken_off(agent: Agent) -> None:
    async with anyio.create_task_group() as tasks:
        async for _ in agent.stream_text("go", tasks):
            break


async def _continued_elsewhere(agent: Agent) -> None:
    """Begun in one task, read on in another, and dropped in a third."""
    async with anyio.create_task_group() as tasks:
        iterator = agent.stream_events("go", tasks)

        async def read() -> None:
            await anext(iterator)

        async def drop() -> None:
            await iterator.aclose()

        for step in (read, read, drop):
            async with anyio.create_task_group() as inner:
                inner.start_soon(step)


async def _generator(agent: Agent) -> None:
    """As people do it, although they are told not to."""

    async def texts() -> AsyncIterator[Any]:
        async with agent.run("go") as run:
            async for event in run:
                yield event  # noqa: ASYNC119 - as people do it

    events = texts()
    await anext(events)
    await events.aclose()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize(
    "consume", [_broken_off, _text_broken_off, _continued_elsewhere, _generator]
)
async def test_a_consumer_that_leaves_early_leaves_nothing_behind(seen: Seen, consume: Any) -> None:
    """`no_complaints` sees that there is no error record."""
    agent = Agent(ScriptedModel("a reply of many words, of which few are read"))
    seen.trace(agent)
    before = trace.get_current_span()
    with anyio.fail_after(GUARD):
        await consume(agent)
        await until_blocked()
    assert trace.get_current_span() is before
    assert seen.spans, "what was begun has ended"
    assert set(endings(seen).values()) <= {"cancelled", None}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_span_ends_wherever_the_run_is_cancelled(backend: Any, seen: Seen) -> None:
    started: list[str] = []

    def setup() -> Agent:
        started.clear()
        fresh = Seen()
        seen.__dict__.update(fresh.__dict__)
        agent = Agent(ScriptedModel(call("add", a=1, b=2), "Done."), tools=[add])
        seen.trace(agent)
        return agent

    async def program(agent: Agent) -> None:
        await agent.prompt("go")

    def check(_: Agent) -> None:
        assert {span.name for span in seen.spans} in (set(), *_PREFIXES), seen.spans

    report = cancel_at_every_step(program, setup=setup, check=check, backend=backend)
    assert report.points > 5


_PREFIXES = (
    {"invoke_agent agent"},
    {"invoke_agent agent", "chat scripted"},
    {"invoke_agent agent", "chat scripted", "execute_tool add"},
)


async def test_hooks_around_a_run_have_its_span(seen: Seen) -> None:
    names: list[str] = []
    agent = Agent(ScriptedModel("Hi."))

    @agent.around_run
    @asynccontextmanager
    async def watch(_: RunContext) -> AsyncIterator[None]:
        names.append(getattr(trace.get_current_span(), "name", ""))
        await anyio.lowlevel.checkpoint()
        yield
        names.append(getattr(trace.get_current_span(), "name", ""))

    seen.trace(agent)
    await agent.prompt("go")
    assert names == ["invoke_agent agent"] * 2
