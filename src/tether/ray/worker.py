"""A worker: an actor that hosts any number of runs, in its event loop."""

import os
import pickle
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import anyio
from attrs import define, field, frozen

from tether._scopes.loop_call import LoopCaller
from tether._scopes.task_groups import Tasks, open_task_group
from tether.agent import Agent
from tether.errors import UsageError
from tether.limits import Spent
from tether.ray.exchange import UNKNOWN, Batch, Ended, Order, Start
from tether.ray.hosted import HostedRun, portable
from tether.ray.lease import Lease, watched
from tether.ray.outbox import Bell, Mirror, Outbox
from tether.ray.packing import pack
from tether.session.entries import Entry

__all__ = ("Actor", "Worker")

_KEPT: Final = 256
"""Conversations that a worker keeps between runs."""
_ANSWER: Final = 32 * 1024
"""Bytes of a pull's answer from which on further runs wait for the next one: Ray wants less than 100 KiB."""
_CLOSING: Final = 2.0
"""Seconds that runs have to end when the driver is gone."""


@define(eq=False)
class _Seat:
    """A run by its id, from the first that is heard of it: what comes first may be any call."""

    early: list[tuple[int, Order]] = field(factory=list[tuple[int, Order]])
    closed: bool = False
    failed: bool = False
    """Whether the run could not be made."""
    run: HostedRun | None = None


@frozen
class _Conversation:
    """A conversation, between the runs that continue it."""

    agent: Agent
    session: Mirror

    def go_on(self, entries: Sequence[Entry], outbox: Outbox) -> None:
        """Have another run, behind what was said elsewhere."""
        self.session.outbox = outbox
        for entry in entries:
            self.session.adopt(entry)
        if entries:
            self.session.catch_up()  # the driver has them
            self.take_up()

    def take_up(self) -> None:
        """Give the agent the conversation as it is kept."""
        self.agent.reset(self.session.messages, open_calls=self.session.open_calls)


