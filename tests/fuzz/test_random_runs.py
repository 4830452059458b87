"""Random programs under random schedules: whatever is done to a run, its promises hold.

A program is made from its seed (`random_agents.py`): tools of all kinds, children, hooks that wait and raise, limits,
consumers and branches of every kind. While it runs, messages are said, calls and runs are interrupted, aborted and
cancelled. The clock is virtual, and on trio the order of tasks comes from the seed too, so that a seed gives the same
run again, but for what worker threads do.

    pytest tests/fuzz                    some hundreds of runs
    pytest tests/fuzz --runs 5000        more
    pytest tests/fuzz --seed 123         the one run of a seed, from the text of a failure
"""

import asyncio
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from operator import add
from typing import Any

import anyio
import pytest
import trio
from attrs import define, field
from tests.fuzz.random_agents import Planted, World, make_world

from tether import (
    AgentEnd,
    Event,
    EventStream,
    Limits,
    MessageUpdate,
    ModelError,
    Run,
    RunResult,
    ToolExecutionUpdate,
    Usage,
)
from tether.errors import ConsumerTooSlowError
from tether.testing import Backend, ScriptedModel, check_events, check_transcript, virtual_clock

PATIENCE = 10_000.0
"""Seconds of the virtual clock: a program that is stuck gets there at once."""


@define
class Follower:
    """A consumer, and what it has got."""

    policy: Any
    stream: EventStream[Event, RunResult]
    leaves_after: float
    got: list[Event] = field(factory=list)
    left: bool = False
    too_slow: bool = False

    async def follow(self, world: World) -> None:
        try:
            async for event in self.stream:
                self.got.append(event)
                await world.pause(1)
                if len(self.got) >= self.leaves_after:
                    self.left = True
                    self.stream.close()
                    return
        except ConsumerTooSlowError:
            self.too_slow = True
        except (Planted, ModelError, anyio.ClosedResourceError, BaseExceptionGroup) as error:
            _expect_planted(error)


