"""What is counted and measured of runs, and what labels say."""

import gc
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.agent.checked_runs import GUARD, add, fail
from tests.waiting import until_blocked

from tether import (
    Agent,
    AssistantMessage,
    Deny,
    Invocation,
    Limits,
    ModelError,
    Usage,
    UsageError,
    Verdict,
    fallback,
    tool,
)
from tether.testing import Pause, ScriptedModel, call, cancel_at_every_step

pytest.importorskip("prometheus_client", reason="needs prometheus-client")

from tether.metrics import Metrics, exposition

USAGE = Usage(
    input_tokens=50, output_tokens=7, cache_read_tokens=40, cache_write_tokens=3, reasoning_tokens=2
)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """A sample, 0 if there is none."""
    return metrics.registry.get_sample_value(f"tether_{name}", labels) or 0.0


def watched(*script: Any, **options: Any) -> tuple[Agent, Metrics]:
    agent = Agent(ScriptedModel(*script, name="anthropic:opus"), name="clerk", **options)
    metrics = Metrics()
    metrics.watch(agent)
    return agent, metrics


async def test_runs_requests_and_calls_are_counted_and_measured() -> None:
    reply = AssistantMessage("Done.", usage=USAGE, model="as the server calls it")
    agent, metrics = watched(call("add", a=1, b=2), reply, tools=[add], price=lambda _: 0.5)
    active: list[float] = []
    agent.subscribe(lambda _: active.append(value(metrics, "runs_active", agent="clerk")))
    await agent.prompt("go")
    run, model = {"agent": "clerk"}, {"model": "anthropic:opus"}
    assert set(active) == {1}
    assert value(metrics, "runs_active", **run) == 0
    assert value(metrics, "runs_started_total", **run) == 1
    assert value(metrics, "runs_total", **run, stop_reason="stop") == 1
    assert value(metrics, "run_duration_seconds_count", **run) == 1
    assert value(metrics, "model_requests_total", **run, **model, stop_reason="stop") == 1
    assert value(metrics, "model_request_duration_seconds_count", **model) == 2
    assert value(metrics, "model_first_delta_seconds_count", **model) == 2
    kinds = ("input", "output", "cache_read", "cache_write", "reasoning")
    counted = [value(metrics, "tokens_total", **run, **model, kind=kind) for kind in kinds]
    assert counted == [50, 7, 40, 3, 2]
    assert value(metrics, "cost_usd_total", **run) == 1
    assert value(metrics, "tool_calls_total", tool="add", outcome="ok") == 1
    assert value(metrics, "tool_duration_seconds_count", tool="add") == 1
    assert value(metrics, "tool_calls_active") == 0


async def test_a_run_is_counted_however_it_ends() -> None:
    hanging = anyio.Event()

    @tool
    async def hang() -> None:
        """Hang."""
        hanging.set()
        await anyio.sleep_forever()

    script = [
        call("add", a=1, b=2),
        ModelError("gone", kind="server"),
        "aborted",
        "broken",
        call("hang"),
    ]
    agent, metrics = watched(*script, tools=[add, hang], limits=Limits(turns=1))
    await agent.prompt("go")
    with pytest.raises(ModelError):
        await agent.prompt("go")
    agent.hooks.add("before_model", lambda _: agent.abort(), name="aborts")
    await agent.prompt("go")
    agent.hooks.remove("before_model", "aborts")

    def broken(_: object) -> None:
        raise LookupError

    agent.hooks.add("after_model", broken)
    agent.model = ScriptedModel("broken", call("hang"))
    with pytest.raises(LookupError):
        await agent.prompt("go")
    agent.hooks.remove("after_model", broken)
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await hanging.wait()
            assert value(metrics, "tool_calls_active") == 1
            tasks.cancel_scope.cancel()
    ends = {
        reason: value(metrics, "runs_total", agent="clerk", stop_reason=reason)
        for reason in ("limit", "error", "aborted", "cancelled")
    }
    assert ends == {"limit": 1, "error": 2, "aborted": 1, "cancelled": 1}
    assert value(metrics, "runs_active", agent="clerk") == 0
    assert value(metrics, "tool_calls_active") == 0


