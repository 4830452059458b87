"""A run on a worker is tied to its block: left, cancelled, or with its driver or its worker gone, it leaves nothing."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

pytest.importorskip("ray")

from tests.ray import agents
from tests.ray.provider import providing

from tether import Agent, AgentEnd, Event, MessageUpdate, ToolExecutionStart
from tether.errors import WorkerLostError
from tether.ray import Cluster, RemoteAgent, workers
from tether.testing import ScriptedModel, call, check_events, check_transcript

SPARE = {"num_cpus": 0}
"""Options of workers, of which there may be more than processors."""


def processes(mark: str) -> list[int]:
    """The processes that have a word in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def begun_in(folder: Path) -> dict[str, int]:
    """How often each call was begun."""
    return {path.name: path.read_text().count("begun") for path in folder.iterdir()}


async def until(what: Any, seconds: float = 30) -> bool:
    with anyio.move_on_after(seconds):
        while not what():
            await anyio.sleep(0.01)
    return bool(what())


def cancellations(request: pytest.FixtureRequest) -> int:
    count: int = request.config.getoption("--cancellations")
    return count


async def test_cancelled_at_any_moment_it_leaves_nothing(
    cluster: Cluster, request: pytest.FixtureRequest
) -> None:
    """As its block is left, no socket of the provider is open, and no run goes on."""
    moments = random.Random(7)
    with providing("word ", 0.002) as provider:
        for number in range(cancellations(request)):
            agent = cluster.agent(agents.over_http(provider.url))
            seen: list[Event] = []
            with anyio.move_on_after(moments.uniform(0, 0.15)):
                async with agent.run(f"Go {number}") as run:
                    async for event in run:
                        seen.append(event)
            assert provider.wait_open(0, 30)
            assert [host.runs for host in cluster._hosts] == [0, 0]
            check_events(seen, complete=False)
            check_transcript(agent.messages)
            assert not agent.state.running


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_cancelled_its_tools_are_gone(cluster: Cluster, tmp_path: Path) -> None:
    mark = f"mark-{os.getpid()}-{random.random()}"
    agent = cluster.agent(agents.with_child(mark))
    async with agent.run("Go") as run:
        async for event in run:
            if isinstance(event, ToolExecutionStart):
                assert await until(lambda: processes(mark))
                break
    assert processes(mark) == []


async def test_a_slow_consumer_holds_up_the_provider(cluster: Cluster) -> None:
    with providing("word " * 2000, 0) as provider:
        agent = cluster.agent(agents.over_http(provider.url))
        async with agent.run("Go", max_buffer_size=8) as run:
            async for event in run:
                if isinstance(event, MessageUpdate):
                    break
            written = -1
            while written != provider.written:
                written = provider.written
                await anyio.sleep(0.5)
            assert written < 40 * 1024 * 1024
        assert provider.wait_open(0, 30)


async def test_many_runs_at_once(cluster: Cluster, request: pytest.FixtureRequest) -> None:
    done: list[str] = []

    async def one() -> None:
        agent = cluster.agent(agents.scripted(call("echo", text="x"), "Done."))
        done.append((await agent.prompt("Go")).text)

    count: int = request.config.getoption("--remote-runs")
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
    assert done == ["Done."] * count


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_lost_worker_is_an_error_and_its_run_goes_on_elsewhere(
    nodes: str, tmp_path: Path
) -> None:
    """Killed again and again: no tool is begun twice, and what a worker has started ends with it."""
    del nodes
    mark = f"mark-{os.getpid()}-{random.random()}"
    async with workers(2, lease=30, options=SPARE) as cluster:
        lonely = cluster.agent(agents.with_child(mark))
        agent = cluster.agent(agents.noting(tmp_path, 6))
        events: list[Event] = []
        async with anyio.create_task_group() as tasks:

            async def left_alone() -> None:
                with pytest.raises(WorkerLostError):
                    await lonely.prompt("Go")

            tasks.start_soon(left_alone)
            assert await until(lambda: processes(mark))
            prompt: str | None = "Go"
            while True:
                try:
                    async with agent.run(prompt) as run:
                        async for event in run:
                            events.append(event)
                            if (
                                isinstance(event, ToolExecutionStart)
                                and event.arguments["place"] == 2
                                and prompt is not None
                            ):
                                await until((tmp_path / "2").exists)
                                place = agent._conversation.active._host  # type: ignore[union-attr]
                                os.kill(place.pid, signal.SIGKILL)
                        result = await run.result()
                        break
                except WorkerLostError:
                    assert isinstance(events[-1], AgentEnd)
                    check_events(events)
                    check_transcript(agent.messages)
                    events.clear()
                    prompt = None
            assert processes(mark)
            os.kill(cluster.pids[0], signal.SIGKILL)
        assert await until(lambda: not processes(mark))
    check_events(events)
    check_transcript(agent.messages)
    assert agent.session is not None
    assert agent.session.messages == agent.messages
    assert result.text == "all done"
    assert begun_in(tmp_path) == dict.fromkeys("012345", 1)


