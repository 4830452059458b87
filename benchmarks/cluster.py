"""What a run on a worker of a Ray cluster costs: CPU of driver and worker for each piece of text, beside a run here.

A cluster of one node is started on this machine. What the two processes use while nothing happens is left out.

    python -m benchmarks.cluster [PIECES]
"""

import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from benchmarks.provider import provider
from tether import Agent, MessageUpdate, model_from_name

AIM = 1.5
IDLE = 3.0
"""Seconds for which nothing happens, to see what that costs."""
RUNS = 20


def maker(address: str) -> Callable[[], Agent]:
    return lambda: Agent(model_from_name("openai-chat:m", base_url=address))


def cpu(processes: list[int]) -> float:
    """Seconds of CPU that processes have used."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def follow(agent: Agent) -> int:
    async with agent.run("Go") as run:
        return sum([isinstance(event, MessageUpdate) async for event in run])


async def pieces_of(make: Callable[[], Agent], runs: int) -> int:
    """Follow so many runs at once; count the pieces of text."""
    counts: list[int] = []

    async def one() -> None:
        counts.append(await follow(make()))

    async with anyio.create_task_group() as tasks:
        for _ in range(runs):
            tasks.start_soon(one)
    return sum(counts)


async def measured(processes: list[int], work: Callable[[], Awaitable[int]], idle: float) -> float:
    """Microseconds of CPU for each piece of text."""
    await work()
    before, began = cpu(processes), time.monotonic()
    pieces = await work()
    used = cpu(processes) - before - idle * (time.monotonic() - began)
    return 1e6 * used / pieces


async def compare(base: str, pieces: int) -> None:
    from tether.ray import workers

    rows = {
        f"flood, {pieces:,} pieces": (f"{base}/text/{pieces}", 1),
        "drip, fifty pieces a second": (f"{base}/live/100", 1),
        f"the same, {RUNS} runs at once": (f"{base}/live/100", RUNS),
    }
    here = [os.getpid()]
    local = {
        row: await measured(here, lambda a=address, n=runs: pieces_of(maker(a), n), 0.0)  # type: ignore[misc]
        for row, (address, runs) in rows.items()
    }
    async with workers(1, options={"num_cpus": 0}) as cluster:
        both = [*here, *cluster.pids]
        before = cpu(both)
        await anyio.sleep(IDLE)
        idle = (cpu(both) - before) / IDLE
        for row, (address, runs) in rows.items():
            make = maker(address)
            there = await measured(
                both,
                lambda m=make, n=runs: pieces_of(lambda: cluster.agent(m), n),  # type: ignore[misc]
                idle,
            )
            ratio = there / local[row]
            print(
                f"{row:32}{local[row]:8.1f} us here{there:8.1f} us there  x {ratio:.2f} (aim: {AIM})"
            )
        print(f"idle: {1000 * idle:.0f} ms of CPU a second")


def main(pieces: int = 100_000) -> None:
    """Measure, and print."""
    try:
        import ray
    except ImportError:
        print("not installed: ray")
        return
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "120"}
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=40)
    try:
        with provider() as base:
            anyio.run(compare, base, pieces)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
