"""Spans and metrics on their way to a collector: OTLP, as protobuf over HTTP, to a receiver on loopback."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import anyio
import pytest
from tests.agent.checked_runs import GUARD, add
from tests.test_readme import blocks

from tether import Agent
from tether.testing import ScriptedModel, call

pytest.importorskip("opentelemetry.exporter.otlp", reason="needs an OTLP exporter")

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tether.advice.tracing import tracing


class Receiver:
    """What a collector has been sent."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.headers["content-type"] == "application/x-protobuf"
                receiver.bodies.setdefault(self.path, []).append(body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = Thread(target=receiver.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


async def test_a_collector_is_sent_what_was_seen() -> None:
    with receiving() as receiver:
        tracers = TracerProvider(shutdown_on_exit=False)
        spans = OTLPSpanExporter(f"{receiver.url}/v1/traces", timeout=GUARD)
        tracers.add_span_processor(BatchSpanProcessor(spans))
        metrics = OTLPMetricExporter(f"{receiver.url}/v1/metrics", timeout=GUARD)
        meters = MeterProvider([PeriodicExportingMetricReader(metrics)], shutdown_on_exit=False)
        agent = Agent(ScriptedModel(call("add", a=1, b=2), "3"), name="clerk", tools=[add])
        tracing(agent, content="SPAN_ONLY", tracer_provider=tracers, meter_provider=meters)
        await agent.prompt("go")
        await anyio.to_thread.run_sync(tracers.shutdown)
        await anyio.to_thread.run_sync(meters.shutdown)
    names = {}
    for body in receiver.bodies["/v1/traces"]:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                assert scope.scope.name == "tether"
                for span in scope.spans:
                    names[span.name] = {a.key: a.value.string_value for a in span.attributes}
    assert set(names) == {"invoke_agent clerk", "chat scripted", "execute_tool add"}
    assert names["execute_tool add"]["gen_ai.tool.call.result"] == "3"
    measured = {
        metric.name
        for body in receiver.bodies["/v1/metrics"]
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"gen_ai.invoke_agent.duration", "gen_ai.client.token.usage"} <= measured


@pytest.mark.parametrize("code", blocks("python", "collector"))
def test_the_guide_shows_how_to_send_traces_to_a_collector(code: str) -> None:
    with receiving() as receiver:
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
    assert (done.stdout, done.stderr) == ("stop\n", "")
    assert b"invoke_agent clerk" in b"".join(receiver.bodies["/v1/traces"])


def test_where_opentelemetry_is_missing_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if name.startswith("tether.advice.tracing")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs OpenTelemetry: pip install 'tether\[otel\]'"
    ):
        importlib.import_module("tether.advice.tracing")
