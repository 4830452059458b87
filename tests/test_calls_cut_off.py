"""Every way to cut off a call, with every kind of tool: the same outcome on all backends, and nothing left behind."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from attrs import define, evolve, field

from tether import (
    Agent,
    Event,
    Limits,
    Run,
    Tool,
    ToolExecutionEnd,
    ToolResultMessage,
    tool,
)
from tether.testing import Pause, ScriptedModel, call, check_events, check_transcript

GUARD = 60
MOMENT = 0.5
"""Seconds until a limit is reached: all calls have begun by then."""


@define
class Trial:
    """One run that is cut off, and what is seen of it."""

    begun: anyio.Event = field(factory=anyio.Event)
    """Set once the call is in the middle of its work."""
    release: threading.Event = field(factory=threading.Event)
    """Lets go of threads that nobody waits for."""
    threads: list[threading.Event] = field(factory=list)
    """Set as each thread comes to its end."""
    open: int = 0
    """How much goes on in the event loop for the call."""
    agent: Agent = field(factory=lambda: Agent(ScriptedModel()))
    events: list[Event] = field(factory=list)
    run: Run | None = None
    parent: anyio.CancelScope = field(factory=anyio.CancelScope)
    reading: anyio.CancelScope = field(factory=anyio.CancelScope)
    task: Any = None

    async def work(self) -> str:
        """Work in the event loop, and take a while to stop."""
        self.open += 1
        try:
            self.begun.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(3):
                    await anyio.lowlevel.checkpoint()
            self.open -= 1
        return "never"

    def outcomes(self) -> Sequence[str]:
        """How the victim and its sibling ended."""
        return [m.outcome for m in self.agent.messages if isinstance(m, ToolResultMessage)]


# The kinds of tools. Each makes one that is called `victim`.


def an_async_one(trial: Trial) -> Tool:
    @tool
    async def victim() -> str:
        """Work."""
        return await trial.work()

    return victim


def one_whose_clean_up_fails(trial: Trial) -> Tool:
    @tool
    async def victim() -> None:
        """Work in a child task that fails when it is cancelled."""

        async def child() -> None:
            try:
                await trial.work()
            finally:
                raise ValueError("could not clean up")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            await anyio.sleep_forever()

    return victim


def a_plain_one(trial: Trial) -> Tool:
    @tool
    def victim() -> str:
        """Block a thread."""
        ended = threading.Event()
        trial.threads.append(ended)
        try:
            anyio.from_thread.run_sync(trial.begun.set)
            trial.release.wait(GUARD)
        finally:
            ended.set()
        return "late"

    return victim


def a_plain_one_that_calls_back(trial: Trial) -> Tool:
    @tool
    def victim() -> str:
        """Block a thread that waits for the event loop."""
        ended = threading.Event()
        trial.threads.append(ended)
        try:
            return anyio.from_thread.run(trial.work)
        finally:
            ended.set()

    return victim


def a_plain_one_that_asks_an_agent(trial: Trial) -> Tool:
    inner = Agent(ScriptedModel(call("victim")), tools=[a_plain_one_that_calls_back(trial)])

    @tool
    def victim() -> str:
        """Ask an agent, a plain tool of which calls back in its turn."""
        ended = threading.Event()
        trial.threads.append(ended)
        try:
            return anyio.from_thread.run(inner.prompt, "go").text
        finally:
            ended.set()

    return victim


def an_agent(trial: Trial) -> Tool:
    child = Agent(ScriptedModel(call("victim")), tools=[an_async_one(trial)], name="child")
    asked = child.as_tool("victim", "Ask.")
    return evolve(asked, bind=lambda _: {"request": "?"}, parameters={"type": "object"})


KINDS = [
    an_async_one,
    one_whose_clean_up_fails,
    a_plain_one,
    a_plain_one_that_calls_back,
    a_plain_one_that_asks_an_agent,
    an_agent,
]


# The ways.


async def cancel_the_tool(trial: Trial) -> None:
    assert trial.run is not None
    trial.run.cancel_tool("victim")


async def abort(trial: Trial) -> None:
    trial.agent.abort()


async def steer(trial: Trial) -> None:
    trial.agent.steer("Stop that.", interrupt=True)


async def cut(trial: Trial) -> None:
    assert trial.run is not None
    trial.run.interrupt()


async def reach_the_time_limit(trial: Trial) -> None:
    del trial


async def reach_the_tools_timeout(trial: Trial) -> None:
    del trial


async def cancel_the_parent(trial: Trial) -> None:
    trial.parent.cancel()


async def leave_the_block(trial: Trial) -> None:
    trial.reading.cancel()


async def cancel_natively(trial: Trial) -> None:
    trial.task.cancel()


OF_THE_CALL = [cancel_the_tool, reach_the_tools_timeout]
IN_ORDER = [*OF_THE_CALL, abort, steer, cut, reach_the_time_limit]
FROM_OUTSIDE = [cancel_the_parent, leave_the_block, cancel_natively]

Way = Callable[[Trial], Awaitable[None]]


def prepared(trial: Trial, kind: Callable[[Trial], Tool], way: Way) -> Agent:
    """Make the agent, and a sibling of the call that ends once the call has."""
    over = anyio.Event()

    @tool
    async def sibling() -> str:
        """Wait for the other call."""
        await over.wait()
        return "unharmed"

    victim = kind(trial)
    if way is reach_the_tools_timeout:
        victim = evolve(victim, timeout=MOMENT)
    limits = Limits(seconds=MOMENT if way is reach_the_time_limit else None)
    calls = [call("victim", id="victim"), call("sibling", id="sibling")]
    agent = Agent(ScriptedModel(calls, "Gone on."), tools=[victim, sibling], limits=limits)

    @agent.hook("on_event")
    def note(event: Event) -> None:
        if isinstance(event, ToolExecutionEnd) and event.call_id == "victim":
            over.set()

    return agent


async def carried_out(trial: Trial, way: Way) -> None:
    """Run the agent, and cut it off."""

    async def act() -> None:
        await trial.begun.wait()
        await way(trial)

    async def follow() -> None:
        if way is cancel_natively:
            trial.task = asyncio.current_task()
        with trial.parent:
            async with trial.agent.run("go") as trial.run:
                with trial.reading:
                    async for event in trial.run:
                        trial.events.append(event)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(act)
        tasks.start_soon(follow)


@pytest.mark.parametrize("way", [*IN_ORDER, *FROM_OUTSIDE], ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_a_call_that_is_cut_off(
    kind: Callable[[Trial], Tool], way: Way, anyio_backend_name: str
) -> None:
    if way is cancel_natively and anyio_backend_name != "asyncio":
        pytest.skip("only asyncio cancels tasks")
    trial = Trial()
    trial.agent = prepared(trial, kind, way)
    before = {task.id for task in anyio.get_running_tasks()}
    try:
        with anyio.fail_after(GUARD):
            await carried_out(trial, way)
        assert trial.open == 0
        assert {task.id for task in anyio.get_running_tasks()} == before
        gone = "timeout" if way is reach_the_tools_timeout else "interrupted"
        victim = "error" if kind is one_whose_clean_up_fails else gone
        sibling = "ok" if way in OF_THE_CALL else "interrupted"
        assert trial.outcomes() == [victim, sibling]
        check_events(trial.events, complete=way in IN_ORDER)
        check_transcript(trial.agent.messages)
        assert not trial.agent.state.running
        trial.agent.limits = Limits()
        trial.agent.clear_queues()
        trial.agent.model = ScriptedModel("Fine.")
        assert (await trial.agent.prompt("Go on.")).text == "Fine."
        check_transcript(trial.agent.messages)
    finally:
        trial.release.set()
        for ended in trial.threads:
            await anyio.to_thread.run_sync(ended.wait, GUARD)


@pytest.mark.parametrize("way", [abort, steer, cut, cancel_the_parent, leave_the_block])
async def test_what_a_model_writes_is_told_to_the_end(way: Way) -> None:
    """The same ways, while a reply arrives."""
    trial = Trial()
    trial.agent = Agent(ScriptedModel(["Hel", Pause(reached=trial.begun)], "Gone on."))
    with anyio.fail_after(GUARD):
        await carried_out(trial, way)
    check_events(trial.events, complete=way in IN_ORDER)
    check_transcript(trial.agent.messages)
    assert not trial.agent.state.running
