"""Drive one run of an agent: consumers of all kinds, and what must hold when it is over."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.lowlevel import checkpoint
from attrs import define, field

from tether import Agent, Event, EventStream, ModelError, Run, RunResult
from tether.errors import ConsumerTooSlowError
from tether.messages import Prompt, Queued
from tether.taps import Tap
from tether.testing.explore.checks import check_drive
from tether.testing.explore.model import SimulatedModel
from tether.testing.explore.store import SimulatedSession, SimulatedStore
from tether.testing.explore.tools import SimulatedError

if TYPE_CHECKING:
    from tether.testing.explore.simulation import Simulation

__all__ = ("Cast", "Drive", "Follower")

_SIZES: Final = (64, 0, 1, 2, math.inf)
_READS: Final = (
    "",
    "the consumer passes a checkpoint behind event",
    "the consumer takes a second for event",
    "the consumer stalls for 100 s at event",
    "the consumer leaves at event",
    "the consumer's block fails at event",
)
_STALLS: Final = (0, 0, 1, 100)


@define(eq=False)
class Cast:
    """An agent that answers to a simulation, and its parts."""

    agent: Agent
    model: SimulatedModel
    store: SimulatedStore
    session: SimulatedSession
    first: int
    """How many messages it had at first, which the session has not."""


@define(eq=False)
class Follower:
    """A further consumer, and what it has got."""

    policy: Any
    stream: EventStream[Event, RunResult]
    site: str
    got: list[Event] = field(factory=list[Event])
    left: bool = False
    too_slow: bool = False

    async def follow(self, sim: "Simulation") -> None:
        """Read to the end, or until it leaves."""
        try:
            async for event in self.stream:
                self.got.append(event)
                if await pause(sim, f"{self.site}.{len(self.got)}", _READS):
                    self.left = True
                    self.stream.close()
                    return
        except ConsumerTooSlowError:
            self.too_slow = True
        except Exception as error:  # noqa: BLE001 - what is wrong with it is noted
            if not expected(error):
                sim.fault("consumer", error)


async def pause(sim: "Simulation", site: str, words: tuple[str, ...]) -> int:
    """Take time over an event, if that is chosen.

    Returns:
        How the consumer stops reading: 1 it leaves, 2 it fails; 0 where it goes on.
    """
    answer = sim.choices.choose(site, len(words))
    if not answer:
        return 0
    sim.choices.told[site] = f"{words[answer]} {site.rpartition('.')[2]} ({site})"
    if answer >= len(_STALLS):
        return answer - len(_STALLS) + 1
    if answer == 1:
        await checkpoint()
    else:
        await anyio.sleep(_STALLS[answer])
    return 0


@define(eq=False)
class Drive:
    """One run of an agent, followed, disturbed and checked."""

    sim: "Simulation"
    cast: Cast
    prompt: Prompt | None
    number: int
    alone: bool = True
    """Whether no other drive has gone at the same time."""
    run: Run | None = None
    published: list[Event] = field(factory=list[Event])
    """The events in the order in which consumers may get them, whoever reads them."""
    events: list[Event] = field(factory=list[Event])
    """What the first consumer got."""
    heard: list[Event] | None = None
    """What a listener got, where there was one."""
    followers: list[Follower] = field(factory=list[Follower])
    said: list[Queued] = field(factory=list[Queued])
    taken_back: list[Queued] = field(factory=list[Queued])
    cancel: Callable[[], object] | None = None
    cancelled: bool = False
    reads: bool = True
    left: bool = False
    raised: BaseException | None = None
    result: RunResult | None = None
    arrived_before: Any = None

    def _choose(self, what: str, n: int, *words: str) -> int:
        return self.sim.choices.choose(f"drive.{self.number}.{what}", n, words)

    async def perform(self) -> RunResult | None:
        """Carry it out, and check what came of it; see `Simulation.drive`."""
        self.arrived_before = {
            cast.model: len(cast.model.arrived) for cast in self.sim.casts.values()
        }
        native = self._choose("native", 2, "", "the drive has a task of its own")
        agent = self.cast.agent
        unsubscribe = self._listen()
        untap = agent.tap(_Published(self.published, self.sim.trace))
        try:
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:
                    self.cancel = scope.cancel
                    if native:
                        await self.sim.backend.cancellable(
                            lambda: self._guarded(tasks), self._began
                        )
                    else:
                        await self._guarded(tasks)
                self.cancel = None
        finally:
            unsubscribe()
            untap()
        await self._settle()
        check_drive(self)
        if self.raised is not None and not expected(self.raised):
            raise self.raised
        return self.result

    def _began(self, cancel: Callable[[], object]) -> None:
        self.cancel = cancel

    async def _guarded(self, tasks: Any) -> None:
        try:
            await self._consume(tasks)
        except Exception as error:  # noqa: BLE001 - looked at when the drive is over
            self.raised = error

    async def _consume(self, tasks: Any) -> None:
        size = _SIZES[
            self._choose("buffer", len(_SIZES), *(f"the buffer holds {size}" for size in _SIZES))
        ]
        self.reads = not self._choose("unread", 2, "", "nobody reads the events")
        async with self.cast.agent.run(self.prompt, max_buffer_size=size) as self.run:
            for place in range(self._choose("branches", 3, "", "one branch", "two branches")):
                self._branch(self.run, place)
            for follower in self.followers:
                tasks.start_soon(follower.follow, self.sim)
            if self.reads and await self._read(self.run):
                return
            self.result = await self.run.result()

    async def _read(self, run: Run) -> bool:
        """Read events; return whether the block is left before the end."""
        async for event in run:
            self.events.append(event)
            how = await pause(self.sim, f"read.{self.number}.{len(self.events)}", _READS)
            if how:
                self.left = True
                if how == 2:
                    raise SimulatedError("the block fails")
                return True
        return False

    def _branch(self, run: Run, place: int) -> None:
        name = f"branch{place}"
        sizes = (0, 1, 2, 5, 100)
        size = sizes[self._choose(f"{name}.size", 5, *(f"{name} holds {size}" for size in sizes))]
        rules: Any = ("wait", "drop_oldest", "fail")
        rule = rules[self._choose(f"{name}.rule", 3, *(f"{name} when full: {r}" for r in rules))]
        stream = run.branch(size, when_full=rule)
        self.followers.append(Follower(rule, stream, f"read.{self.number}.{name}"))

    def _listen(self) -> Callable[[], object]:
        """Add a listener, if that is chosen; return what removes it."""
        words = ("", "a plain listener", "a listener that awaits")
        how = self._choose("listener", 3, *words)
        if not how:
            return lambda: None
        heard = self.heard = []

        def plain(event: Event) -> None:
            heard.append(event)

        async def awaiting(event: Event) -> None:
            number = len(heard)
            heard.append(event)
            site = f"listen.{self.number}.{number}"
            words = (
                "",
                "the listener passes a checkpoint at event",
                "the listener takes 1 s at event",
            )
            await pause(self.sim, site, words)

        hook: Any = plain if how == 1 else awaiting
        hooks = self.cast.agent.hooks
        hooks.add("on_event", hook, name="simulated listener")
        return lambda: hooks.remove("on_event", "simulated listener")

    async def _settle(self) -> None:
        """Look at the result of a run whose block was left before it was asked for."""
        if self.run is not None and self.result is None:
            with suppress(Exception):
                self.result = await self.run.result()


class _Published(Tap):
    """Sees the events of a run, and changes nothing."""

    def __init__(self, *logs: list[Any]) -> None:
        self._logs = logs

    def published(self, event: Event) -> None:
        for log in self._logs:
            log.append(event)


def expected(error: BaseException) -> bool:
    """Say whether an exception comes from what the simulation had fail."""
    if isinstance(error, BaseExceptionGroup):
        members: tuple[BaseException, ...] = error.exceptions
        return all(expected(member) for member in members)
    return isinstance(error, SimulatedError | ModelError | anyio.ClosedResourceError)