async def ended_at(agent: RemoteAgent, count: int) -> bool:
    """Have a run whose worker is killed at so many events, and go on elsewhere; return whether that was needed."""
    try:
        async with agent.run("Go") as run:
            seen = 0
            async for _ in run:
                seen += 1
                if seen == count:
                    place = agent._conversation.active._host  # type: ignore[union-attr]
                    os.kill(place.pid, signal.SIGKILL)
    except WorkerLostError:
        check_transcript(agent.messages)
        assert (await agent.prompt()).text == "all done"
        return True
    return False


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(4))
async def test_no_tool_begins_twice_in_40_runs_with_36_kills(
    nodes: str, tmp_path: Path, part: int
) -> None:
    del nodes
    chance, killed = random.Random(part), 0
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        # From the end of the prompt on, to the middle of the second of three calls; or never.
        count = chance.randint(5, 22) if number else 0
        async with workers(2, lease=30, options=SPARE) as cluster:
            agent = cluster.agent(agents.noting(folder, 3))
            killed += await ended_at(agent, count)
        check_transcript(agent.messages)
        begun = begun_in(folder)
        assert set(begun.values()) == {1}, (count, begun)
    assert killed == 9


async def test_workers_that_hang_are_left_within_their_grace(nodes: str) -> None:
    """So are runs that were left open."""
    del nodes
    with providing("word ", 0.01) as provider:
        async with anyio.create_task_group() as tasks:

            async def cut_off() -> None:
                with pytest.raises(WorkerLostError):
                    await left_open.prompt("Go")

            async with workers(1, lease=30, grace=0.5, options=SPARE) as cluster:
                left_open = cluster.agent(agents.over_http(provider.url))
                tasks.start_soon(cut_off)
                assert await anyio.to_thread.run_sync(provider.wait_open, 1, 30)
                agent = cluster.agent(agents.scripted(call("block", seconds=600.0)))
                with anyio.fail_after(60):
                    async with agent.run("Go") as run:
                        async for event in run:
                            if isinstance(event, ToolExecutionStart):
                                break
                check_transcript(agent.messages)
                assert not agent.state.running
            assert await anyio.to_thread.run_sync(provider.wait_open, 0, 30)
            with pytest.raises(WorkerLostError, match="no worker"):
                await cluster.agent(agents.counting).prompt("Go")


DRIVER = """
import sys
from functools import partial
import anyio, ray
from tests.ray import agents
from tether.ray import workers

async def main():
    async with workers(1, lease=2.5, options={"num_cpus": 0}) as cluster:
        await cluster.agent(agents.over_http(sys.argv[2])).prompt("Go")

ray.init(sys.argv[1], log_to_driver=False, logging_level="ERROR")
anyio.run(main)
"""


def test_a_driver_that_is_killed_leaves_nothing(nodes: str) -> None:
    """Nothing is closed by anyone: the lease of its worker runs out."""
    with providing("word ", 0.05) as provider:
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, nodes, provider.url], cwd=Path(__file__).parents[2]
        )
        try:
            assert provider.wait_open(1, 120)
            driver.kill()
            assert provider.wait_open(0, 30)
        finally:
            driver.kill()
            driver.wait()


async def test_a_run_here_may_be_made_of_runs_there(cluster: Cluster) -> None:
    tool = cluster.agent(agents.counting).as_tool("ask", "Ask.")
    asks = [call("ask", request=f"{number}") for number in range(5)]
    here = Agent(ScriptedModel(asks, "Well."), tools=[tool])
    result = await here.prompt("Go")
    assert result.text == "Well."
    assert len([message for message in result.messages if message.role == "tool"]) == 5