class Worker:
    """What hosts the runs. Its methods are called by the driver.

    Args:
        linger: seconds for which deltas may wait for others.
    """

    def __init__(self, linger: float) -> None:
        self._linger = linger
        self._seats: dict[str, _Seat] = {}
        self._agents: OrderedDict[str, _Conversation] = OrderedDict()
        self._tasks: Tasks | None = None
        self._loop: LoopCaller | None = None
        # The number and the bell of the last pull.
        self._pulled = 0
        self._bell = Bell()
        self._serving = anyio.Event()
        self._over = threading.Event()

    async def serve(self) -> None:
        """Be the scope of all runs, until `stop`.

        Cancellation:
            Cancels the runs, and passes on.
        """
        self._loop = LoopCaller()
        try:
            async with open_task_group() as tasks:
                self._tasks = tasks
                self._serving.set()
                await anyio.sleep_forever()
        finally:
            self._over.set()

    async def ready(self) -> int:
        """Wait until it serves, and return the id of its process.

        Cancellation:
            At once.
        """
        await self._serving.wait()
        return os.getpid()

    async def stop(self) -> None:
        """Cancel all runs, and wait until they have cleaned up.

        Cancellation:
            At once; the runs end all the same.
        """
        await self._serving.wait()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
        for seat in [*self._seats.values()]:
            if seat.run is not None:
                await seat.run.over.wait()

    async def start(self, start: Start) -> Batch | str:
        """Start a run, and wait for its first events.

        Returns:
            The events; `UNKNOWN` where the conversation is not here.

        Cancellation:
            At once; the run goes on.
        """
        await self._serving.wait()
        seat = self._seats.setdefault(start.run, _Seat())
        if seat.closed or self._tasks is None:
            del self._seats[start.run]
            return Batch(start.run, 0, pack([]), Spent())
        outbox = Outbox()
        try:
            agent = self._agent(start, outbox)
        except Exception as error:  # noqa: BLE001 - raised at the driver
            seat.failed = True
            return Batch(start.run, 0, pack([Ended(error=portable(error))]), Spent())
        if agent is None:
            return UNKNOWN
        seat.run = HostedRun(start, agent, outbox)
        for number, order in seat.early:
            seat.run.take(number, order)
        self._tasks.start_soon(seat.run.carry_out)
        bell = Bell()
        outbox.confirm(0, bell)
        await bell.wait(self._linger)
        return seat.run.batch()

    async def pull(self, number: int, wanted: Mapping[str, int]) -> Sequence[Batch]:
        """Wait for what runs have to say.

        Args:
            number: that of the pull, by which one that was overtaken is known.
            wanted: for each run, the number of the last item that the driver has, which is thereby confirmed.

        Returns:
            A batch for each run that has something, up to so many bytes; none where another pull came after it.

        Cancellation:
            At once; nothing is lost.
        """
        if number < self._pulled:
            return []
        self._pulled = number
        self._bell.ring(hurry=True)
        # What has waited for more already does not begin to wait anew.
        bell = self._bell = Bell(self._bell.due)
        seats = (self._seats.get(run) for run in wanted)
        runs = [seat.run for seat in seats if seat is not None and seat.run is not None]
        for run in runs:
            run.outbox.confirm(wanted[run.id], bell)
        await bell.wait(self._linger)
        if self._pulled != number:
            return []
        self._bell = Bell()
        return _batches(runs)

    async def order(self, run: str, number: int, order: Order) -> None:
        """Take an order for a run."""
        seat = self._seats.setdefault(run, _Seat())
        if seat.run is None:
            seat.early.append((number, order))
        else:
            seat.run.take(number, order)

    async def close(self, run: str, after: int) -> Batch:
        """Cancel a run if it still goes, wait until it has cleaned up, and give what is left to say.

        One that has not been heard of yet will not start.

        Cancellation:
            At once; the run ends all the same.
        """
        seat = self._seats.setdefault(run, _Seat())
        seat.closed = True
        if seat.failed:
            del self._seats[run]
        if seat.run is None:  # a start that is on its way takes the seat away
            return Batch(run, after, pack([]), Spent())
        seat.run.scope.cancel()
        await seat.run.over.wait()
        self._seats.pop(run, None)
        seat.run.outbox.confirm(after)
        return seat.run.batch()

    def _agent(self, start: Start, outbox: Outbox) -> Agent | None:
        """Find the agent of a conversation, or make it; None where what is known of it is not here."""
        kept = self._agents.pop(start.conversation, None)
        if start.known is None:
            kept = _made(start, outbox)
        elif kept is None or kept.session.head != start.known:
            return None
        else:
            kept.go_on(start.entries, outbox)
        self._agents[start.conversation] = kept
        while len(self._agents) > _KEPT:
            self._agents.popitem(last=False)
        return kept.agent

    def stop_from_thread(self, seconds: float) -> None:
        """Cancel all runs, and wait so long for them to clean up. This is called in a thread."""
        if self._loop is not None and self._tasks is not None:
            self._loop.call(self._tasks.cancel_scope.cancel)
            self._over.wait(seconds)


class Actor(Worker):
    """A worker in a process of its own.

    Args:
        lease: seconds for which the driver may be silent.
        linger: see `Worker`.
    """

    def __init__(self, lease: float, linger: float) -> None:
        watched()
        super().__init__(linger)
        self._lease = Lease(lease, self._abandoned)

    async def beat(self) -> None:
        """Hear that the driver is there."""
        self._lease.renew()

    def _abandoned(self) -> None:
        """End: the driver is gone. This is called in a thread."""
        self.stop_from_thread(_CLOSING)
        os._exit(1)


def _batches(runs: Iterable[HostedRun]) -> list[Batch]:
    batches: list[Batch] = []
    size = 0
    for run in runs:
        if size < _ANSWER and run.outbox.has_items:
            batches.append(run.batch())
            size += len(batches[-1].items)
    return batches


def _made(start: Start, outbox: Outbox) -> _Conversation:
    """Make the agent of a conversation."""
    agent: object = pickle.loads(start.make)()
    if not isinstance(agent, Agent):
        raise UsageError(f"make_agent must return an Agent, not {agent!r}")
    if agent.session is not None or agent.messages:
        raise UsageError(
            "the conversation is at the driver: give `session` and `messages` to Cluster.agent, "
            "not to the agent that make_agent makes"
        )
    session = agent.session = Mirror(start.entries, outbox)
    if start.entries:
        session.fork(start.entries[-1].id)
    conversation = _Conversation(agent, session)
    conversation.take_up()
    return conversation
