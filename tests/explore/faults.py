"""Faults that tether once had, or nearly: each is put back by a patch, and the simulation has to find it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from attrs import frozen
from tests.explore.programs import quick, spread

from tether import Agent
from tether._channel.broadcast import Broadcast
from tether._channel.channel import State
from tether._engine import driver
from tether._engine.publisher import Publisher
from tether._engine.reports import Reports
from tether.hooks import call_hook
from tether.testing.explore import Simulation
from tether.testing.explore.trial import Program
from tether.tools import ToolContext


@frozen
class PutBack:
    """A fault, how it is put back, and the program in which it shows."""

    name: str
    patch: Callable[[pytest.MonkeyPatch], None]
    program: Program
    kinds: frozenset[str]
    """The kinds of faults that it may show as."""


async def plain(sim: Simulation) -> None:
    """An agent with two tools."""
    await sim.drive(sim.agent(Agent(tools=[quick, spread])), "Go.")


async def parent(sim: Simulation) -> None:
    """An agent with a child."""
    child = sim.agent(Agent(name="child"))
    await sim.drive(sim.agent(Agent(tools=[child.as_tool("ask", "Ask a child.")])), "Go.")


async def listened(sim: Simulation) -> None:
    """An agent with a listener that awaits."""

    async def listen(_: object) -> None:
        await checkpoint()
        await checkpoint()

    agent = sim.agent(Agent(tools=[quick]))
    agent.subscribe(listen)
    await sim.drive(agent, "Go.")


def announce_what_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    """A run that is closed says that a message has ended, though the store has failed to keep it."""
    patch.setattr(Publisher, "cut", lambda _: None)


def report_after_the_end(patch: pytest.MonkeyPatch) -> None:
    """What a call reports is neither dropped nor waited for at its end."""

    async def delivered(_: Reports) -> None: ...

    patch.setattr(Reports, "close", lambda _: None)
    patch.setattr(Reports, "delivered", delivered)


def lose_what_a_listener_was_given(patch: pytest.MonkeyPatch) -> None:
    """An event is not sent to consumers where a listener is cut off in the middle of it."""

    async def publish(self: Any, event: Any) -> None:
        if self.offer(event):
            return
        if listeners := self._hooks.at("on_event"):
            with self._control.listening():
                for hook in listeners:
                    await call_hook(hook, event)
        self._put(event)
        await self.send_waiting()

    patch.setattr(Publisher, "publish", publish)


def lose_tokens_of_a_child(patch: pytest.MonkeyPatch) -> None:
    """What a child has spent counts only where its run went well."""
    spend = ToolContext.spend

    def only_without_an_error(self: Any, usage: Any, cost: float = 0.0) -> None:
        import sys

        if sys.exc_info()[0] is None:
            spend(self, usage, cost)

    patch.setattr(ToolContext, "spend", only_without_an_error)


def wake_nobody_for_a_branch(patch: pytest.MonkeyPatch) -> None:
    """A branch without a buffer that begins to wait does not wake the sender that waits for it."""

    def make_room(self: Any, channel: Any) -> None:
        if channel.state is State.DISCARDING:
            channel.reopen()
            self._regroup()
        if channel.max_buffer_size or channel is self.channels[0]:
            self.room_made()

    patch.setattr(Broadcast, "make_room", make_room)


def go_on_after_a_store_has_failed(patch: pytest.MonkeyPatch) -> None:
    """A message that the store did not take is left out, and what follows it is told."""

    def close_nowait(self: Any) -> None:
        with suppress(Exception):
            self._record()
            if not self._published:
                self._services.publisher.publish_nowait(self._event)

    patch.setattr(driver._Announcement, "close_nowait", close_nowait)


FAULTS = (
    PutBack(
        "a message announced though not kept",
        announce_what_is_not_kept,
        plain,
        frozenset({"kept", "session"}),
    ),
    PutBack("an update after its call's end", report_after_the_end, plain, frozenset({"events"})),
    PutBack(
        "a call's end missing where a listener awaits",
        lose_what_a_listener_was_given,
        listened,
        frozenset({"events"}),
    ),
    PutBack(
        "a cancelled child's tokens lost", lose_tokens_of_a_child, parent, frozenset({"usage"})
    ),
    PutBack("deadlock of a size-0 branch", wake_nobody_for_a_branch, plain, frozenset({"end"})),
    PutBack(
        "grammar after a store failed",
        go_on_after_a_store_has_failed,
        plain,
        frozenset({"events"}),
    ),
)