@define
class Trial:
    """One run of a random program."""

    world: World
    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    events: list[Event] = field(factory=list)
    followers: list[Follower] = field(factory=list)
    run: Run | None = None
    reads: bool = False
    is_left: bool = False
    """Whether the consumer stopped before the end."""
    disturbing: anyio.CancelScope = field(factory=anyio.CancelScope)
    raised: BaseException | None = None
    result: RunResult | None = None

    async def perform(self) -> None:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._disturb)
                with self.scope:
                    try:
                        await self._consume(tasks)
                    except Exception as error:  # noqa: BLE001 - looked at below
                        self.raised = error
                self.disturbing.cancel()
        if self.raised is not None:
            _expect_planted(self.raised)
        for model in self.world.models:
            assert model._complaint is None, model._complaint

    async def _consume(self, tasks: Any) -> None:
        world, rng = self.world, self.world.rng
        self.reads = world.chance(0.8)
        leaves_after = rng.randint(1, 30) if world.chance(0.15) else math.inf
        size = rng.choice([0, 0, 1, 2, 64])
        async with world.agent.run("go", max_buffer_size=size) as self.run:
            for _ in range(rng.choice([0, 0, 1, 2])):
                self._branch(self.run)
            for follower in self.followers:
                tasks.start_soon(follower.follow, world)
            if self.reads:
                async for event in self.run:
                    self.events.append(event)
                    await world.pause(1)
                    if len(self.events) >= leaves_after:
                        self.is_left = True
                        if world.chance(0.5):
                            raise Planted("the block")
                        return
            self.result = await self.run.result()

    def _branch(self, run: Run) -> None:
        world, rng = self.world, self.world.rng
        policy: Any = rng.choice(["wait", "drop_oldest", "fail"])
        stream = run.branch(rng.choice([0, 1, 2, 5, 100]), when_full=policy)
        leaves_after = rng.randint(1, 20) if world.chance(0.2) else math.inf
        self.followers.append(Follower(policy, stream, leaves_after))

    async def _disturb(self) -> None:
        """Do to the run what may be done to it; in the end, end it."""
        with self.disturbing:
            await self._do_this_and_that()

    async def _do_this_and_that(self) -> None:
        world, rng = self.world, self.world.rng
        for _ in range(rng.choice([0, 1, 2, 3, 6])):
            await world.pause(30)
            if self.run is None:
                continue
            match rng.randrange(8):
                case 0:
                    self.run.interrupt()
                case 1 | 2 if running := self.run.running_tools:
                    self.run.cancel_tool(rng.choice(running))
                case 3 if world.contexts:
                    await rng.choice(world.contexts).update("late")
                case 4 if world.chance(0.3):
                    self.scope.cancel()
                case _:
                    world.disturb()
        # Tools may hang. The clock is virtual: this takes no time.
        await anyio.sleep(rng.choice([3, 300]))
        world.agent.abort()

    # What must hold.

    async def check(self) -> None:
        world = self.world
        assert not world.agent.state.running
        check_transcript(world.agent.messages)
        self._check_events()
        await self._check_messages()
        self._check_usage()
        world.agent.hooks = type(world.agent.hooks)()
        world.agent.model, world.agent.limits = ScriptedModel("Fine."), Limits()
        world.agent.clear_queues()
        assert (await world.agent.prompt("Go on.")).text == "Fine."
        check_transcript(world.agent.messages)

    def _check_events(self) -> None:
        edited = self.world.replies_edited
        check_events(self.world.heard, complete=False, replies_edited=edited)
        whole = self.reads and not self.is_left and not self.scope.cancelled_caught
        if self.reads:
            check_events(self.events, complete=whole, replies_edited=edited)
        for follower in self.followers if whole else ():
            expected, got = self.events, follower.got
            if follower.policy == "drop_oldest":
                expected, got = _firm(expected), _firm(got)
            if follower.left or follower.too_slow:
                expected = expected[: len(got)]
            assert got == expected, f"a branch ({follower.policy}) got something else"

    async def _check_messages(self) -> None:
        """Each message that was accepted is in exactly one place."""
        world = self.world
        if self.run is not None and self.result is None:
            # Whoever left the block before the end finds it still.
            with suppress(Planted, ModelError, anyio.ClosedResourceError, BaseExceptionGroup):
                self.result = await self.run.result()
        state = world.agent.state
        places = [
            *world.agent.messages,
            *(self.result.undelivered if self.result is not None else ()),
            *state.steering,
            *state.follow_ups,
            *world.taken_back,
        ]
        found = [message.id for message in places]
        for message in world.said:
            assert found.count(message.id) == 1, (
                f"{message.text!r} is in {found.count(message.id)} places"
            )

    def _check_usage(self) -> None:
        if self.run is None:
            return
        arrived = reduce(add, self.world.arrived.values(), Usage())
        usage = self.run.usage
        assert usage.input_tokens >= arrived.input_tokens
        assert usage.output_tokens >= arrived.output_tokens
        assert usage.estimated or usage == arrived
        if self.result is not None:
            assert self.result.usage == usage
        if self.events and isinstance(self.events[-1], AgentEnd):
            assert self.events[-1].usage == usage


def _firm(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, MessageUpdate | ToolExecutionUpdate)]


def _expect_planted(error: BaseException) -> None:
    """Raise what is not there on purpose."""
    match error:
        case Planted() | ModelError() | anyio.ClosedResourceError():
            return
        case BaseExceptionGroup(exceptions=members):
            for member in members:
                _expect_planted(member)
        case _:
            raise error


def play(seed: int, backend: str) -> None:
    """Run the program of a seed, and check what it leaves."""

    async def main() -> None:
        before = {task.id for task in anyio.get_running_tasks()}
        trial = Trial(make_world(seed))
        await trial.perform()
        await trial.check()
        left = [task for task in anyio.get_running_tasks() if task.id not in before]
        assert not left, f"tasks are left: {left}"

    name: Backend = "trio" if backend == "trio" else "asyncio"
    _, options = virtual_clock(name)
    if backend == "eager":
        make: Any = options["loop_factory"]
        options["loop_factory"] = lambda: _with_eager_tasks(make())
    try:
        anyio.run(main, backend=name, backend_options=options)
    except BaseException as error:
        raise AssertionError(f"pytest tests/fuzz -k {backend} --seed {seed}: {error}") from error


def _with_eager_tasks(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


BACKENDS = ["asyncio", "trio", *(["eager"] if sys.version_info >= (3, 12) else [])]


@pytest.mark.parametrize("backend", BACKENDS)
def test_whatever_is_done_to_a_run_its_promises_hold(
    backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed: int | None = request.config.getoption("--seed")
    runs: int = request.config.getoption("--runs")
    scheduler: Any = trio._core._run
    monkeypatch.setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    for number in range(runs) if seed is None else [seed]:
        scheduler._r.seed(number)
        play(number, backend)
