"""A worker is alive for as long as its driver is, however busy either of them is."""

import os
import signal
import threading
import time
from typing import Any

import anyio
import pytest
from tests.ray import agents

pytest.importorskip("ray")

from ray.exceptions import ActorUnavailableError

from tether import ToolExecutionStart
from tether.errors import WorkerLostError
from tether.ray import workers
from tether.ray.host import Host
from tether.ray.lease import Lease
from tether.testing import call

_LEASE = 1.5


def test_it_is_kept_by_heartbeats_and_over_without() -> None:
    expired = threading.Event()
    lease = Lease(0.5, expired.set)
    for _ in range(30):
        lease.renew()
        assert not expired.wait(0.02)
    assert expired.wait(60)


def test_a_worker_that_is_busy_or_paused_lives_on(nodes: str) -> None:
    """Its event loop hears nothing for longer than the lease; then the whole process does."""
    del nodes

    async def main() -> None:
        async with workers(1, lease=_LEASE, options={"num_cpus": 0}) as cluster:
            [process] = cluster.pids
            agent = cluster.agent(
                agents.scripted(call("block", seconds=2 * _LEASE), call("wait"), "Done.")
            )
            async with agent.run("Go") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionStart) and event.name == "wait":
                        os.kill(process, signal.SIGSTOP)
                        await anyio.sleep(2 * _LEASE)
                        os.kill(process, signal.SIGCONT)
                        await anyio.sleep(_LEASE)
                        run.cancel_tool(event.call_id)
                assert (await run.result()).text == "Done."

    anyio.run(main)


def test_a_driver_whose_event_loop_is_busy_keeps_its_workers(nodes: str) -> None:
    del nodes

    async def main() -> None:
        async with workers(1, lease=_LEASE, options={"num_cpus": 0}) as cluster:
            agent = cluster.agent(agents.scripted("Done."))
            time.sleep(2 * _LEASE)  # noqa: ASYNC251 - that is the case
            assert (await agent.prompt("Go")).text == "Done."

    anyio.run(main)


class _Unavailable:
    """An actor that cannot be reached, as Ray has it."""

    def __getattr__(self, _: str) -> Any:
        return self

    def remote(self, *_: object) -> Any:
        return self

    def future(self) -> Any:
        from concurrent.futures import Future

        future: Future[object] = Future()
        error = ActorUnavailableError("no route", b"0" * 16)
        future.set_exception(error)
        return future


async def test_a_worker_that_cannot_be_reached_is_lost() -> None:
    host = Host(_Unavailable())
    with pytest.raises(WorkerLostError, match="no route"):
        await host.call("pull")
    assert host.lost is not None
