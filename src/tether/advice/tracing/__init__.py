"""Traces and metrics for OpenTelemetry, by its conventions for generative AI.

    span                    of                                                  under
    invoke_agent AGENT      a run                                               what was current at its start
    chat MODEL              a request: each retry and each fallback is one      its run
    execute_tool TOOL       a tool call, from when it may run                   its run

The run of a child agent is a span under the tool call that it runs in. While a tool runs, its span is the current one,
in worker threads too. The code that reads the events of a run keeps the span that it has.

A context is set in the task that it is for, and taken back only there. So nothing is left in the task of a consumer,
however it leaves.

It needs the extra `otel`, which is the API of OpenTelemetry alone. It does nothing unless the program sets up the SDK.
"""

from tether.advice.tracing.spans import Price, tracing
from tether.advice.tracing.telemetry import Content

__all__ = ("Content", "Price", "tracing")
