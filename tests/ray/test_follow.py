"""What a driver makes of what its worker says, with a worker in this process that can be lost at any moment."""

import pickle
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.abc import TaskGroup
from tests.ray import agents

pytest.importorskip("ray")

from tether import (
    Agent,
    ApprovalAnswered,
    ApprovalRequested,
    Event,
    Invocation,
    Session,
    ToolExecutionEnd,
    ToolResultMessage,
    UsageError,
    UserMessage,
)
from tether.errors import WorkerLostError
from tether.ray import Cluster
from tether.ray.host import Host
from tether.ray.packing import packed_with_code
from tether.ray.pulls import Pulls
from tether.ray.worker import Worker
from tether.testing import ScriptedModel, call, check_events, check_transcript


class HostHere:
    """Stands in for a `Host`: what is said is pickled, and goes to a worker in this process."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._worker = Worker(0.0)
        self._tasks = tasks
        self._scopes: list[anyio.CancelScope] = []
        self.pulls = Pulls(lambda number, wanted: tasks.start_soon(self._pull, number, wanted))
        self.runs = self.pid = 0
        self.lost: str | None = None
        tasks.start_soon(self.serve)

    async def serve(self) -> None:
        with anyio.CancelScope() as scope:
            self._scopes.append(scope)
            await self._worker.serve()

    async def call(self, method: str, *args: object) -> Any:
        with anyio.CancelScope() as scope:
            self._scopes.append(scope)
            if self.lost is None:
                return _sent(await getattr(self._worker, method)(*_sent(args)))
        raise WorkerLostError(self.lost)

    async def _pull(self, number: int, wanted: Mapping[str, int]) -> None:
        try:
            answer = await self.call("pull", number, wanted)
        except WorkerLostError as error:
            self.pulls.fail(error)
        else:
            self.pulls.answer(number, answer)

    def tell(self, method: str, *args: object) -> None:
        if self.lost is None:
            self._tasks.start_soon(self.call, method, *args)

    def lose(self) -> None:
        self.lost = "killed"
        for scope in self._scopes:
            scope.cancel()


def _sent(said: Any) -> Any:
    return pickle.loads(packed_with_code(said))


@asynccontextmanager
async def workers_here(count: int = 1) -> AsyncIterator[tuple[Cluster, list[HostHere]]]:
    async with anyio.create_task_group() as tasks:
        hosts = [HostHere(tasks) for _ in range(count)]
        yield Cluster(cast("list[Host]", hosts), 5.0), hosts
        tasks.cancel_scope.cancel()


async def test_calls_of_an_agent_within_the_agent_are_not_those_of_the_agent() -> None:
    """Also where they have the same ids."""

    def make() -> Agent:
        calls = [call("echo", id=id_, text="inner") for id_ in ("a", "b", "c")]
        inner = Agent(ScriptedModel(calls, "Inner."), tools=agents.TOOLS, name="inner")
        asks = [call("ask", id="a", request="Go"), call("wait", id="b")]
        return Agent(ScriptedModel(asks), tools=[inner.as_tool("ask", "Ask."), agents.wait])

    async with workers_here() as (cluster, [host]):

        async def approve(invocation: Invocation) -> bool:
            if invocation.call.id == "b":
                await anyio.sleep_forever()
            return True

        agent = cluster.agent(make, approve=approve)
        with pytest.raises(WorkerLostError):
            async with agent.run("Go") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionEnd):
                        host.lose()
    check_transcript(agent.messages)
    outcomes = [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)]
    assert outcomes == ["ok", "skipped"]
    assert agent.session is not None
    assert agent.session.open_calls is not None
    assert agent.session.open_calls.begun == {"a"}


async def test_what_is_noted_here_meanwhile_stands_in_the_conversation(tmp_path: Path) -> None:
    async with workers_here() as (cluster, _), Session(tmp_path / "log.jsonl") as session:
        make = agents.scripted(call("echo", text="x"), "Done.", "Again.")
        agent = cluster.agent(make, session=session)
        for prompt in ("Go", "And?"):
            async with agent.run(prompt) as run:
                async for event in run:
                    session.label(type(event).__name__)
    assert session.messages == agent.messages
    assert agent.messages[-1].text == "Again."
    labels = [entry.data["text"] for entry in session.branch if entry.kind == "label"]
    assert labels.count("AgentEnd") == 2


async def test_a_question_is_withdrawn_where_its_worker_is_lost_and_put_again(
    tmp_path: Path,
) -> None:
    events: list[Event] = []
    goes_on = anyio.Event()
    async with workers_here(2) as (cluster, hosts):

        async def approve(invocation: Invocation) -> bool:
            if not goes_on.is_set():
                await anyio.sleep_forever()
            return True

        agent = cluster.agent(agents.noting(tmp_path, 1), approve=approve)
        with pytest.raises(WorkerLostError):
            async with agent.run("Go") as run:
                async for event in run:
                    events.append(event)
                    if isinstance(event, ApprovalRequested):
                        next(host for host in hosts if host.runs).lose()
        check_events(events)
        [answered] = [event for event in events if isinstance(event, ApprovalAnswered)]
        assert answered.verdict == "withdrawn"
        goes_on.set()
        async with agent.run() as run:
            events += [event async for event in run]
    assert len([event for event in events if isinstance(event, ApprovalRequested)]) == 2
    assert [m.outcome for m in agent.messages if isinstance(m, ToolResultMessage)] == ["ok"]


@pytest.mark.parametrize(
    ("returned", "match"),
    [
        (1, "must return an Agent, not 1"),
        ({"messages": [UserMessage("Before")]}, "conversation is at the driver: give `session`"),
        ({"session": "s.jsonl"}, "give `session` and `messages` to Cluster.agent"),
    ],
)
async def test_what_make_agent_must_not_return_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returned: Any, match: str
) -> None:
    monkeypatch.chdir(tmp_path)

    def make() -> Agent:
        return Agent("offline", **returned) if isinstance(returned, dict) else returned

    async with workers_here() as (cluster, _):
        with pytest.raises(UsageError, match=match):
            await cluster.agent(make).prompt("Go")
