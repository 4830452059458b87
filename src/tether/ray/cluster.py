"""The workers of a driver: started, kept alive, and ended with the block that they belong to."""

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from os import PathLike
from typing import Any, Final

import anyio

from tether._given import function, seconds, whole_number
from tether._scopes.task_groups import open_task_group
from tether._scopes.threads import run_in_thread
from tether.agent import Agent
from tether.errors import UsageError, WorkerLostError
from tether.ray._ray import ray
from tether.ray.agent import RemoteAgent
from tether.ray.host import Host
from tether.ray.lease import TICKS
from tether.ray.packing import packed_with_code
from tether.ray.worker import Actor
from tether.session import Session

__all__ = ("Cluster", "workers")

_CALLS: Final = 100_000
"""Calls that a worker may have at once: each run has one, which waits for events."""
_STARTING: Final = 120.0
"""Seconds in which a worker is there."""


class Cluster:
    """Workers that run agents. Made by `workers`."""

    def __init__(self, hosts: Sequence[Host], grace: float) -> None:
        self._hosts = hosts
        self.grace = grace
        """Seconds that a run has to clean up on its worker, before it is left there."""

    def agent(
        self,
        make_agent: Callable[[], Agent],
        *,
        session: Session | str | PathLike[str] | None = None,
        **options: Any,
    ) -> RemoteAgent:
        """Make an agent whose runs are on the workers, and whose conversation is here.

        Args:
            make_agent: makes the agent on a worker, with its model and tools; it is sent there with what it refers to.
                The names of modules are sent, not what is in them: workers need what it imports.
            session: where the conversation is kept; see `Agent`.
            **options: what is here and not there, as for `Agent`: `approve`, `before_tool`, `after_tool`,
                `should_stop`, `deps`, `limits`, `messages`, `name`, `clock` and so on. What is None or not given is
                that of the agent on the worker.

        Returns:
            The agent; see `RemoteAgent`.

        Raises:
            UsageError: the function cannot be sent, or something that is given cannot be.
        """
        function("make_agent of Cluster.agent", make_agent)
        try:
            pickled = packed_with_code(make_agent)
        except Exception as error:
            raise UsageError(f"make_agent cannot be sent to a worker: {error}") from error
        return RemoteAgent(pickled, self.choose, self.grace, session=session, **options)

    def choose(self, preferred: Host | None) -> Host:
        """Choose a worker for a run.

        Args:
            preferred: the one that has the conversation.

        Raises:
            WorkerLostError: there is none left.
        """
        left = [host for host in self._hosts if host.lost is None]
        if not left:
            raise WorkerLostError("no worker is left")
        if preferred in left:
            return preferred
        return min(left, key=lambda host: host.runs)

    @property
    def pids(self) -> Sequence[int]:
        """The process ids of the workers that are there, each on its own machine."""
        return [host.pid for host in self._hosts if host.lost is None]