async def test_labels_hold_nothing_that_a_model_has_said() -> None:
    """Names of tools that a model makes up would be series without end."""
    made_up = [call(f"made_up_{number}") for number in range(20)]
    agent, metrics = watched(made_up, call("fail"), "Done.", tools=[fail])
    await agent.prompt("what a person says")
    assert value(metrics, "tool_calls_total", tool="unknown", outcome="error") == 20
    assert value(metrics, "tool_calls_total", tool="fail", outcome="error") == 1
    written = exposition(metrics)[0].decode()
    for said in ("made_up", "call_1", "person", "Done", *(m.id for m in agent.messages)):
        assert said not in written


async def test_a_name_that_is_no_text_breaks_nothing() -> None:
    agent, metrics = watched("Hi.")
    agent.name = "half \ud83d"
    await agent.prompt("hello")
    assert b'agent="half ?"' in exposition(metrics)[0]


async def test_retries_are_counted_by_kind() -> None:
    overloaded = ModelError("busy", kind="overloaded")
    agent = Agent(fallback(ScriptedModel(overloaded, name="a:1"), ScriptedModel("Hi.", name="b:2")))
    metrics = Metrics()
    metrics.watch(agent)
    await agent.prompt("go")
    assert value(metrics, "model_retries_total", model="a:1 or b:2", kind="overloaded") == 1


async def test_approvals_wait_and_are_decided() -> None:
    waiting: list[float] = []
    metrics = Metrics()

    async def approve(invocation: Invocation) -> Verdict:
        waiting.append(value(metrics, "approvals_waiting"))
        await until_blocked()
        return Deny("no") if invocation.call.id == "b" else "once"

    calls = [call("add", id=name, a=1, b=1) for name in "ab"]
    agent = Agent(ScriptedModel(calls, "ok"), tools=[add], approve=approve)
    metrics.watch(agent)
    await agent.prompt("go")
    assert max(waiting) == 2
    assert value(metrics, "approvals_waiting") == 0
    assert value(metrics, "approval_wait_seconds_count", verdict="once") == 1
    assert value(metrics, "approval_wait_seconds_count", verdict="denied") == 1
    assert value(metrics, "tool_calls_total", tool="add", outcome="denied") == 1


async def test_a_question_that_nobody_answers_is_withdrawn() -> None:
    asked = anyio.Event()

    async def approve(_: Invocation) -> Verdict:
        asked.set()
        await anyio.sleep_forever()
        return "once"

    agent, metrics = watched(call("add", a=1, b=1), tools=[add], approve=approve)
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "go")
            await asked.wait()
            tasks.cancel_scope.cancel()
    assert value(metrics, "approvals_waiting") == 0
    assert value(metrics, "approval_wait_seconds_count", verdict="withdrawn") == 1


async def test_steering_is_counted_and_prompts_are_not() -> None:
    agent, metrics = watched("One.", "Two.", "Three.")
    agent.follow_up("and then?")
    async with agent.run("go") as run:
        run.steer("stop")
        await run.result()
    assert value(metrics, "steering_total", agent="clerk") == 2


async def test_a_slow_consumer_is_seen() -> None:
    agent, metrics = watched("a reply of some words")
    with anyio.fail_after(GUARD):
        async with agent.run("go", max_buffer_size=2) as run:
            await until_blocked()
            assert value(metrics, "events_unread") == 2
            async for _ in run:
                await anyio.lowlevel.checkpoint()
            assert run.statistics().waited > 0
    assert value(metrics, "events_unread") == 0
    assert value(metrics, "consumer_wait_seconds_total", agent="clerk") > 0


async def test_children_are_counted_once_and_their_cost_is_the_callers() -> None:
    child = Agent(ScriptedModel("x"), name="child", price=lambda _: 2.0)
    agent, metrics = watched(
        call("ask", request="?"), "ok", tools=[child.as_tool("ask", "Ask.")], price=lambda _: 1.0
    )
    metrics.watch(child)
    metrics.watch(child)
    await agent.prompt("go")
    assert value(metrics, "runs_total", agent="child", stop_reason="stop") == 1
    assert value(metrics, "runs_total", agent="clerk", stop_reason="stop") == 1
    assert value(metrics, "cost_usd_total", agent="clerk") == 4
    assert value(metrics, "cost_usd_total", agent="child") == 0
    assert value(metrics, "model_first_delta_seconds_count", model="scripted") == 1


