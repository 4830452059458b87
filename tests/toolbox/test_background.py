"""Commands in the background: kept until the conversation is over, and not a moment longer."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from tests.toolbox.commands import GUARD, running

from tether import Agent, ModelRequest, Tool, ToolContext, ToolResultMessage, tool
from tether.testing import Reply, ScriptedModel, call
from tether.toolbox import Root, command_tool, output_tool, stop_tool


def shell(folder: Path) -> list[Tool]:
    root = Root(folder)
    return [command_tool(root, grace=0.3), output_tool(root), stop_tool(root)]


def start(command: str) -> Reply:
    return call("run_command", command=command, background=True)


def of_the_last(name: str, **arguments: Any) -> Callable[[ModelRequest], Reply]:
    """Call a tool with the id in the newest result that has one."""

    def reply(request: ModelRequest) -> Reply:
        ids = re.findall(r"background, id (\w+)", " ".join(m.text for m in request.messages))
        return evolve(call(name), arguments={"id": ids[-1], **arguments})

    return reply


def results(agent: Agent) -> list[str]:
    return [m.text for m in agent.messages if isinstance(m, ToolResultMessage)]


def mark() -> str:
    return f"sleep 74.{time.monotonic_ns()}"


async def test_output_is_read_and_the_command_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "serve").write_text(
        "trap 'echo bye; exit 5' TERM; echo up; until [ -e go ]; do sleep 0.02; done\n"
        "echo went; while :; do sleep 0.02; done"
    )

    @tool
    async def go() -> str:
        """Let the server go on."""
        await anyio.Path(tmp_path / "go").touch()
        return "gone"

    script = [start("exec sh serve"), call("go"), of_the_last("read_output", wait=GUARD)]
    script += [of_the_last("read_output"), of_the_last("stop"), of_the_last("read_output")]
    agent = Agent(ScriptedModel(*script, "done"), tools=[*shell(tmp_path), go])
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
    started, _, went, nothing, stopped, over = results(agent)
    assert re.fullmatch(r"up\n\n\[running in the background, id \w+\]", started)
    assert re.fullmatch(r"went\n\n\[running in the background, id \w+\]", went)
    assert re.fullmatch(r"\[running in the background, id \w+\]", nothing)
    assert stopped.endswith("bye\n\n[exit code 5]")
    assert over == "[exit code 5]"


async def test_one_that_fails_at_once_says_so(tmp_path: Path) -> None:
    agent = Agent(ScriptedModel(start("no-such-program"), "done"), tools=shell(tmp_path))
    await agent.prompt("go")
    assert re.search(r"not found\n\n\[exit code 127\]", results(agent)[0])


async def test_it_ends_with_the_run_of_an_agent_that_is_not_opened(tmp_path: Path) -> None:
    sleeping = mark()
    script = [start(f"nohup setsid {sleeping} & echo started"), "done"]
    agent = Agent(ScriptedModel(*script, of_the_last("read_output"), "done"), tools=shell(tmp_path))
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
        assert running(sleeping) == []
        await agent.prompt("and now?")
    said, gone = results(agent)
    assert "started\n" in said
    assert "its shell has ended with exit code 0]" in said
    assert "no command runs in the background with the id" in gone


@pytest.mark.parametrize("how", ["left", "cancelled", "raised"])
async def test_it_ends_with_the_block_that_opened_the_agent(tmp_path: Path, how: str) -> None:
    sleeping = mark()
    script = [start(sleeping), "done", of_the_last("read_output"), "done"]
    agent = Agent(ScriptedModel(*script), tools=shell(tmp_path))

    async def use() -> None:
        async with agent.opened():
            await agent.prompt("go")
            await agent.prompt("and now?")
            assert len(running(sleeping)) >= 1
            if how == "raised":
                raise LookupError
            if how == "cancelled":
                scope.cancel()
                await anyio.sleep_forever()

    with anyio.fail_after(GUARD), anyio.CancelScope() as scope:
        if how == "raised":
            with pytest.raises(LookupError):
                await use()
        else:
            await use()
    assert running(sleeping) == []
    assert "running in the background" in results(agent)[1]


async def test_agents_that_share_tools_share_no_commands(tmp_path: Path) -> None:
    """The end of one agent ends its own, and its model finds none of the others."""
    tools = shell(tmp_path)
    first, second = mark(), mark()
    one = Agent(ScriptedModel(start(first), "done"), tools=tools)
    script = [start(second), "done", evolve(call("read_output"), arguments={"id": "1"}), "done"]
    other = Agent(ScriptedModel(*script), tools=tools)
    with anyio.fail_after(GUARD):
        async with other.opened():
            await other.prompt("go")
            await one.prompt("go")
            assert running(first) == []
            assert len(running(second)) >= 1
            await other.prompt("guess")
    assert "no command runs in the background with the id '1'" in results(other)[1]
    assert running(second) == []


async def test_what_an_agent_within_an_agent_starts_ends_with_it(tmp_path: Path) -> None:
    sleeping = mark()
    inner = Agent(ScriptedModel(start(sleeping), "done"), tools=shell(tmp_path), name="inner")
    seen: list[str] = []

    @tool
    def look() -> None:
        """Look what runs."""
        seen.extend(running(sleeping))

    outer = Agent(
        ScriptedModel(call("inner", request="go"), call("look"), "done"),
        tools=[inner.as_tool("inner", "Start it."), look],
    )
    with anyio.fail_after(GUARD):
        async with outer.opened():
            await outer.prompt("go")
    assert "done" in results(outer)[0]
    assert seen == []


async def test_a_flood_is_kept_in_bounds_and_read_on(tmp_path: Path) -> None:
    script = [start("yes"), of_the_last("read_output", wait=GUARD), of_the_last("stop"), "done"]
    agent = Agent(ScriptedModel(*script), tools=shell(tmp_path))
    with anyio.fail_after(GUARD):
        await agent.prompt("go")
    assert max(map(len, results(agent))) < 40_000
    assert results(agent)[1].startswith("y\n")


async def test_without_a_run_nothing_is_kept(tmp_path: Path) -> None:
    async def report(_: object) -> None: ...

    context: ToolContext[Any] = ToolContext(
        call_id="c", name="run_command", deps=None, report=report, spend=lambda *_: None
    )
    with pytest.raises(Exception, match="belongs to no run"):
        await shell(tmp_path)[0](command="true", context=context, background=True)
