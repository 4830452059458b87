"""Count and measure one run, event by event."""

import time

from attrs import define, field

from tether import (
    AgentEnd,
    ApprovalAnswered,
    ApprovalRequested,
    AssistantMessage,
    Event,
    MessageEnd,
    MessageStart,
    ModelRetry,
    RunContext,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnStart,
    Usage,
    UsageError,
    UserMessage,
)
from tether.metrics.families import UNKNOWN, Families
from tether.metrics.memory import resident_bytes

__all__ = ("RunMeter",)


@define(eq=False)
class RunMeter:
    """What is known of a run that goes.

    Args:
        run: the run.
        families: where it is counted.
        counts_cost: False for a run inside another that is measured here: its cost is part of that one's.
    """

    run: RunContext
    families: Families
    counts_cost: bool
    _agent: str = field(init=False)
    _model: str = field(init=False)
    _began: float = field(factory=time.perf_counter)
    _memory: int | None = field(factory=resident_bytes)
    _asked_at: float = field(factory=time.perf_counter)
    _calls: dict[str, str] = field(factory=dict)
    """The calls that are not answered, with the labels of their tools."""
    _asked_about: dict[str, float] = field(factory=dict)
    """The calls that wait for an approval, and since when."""
    _consumer_waited: float = 0.0
    _ended_with: str | None = None

    def __attrs_post_init__(self) -> None:
        self._agent, self._model = _label(self.run.agent), _label(self.run.model.name)
        self.families.runs_active.labels(self._agent).inc()
        self.families.runs_started.labels(self._agent).inc()

    def see(self, event: Event) -> None:
        """Take in an event of the run."""
        self._count_waiting()
        match event:
            case TurnStart():
                self._asked_at = time.perf_counter()
            case ModelRetry(_, delay, error):
                self.families.retries.labels(self._model, error.kind).inc()
                self._asked_at = time.perf_counter() + delay
            case MessageStart(AssistantMessage()):
                self.families.first_delta.labels(self._model).observe(self._since_request())
            case MessageStart(UserMessage() as message):
                self._spoken_to(message)
            case MessageEnd(AssistantMessage() as reply):
                self._answered(reply)
            case MessageEnd():
                self._asked_at = time.perf_counter()
            case ToolExecutionStart(call_id, name):
                self._called(call_id, name)
            case ToolExecutionEnd():
                self._returned(event)
            case ApprovalRequested(call_id):
                self._asked_about[call_id] = time.perf_counter()
                self.families.approvals_waiting.inc()
            case ApprovalAnswered(call_id, _, verdict):
                self._decided(call_id, verdict)
            case AgentEnd(stop_reason):
                self._ended_with = stop_reason
            case _:
                pass

    def end(self, error: BaseException | None) -> None:
        """Count the end of the run, and close what it has left open."""
        agent, families = self._agent, self.families
        self._count_waiting()
        families.runs_active.labels(agent).dec()
        families.runs.labels(agent, self._stop_reason(error)).inc()
        families.run_duration.labels(agent).observe(time.perf_counter() - self._began)
        if self.counts_cost and self.run.cost > 0:
            families.cost.labels(agent).inc(self.run.cost)
        if self._memory is not None and (now := resident_bytes()) is not None:
            families.run_memory.labels(agent).observe(max(now - self._memory, 0))
        families.calls_active.dec(len(self._calls))
        for call_id in [*self._asked_about]:
            self._decided(call_id, "withdrawn")

    def _stop_reason(self, error: BaseException | None) -> str:
        if error is not None and not isinstance(error, Exception):
            return "cancelled"
        if self.run.result is not None:
            return self.run.result.stop_reason
        return "error" if self._ended_with in {None, "stop"} else str(self._ended_with)

    def _since_request(self) -> float:
        return max(time.perf_counter() - self._asked_at, 0.0)

    def _spoken_to(self, message: UserMessage) -> None:
        if message.id not in {prompt.id for prompt in self.run.prompts}:
            self.families.steering.labels(self._agent).inc()

    def _answered(self, reply: AssistantMessage) -> None:
        agent, model = self._agent, self._model
        reason = reply.stop_reason or "stop"
        self.families.requests.labels(agent, model, reason).inc()
        self.families.request_duration.labels(model).observe(self._since_request())
        for kind, count in _tokens(reply.usage).items():
            if count > 0:
                self.families.tokens.labels(agent, model, kind).inc(count)

    def _called(self, call_id: str, name: str) -> None:
        self._calls[call_id] = name if name in self._tools() else UNKNOWN
        self.families.calls_active.inc()

    def _tools(self) -> set[str]:
        try:
            return {tool.name for tool in self.run.tools}
        except UsageError:  # the run will end with it
            return set()

    def _returned(self, event: ToolExecutionEnd) -> None:
        tool = self._calls.pop(event.call_id, None)
        if tool is not None:
            self.families.calls_active.dec()
            self.families.calls.labels(tool, event.result.outcome).inc()
            self.families.call_duration.labels(tool).observe(event.duration)

    def _decided(self, call_id: str, verdict: str) -> None:
        since = self._asked_about.pop(call_id, None)
        if since is not None:
            self.families.approvals_waiting.dec()
            self.families.approval_wait.labels(verdict).observe(time.perf_counter() - since)

    def _count_waiting(self) -> None:
        waited = self.run.held_up
        if waited > self._consumer_waited:
            self.families.consumer_wait.labels(self._agent).inc(waited - self._consumer_waited)
            self._consumer_waited = waited


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }


def _label(name: str) -> str:
    """A name as a label: what is no text would break every answer to Prometheus."""
    return name.encode("utf-8", "replace").decode()