async def test_a_child_that_nobody_else_watches_is_counted_too() -> None:
    child = Agent(ScriptedModel(call("add", a=1, b=2), "x"), name="child", tools=[add])
    agent, metrics = watched(call("ask", request="?"), "ok", tools=[child.as_tool("ask", "Ask.")])
    await agent.prompt("go")
    assert value(metrics, "runs_total", agent="child", stop_reason="stop") == 1
    assert value(metrics, "tool_calls_total", tool="add", outcome="ok") == 1
    assert value(metrics, "tool_calls_total", tool="ask", outcome="ok") == 1


async def test_two_may_watch_one_agent_and_share_nothing() -> None:
    agent, first = watched("One.", "Two.")
    second = Metrics()
    second.watch(agent)
    await agent.prompt("go")
    for metrics in (first, second):
        assert value(metrics, "runs_total", agent="clerk", stop_reason="stop") == 1


async def test_the_memory_of_a_run_is_measured_where_the_system_tells() -> None:
    agent, metrics = watched("Hi.")
    await agent.prompt("go")
    told = value(metrics, "run_memory_growth_bytes_count", agent="clerk")
    assert told == (1 if metrics.registry.get_sample_value("process_resident_memory_bytes") else 0)


async def test_the_lag_of_the_event_loop_is_measured() -> None:
    metrics = Metrics()
    with anyio.fail_after(GUARD):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: metrics.watch_loop(every=0.001))
            while value(metrics, "event_loop_lag_seconds_count") < 3:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    with pytest.raises(UsageError, match="every must be more than 0 seconds"):
        await metrics.watch_loop(every=0)


async def test_viewers_are_asked_for_when_they_are_wanted() -> None:
    metrics = Metrics()
    viewers = [3]
    metrics.count_viewers(lambda: viewers[0])
    metrics.count_viewers(lambda: 1)
    assert value(metrics, "viewers") == 4
    viewers[0] = 0
    assert value(metrics, "viewers") == 1


async def _broken_off(agent: Agent) -> None:
    async with agent.run("go") as run:
        async for _ in run:
            break


async def _text_broken_off(agent: Agent) -> None:
    async with anyio.create_task_group() as tasks:
        async for _ in agent.stream_text("go", tasks):
            break


@pytest.mark.parametrize("consume", [_broken_off, _text_broken_off])
async def test_nothing_stays_active_when_a_consumer_leaves(consume: Callable[[Agent], Any]) -> None:
    agent, metrics = watched(["some ", Pause(anyio.Event())])
    with anyio.fail_after(GUARD):
        await consume(agent)
    gc.collect()
    assert value(metrics, "runs_active", agent="clerk") == 0
    assert value(metrics, "runs_total", agent="clerk", stop_reason="cancelled") == 1
    assert value(metrics, "events_unread") == 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_gauges_return_to_zero_wherever_a_run_is_cancelled(backend: Any) -> None:
    made: list[Metrics] = []

    def setup() -> Agent:
        agent, metrics = watched(
            call("add", a=1, b=2), "Done.", tools=[add], approve=lambda _: "once"
        )
        made.append(metrics)
        return agent

    async def program(agent: Agent) -> None:
        await agent.prompt("go")

    def check(_: Agent) -> None:
        metrics = made[-1]
        for gauge in ("tool_calls_active", "approvals_waiting", "events_unread"):
            assert value(metrics, gauge) == 0
        assert value(metrics, "runs_active", agent="clerk") == 0
        started = value(metrics, "runs_started_total", agent="clerk")
        assert value(metrics, "run_duration_seconds_count", agent="clerk") == started

    report = cancel_at_every_step(program, setup=setup, check=check, backend=backend)
    assert report.points > 5
