"""Tasks that tools start to outlive their calls: they end with the run, or with the block that opened the agent."""

import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskStatus

from tether import Agent, Tool, ToolContext, ToolResultMessage, UsageError, tool
from tether.testing import Reply, ScriptedModel, call


def starting(told: list[str]) -> Tool:
    """A tool that starts a task, which tells what becomes of it."""

    async def keep(name: str, *, task_status: TaskStatus[str]) -> None:
        told.append(f"{name} begins")
        task_status.started(name.upper())
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(10, shield=True):
                await anyio.lowlevel.checkpoint()
            told.append(f"{name} ends")

    @tool
    async def start(name: str, context: ToolContext[Any]) -> str:
        """Start a task."""
        return str(await context.start(keep, name))

    return start


async def test_they_end_with_the_run_of_an_agent_that_is_not_opened() -> None:
    told: list[str] = []
    script: list[Reply] = [call("start", name="a"), call("start", name="b"), "done"]
    agent = Agent(ScriptedModel(*script), tools=[starting(told)])
    async with agent.run("go") as run:
        async for _ in run:
            pass
        await run.result()
        assert sorted(told) == ["a begins", "a ends", "b begins", "b ends"]
    assert [m.text for m in agent.messages if isinstance(m, ToolResultMessage)] == ["A", "B"]


async def test_they_end_with_the_innermost_block_that_is_open() -> None:
    told: list[str] = []
    script: list[Reply] = [call("start", name="a"), "done", call("start", name="b"), "done"]
    agent = Agent(ScriptedModel(*script), tools=[starting(told)])
    agent.hooks.add("agent_closed", lambda _: told.append("closed"))
    async with agent.opened():
        await agent.prompt("go")
        async with agent.opened():
            await agent.prompt("go on")
            assert told == ["a begins", "b begins"]
        assert told[2:] == ["b ends", "closed"]
    assert told[4:] == ["a ends", "closed"]


async def test_they_end_where_the_block_is_cancelled_or_raises() -> None:
    told: list[str] = []
    script: list[Reply] = [call("start", name="a"), "done"] * 2
    agent = Agent(ScriptedModel(*script), tools=[starting(told)])
    error = LookupError()
    with pytest.raises(LookupError) as raised:
        async with agent.opened():
            await agent.prompt("go")
            raise error
    assert raised.value is error
    with anyio.CancelScope() as scope:
        async with agent.opened():
            await agent.prompt("go")
            scope.cancel()
    assert told == ["a begins", "a ends"] * 2


async def test_one_that_fails_once_it_has_started_is_logged_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        raise LookupError("lost")

    @tool
    async def start(context: ToolContext[Any]) -> str:
        """Start a task."""
        await context.start(fail)
        await anyio.lowlevel.checkpoint()
        return "started"

    agent = Agent(ScriptedModel(call("start"), "done"), tools=[start])
    with caplog.at_level(logging.ERROR, logger="tether"):
        assert (await agent.prompt("go")).text == "done"
    [record] = caplog.records
    assert "fail" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


async def test_one_that_fails_before_fails_the_call() -> None:
    async def fail(*, task_status: TaskStatus[None]) -> None:
        raise LookupError("lost")

    @tool
    async def start(context: ToolContext[Any]) -> str:
        """Start a task."""
        await context.start(fail)
        return "started"

    agent = Agent(ScriptedModel(call("start"), "done"), tools=[start])
    async with agent.opened():
        assert (await agent.prompt("go")).text == "done"
    [result] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert (result.outcome, result.text) == ("error", "LookupError: lost")


async def test_a_context_that_was_kept_starts_nothing_once_the_run_is_over() -> None:
    kept: list[ToolContext[Any]] = []

    @tool
    async def keep(context: ToolContext[Any]) -> None:
        """Keep the context."""
        kept.append(context)

    agent = Agent(ScriptedModel(call("keep"), "done"), tools=[keep])
    await agent.prompt("go")
    with pytest.raises(UsageError, match="the conversation is over"):
        await kept[0].start(anyio.sleep, 0)


def test_an_agent_that_is_open_in_another_event_loop_has_tasks_of_its_run_alone() -> None:
    told: list[str] = []
    agent = Agent(ScriptedModel(call("start", name="a"), "done"), tools=[starting(told)])

    async def main() -> None:
        async with agent.opened():
            await anyio.to_thread.run_sync(lambda: anyio.run(agent.prompt, "go"))
            assert told == ["a begins", "a ends"]

    anyio.run(main)
