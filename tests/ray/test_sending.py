"""What cannot be sent, and workers that cannot be reached: each is an error of ours, which says what would be right."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

pytest.importorskip("ray")

from tests.ray import agents

from ray import exceptions
from tether import Agent, Invocation, ProceedTool, ToolResult, UsageError, tool
from tether.errors import WorkerLostError
from tether.ray import Cluster, workers
from tether.ray.exchange import Answer, Say
from tether.ray.host import Host
from tether.testing import ScriptedModel, call

RAY: Any = exceptions
"""Its own types say less than it does."""


class Unreadable:
    """Can be pickled, and not be read again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _missing, ()


def _missing() -> None:
    raise ModuleNotFoundError("No module named 'only_here'")


class Unpicklable:
    def __reduce__(self) -> tuple[Any, ...]:
        raise LookupError("not this one")


def giving(details: Callable[[], Any]) -> Callable[[], Agent]:
    """A function that makes an agent whose tool gives details."""

    @tool
    def give() -> ToolResult:
        """Give them."""
        return ToolResult("Here.", details=details())

    return lambda: Agent(ScriptedModel(call("give"), "Done."), tools=[give])


@pytest.mark.parametrize("deps", [threading.Lock(), Unpicklable()], ids=["lock", "of a user"])
async def test_deps_that_cannot_be_sent_are_named(cluster: Cluster, deps: Any) -> None:
    with pytest.raises(UsageError, match=r"^deps cannot be sent to a worker: .* by make_agent$"):
        await cluster.agent(agents.counting, deps=deps).prompt("Go")


async def test_what_the_worker_cannot_read_is_no_lost_worker(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match=r"the modules of this program.*\n?(.*\n)*.*only_here"):
        await cluster.agent(agents.counting, deps=Unreadable()).prompt("Go")


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (threading.Lock, r"^result.details cannot be sent to the driver: "),
        (Unreadable, "cannot be read here: No module named 'only_here'"),
    ],
    ids=["lock", "missing here"],
)
async def test_results_that_hooks_here_cannot_have_are_named(
    cluster: Cluster, details: Callable[[], Any], said: str
) -> None:
    agent = cluster.agent(giving(details), approve=lambda _: True)
    with pytest.raises(UsageError, match=said):
        await agent.prompt("Go")


async def test_results_of_hooks_here_that_the_worker_cannot_have_are_named(
    cluster: Cluster,
) -> None:
    async def around(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        del invocation, proceed
        return ToolResult("Mine.", details=threading.Lock())

    agent = cluster.agent(agents.scripted(call("echo", text="x"), "Done."))
    agent.hooks.add("around_tool", around)
    with pytest.raises(UsageError, match=r"^result.details cannot be sent to a worker: "):
        await agent.prompt("Go")


async def test_what_is_ordered_before_a_worker_is_chosen_reaches_it(cluster: Cluster) -> None:
    agent = cluster.agent(agents.slowly)
    with anyio.fail_after(60):
        async with agent.run("Go") as run:
            run.abort()
            assert (await run.result()).stop_reason == "aborted"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_cpu": 1}, "options of workers: Invalid option keyword num_cpu"),
        ({"num_cpus": -1}, "options of workers: The quantity"),
        ({"scheduling_strategy": "near"}, "options of workers: Invalid scheduling_strategy"),
        ({"max_restarts": 3}, "max_restarts in options of workers cannot be chosen"),
    ],
    ids=["unknown", "negative", "strategy", "ours"],
)
async def test_options_that_cannot_be_are_refused(
    nodes: str, options: dict[str, Any], said: str
) -> None:
    del nodes
    with pytest.raises(UsageError, match=said):
        async with workers(1, options=options):
            pass


class Actor:
    """Is called, and does as the test says."""

    def __init__(self, does: Callable[[str], Future[Any]]) -> None:
        self._does = does
        self.called: list[str] = []

    def __getattr__(self, method: str) -> Any:
        def remote(*_: object) -> Any:
            self.called.append(method)
            future = Future[Any]() if method == "serve" else self._does(method)
            return SimpleNamespace(future=lambda: future)

        return SimpleNamespace(remote=remote)


def refusing(error: Exception) -> Callable[[str], Future[Any]]:
    def refuse(_: str) -> Future[Any]:
        raise error

    return refuse


def failing(error: Exception) -> Callable[[str], Future[Any]]:
    def fail(_: str) -> Future[Any]:
        future = Future[Any]()
        future.set_exception(error)
        return future

    return fail


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether Ray is, in the place of Ray."""
    state = [True]
    monkeypatch.setattr(
        "tether.ray.host.ray", SimpleNamespace(is_initialized=lambda: state[0], kill=None)
    )
    return state


ERRORS = [
    RAY.RaySystemError("not started"),
    RAY.ActorDiedError(),
    RAY.ActorUnavailableError("away", None),
    Exception("Failed to submit task to actor"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("how", [refusing, failing])
async def test_a_worker_that_cannot_be_reached_is_lost(
    connected: list[bool], how: Callable[[Exception], Any], error: Exception
) -> None:
    """Whether Ray says so at once or later, and whatever it says."""
    assert connected
    host = Host(Actor(how(error)))
    with anyio.fail_after(30), pytest.raises(WorkerLostError):
        await host.pulls.next("run", 0, hurry=False)
    with pytest.raises(WorkerLostError):
        await host.call("ready")
    host.tell("close", "run", 0)


async def test_where_ray_was_left_nothing_connects_anew(connected: list[bool]) -> None:
    actor = Actor(failing(RAY.RayTaskError("pull", "", ValueError("never called"))))
    host = Host(actor)
    connected[0] = False
    with pytest.raises(WorkerLostError, match="Ray is not connected any more"):
        await host.call("ready")
    host.beat()
    host.tell("close", "run", 0)
    host.kill()
    assert actor.called == ["serve"]


@pytest.mark.parametrize(
    ("order", "path"),
    [
        (Answer(1, ToolResult("x", details=threading.Lock())), "result.details"),
        (Say("steering", threading.Lock()), "message"),  # type: ignore[arg-type]
    ],
    ids=["answer", "say"],
)
def test_orders_that_cannot_be_sent_leave_the_worker_as_it_is(
    connected: list[bool], order: Any, path: str
) -> None:
    assert connected
    host = Host(Actor(refusing(TypeError("what Ray makes of it"))))
    with pytest.raises(UsageError, match=f"^{path} cannot be sent to a worker: cannot pickle"):
        host.tell("order", "run", 1, order)
    assert host.lost is None
