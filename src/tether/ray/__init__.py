"""Runs on a Ray cluster, tied to the block that started them (extra `ray`).

    async with workers(8, lease=10) as cluster:          # asyncio or trio
        agent = cluster.agent(make_agent, session="log.jsonl")
        async with agent.run("Fix the bug.") as run:
            async for event in run: ...

The conversation is here, and the loop, the model and the tools are on a worker.
"""

from tether.errors import WorkerLostError
from tether.ray.agent import RemoteAgent
from tether.ray.cluster import Cluster, workers

__all__ = ("Cluster", "RemoteAgent", "WorkerLostError", "workers")