@asynccontextmanager
async def workers(
    count: int,
    *,
    lease: float = 10.0,
    grace: float = 5.0,
    linger: float = 0.1,
    address: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> AsyncIterator[Cluster]:
    """Start workers on a Ray cluster, and end them with the block.

    Args:
        count: how many.
        lease: seconds after which a worker ends by itself, with its runs, when this program is gone.
        grace: seconds that a run has to clean up when it is cancelled; a worker that hangs is left then.
        linger: seconds for which deltas of replies may wait on a worker for others, as each call of Ray costs far more
            than a delta. Other events never wait.
        address: that of the cluster; if None, as `ray.init` finds it, or a new one on this machine. Where Ray is
            connected already, that is used.
        options: for the actors, such as `num_cpus`, `resources` or `runtime_env`.

    Returns:
        A context manager that gives the cluster.

    Raises:
        UsageError: something that is given cannot be, or the workers do not start within two minutes.
        ConnectionError: there is no cluster at the address.

    Cancellation:
        Ends the workers, and all runs on them, and passes on.
    """
    whole_number(1)("count of workers", count)
    for name, value in (("lease", lease), ("grace", grace), ("linger", linger)):
        seconds(f"{name} of workers", value)
    async with _connected(address, grace):
        hosts: list[Host] = []
        over = threading.Event()
        try:
            hosts += (Host(_started(options or {}, lease, linger)) for _ in range(count))
            beat = partial(_beat, hosts, lease / TICKS, over)
            threading.Thread(target=beat, name="tether heartbeats", daemon=True).start()
            await _all_ready(hosts)
            yield Cluster(hosts, grace)
        finally:
            with anyio.move_on_after(grace, shield=True):
                await _stop(hosts)
            over.set()
            for host in hosts:
                host.kill()


def _started(options: Mapping[str, Any], lease: float, linger: float) -> Any:
    """Start an actor. Its heartbeats have an event loop of their own, in a thread of its own."""
    beat = ray.method(concurrency_group="lease")(Actor.beat)
    actor_class = type("Worker", (Actor,), {"beat": beat})
    ours = {
        "lifetime": "detached",
        "max_restarts": 0,
        "max_task_retries": 0,
        "max_concurrency": _CALLS,
    }
    if taken := sorted(ours.keys() & options.keys()):
        raise UsageError(f"{', '.join(taken)} in options of workers cannot be chosen")
    try:
        remote = ray.remote(concurrency_groups={"lease": 1})(actor_class)
        chosen = {"scheduling_strategy": "SPREAD", **options, **ours}
        return remote.options(**chosen).remote(lease, linger)
    except (TypeError, ValueError) as error:
        raise UsageError(f"options of workers: {error}") from error


@asynccontextmanager
async def _connected(address: str | None, grace: float) -> AsyncIterator[None]:
    """Be connected to Ray for the block, unless it is connected already."""
    if ray.is_initialized():
        yield
        return
    begun = Future[None]()
    over = threading.Event()
    hold = partial(_hold_connection, address, begun, over)
    holder = threading.Thread(target=hold, name="tether connection", daemon=True)
    holder.start()
    try:
        await _in_thread(begun.result)
    except ValueError as error:
        raise UsageError(f"address of workers: {error}") from error
    else:
        yield
    finally:
        over.set()
        with anyio.move_on_after(grace, shield=True):
            await _in_thread(holder.join)


def _hold_connection(address: str | None, begun: Future[None], over: threading.Event) -> None:
    """Be the thread of a connection: a cluster that Ray starts here is killed when the thread that started it ends."""
    try:
        ray.init(address=address, log_to_driver=False)
    except Exception as error:  # noqa: BLE001 - raised where the connection is waited for
        begun.set_exception(error)
        return
    else:
        begun.set_result(None)
    finally:
        begun.cancel()  # where Ray has left by what is no error
    over.wait()
    ray.shutdown()


async def _in_thread(function: Callable[[], object]) -> None:
    await run_in_thread(function, limiter=anyio.CapacityLimiter(1))


def _beat(hosts: Iterable[Host], every: float, over: threading.Event) -> None:
    """Be the thread of the heartbeats: an event loop may be busy for longer than a lease."""
    while not over.wait(every):
        for host in hosts:
            # Whatever Ray says of a worker here, its runs are told as well.
            with suppress(Exception):
                host.beat()


async def _all_ready(hosts: Iterable[Host]) -> None:
    async def ready(host: Host) -> None:
        host.pid = await host.call("ready")

    with anyio.move_on_after(_STARTING) as scope:
        async with open_task_group() as tasks:
            for host in hosts:
                tasks.start_soon(ready, host)
    if scope.cancelled_caught:
        raise UsageError(
            f"the workers have not started within {_STARTING:g} s: the cluster may lack what they ask for; "
            "`ray status` says what it has"
        )


async def _stop(hosts: Iterable[Host]) -> None:
    async def stop(host: Host) -> None:
        with suppress(WorkerLostError):
            await host.call("stop")

    async with open_task_group() as tasks:
        for host in hosts:
            tasks.start_soon(stop, host)
