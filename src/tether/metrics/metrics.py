"""Watch agents, hosts and the event loop."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Final

import anyio
from attrs import define

from tether import Agent, Event, RunContext, UsageError
from tether.hooks import Hooks
from tether.metrics._prometheus import CollectorRegistry, ProcessCollector
from tether.metrics.families import Families, families
from tether.metrics.run_meter import RunMeter

__all__ = ("Metrics",)

_OUTERMOST: Final = -2000


class Metrics:
    """Metrics of the agents that it watches, in a registry of its own.

    Attributes:
        registry: the registry. Further metrics may be added to it.
        families: the metrics of tether in it.
    """

    def __init__(self) -> None:
        self.registry: CollectorRegistry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.families: Families = families(self.registry)
        self._going: set[RunMeter] = set()
        self._viewers: list[Callable[[], int]] = []
        self._run = ContextVar[RunMeter | None]("tether-metrics-run", default=None)
        self.families.unread.set_function(self._unread)
        self.families.viewers.set_function(lambda: sum(count() for count in self._viewers))

    def watch(self, agent: Agent) -> None:
        """Count and measure the runs of an agent, and of agents inside its tools.

        Args:
            agent: the agent, between runs. An agent that is watched already stays so.
        """
        if self._around_run not in agent.hooks.functions("around_run"):
            agent.hooks.add("around_run", self._around_run, depth=_OUTERMOST)
            self._listen(agent.hooks)

    def count_viewers(self, viewers: Callable[[], int]) -> Callable[[], None]:
        """Add a number of viewers to those that `tether_viewers` counts.

        Args:
            viewers: returns how many there are now; called at each scrape, perhaps in another thread.

        Returns:
            A function that takes it away.
        """
        self._viewers.append(viewers)
        return lambda: self._viewers.remove(viewers)

    async def watch_loop(self, *, every: float = 0.5) -> None:
        """Measure how late the event loop is, for as long as this task goes.

        Args:
            every: seconds between two measurements.

        Raises:
            UsageError: that is no time to wait.

        Cancellation:
            At once.
        """
        if not every > 0:
            raise UsageError(f"every must be more than 0 seconds, not {every!r}")
        while True:
            due = time.perf_counter() + every
            await anyio.sleep(every)
            self.families.loop_lag.observe(max(time.perf_counter() - due, 0.0))

    def _listen(self, hooks: Hooks) -> None:
        if self._see not in hooks.functions("on_event"):
            hooks.add("on_event", self._see)

    def _see(self, event: Event) -> None:
        meter = self._run.get()
        if meter is not None:
            meter.see(event)

    def _around_run(self, run: RunContext) -> AbstractContextManager[None]:
        self._listen(run.hooks)  # those of a child are made anew for each call
        return _Measured(run, self.families, self._going, self._run)

    def _unread(self) -> int:
        return sum(meter.run.unread for meter in tuple(self._going))


@define
class _Measured(AbstractContextManager[None]):
    """A run while it goes, in its own task: what is set in the context stays there."""

    _run: RunContext
    _families: Families
    _going: set[RunMeter]
    _current: ContextVar[RunMeter | None]
    _meter: RunMeter | None = None

    def __enter__(self) -> None:
        is_part = self._run.depth > 0 and self._current.get() is not None
        self._meter = RunMeter(self._run, self._families, counts_cost=not is_part)
        self._going.add(self._meter)
        self._current.set(self._meter)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._meter is not None:
            self._going.discard(self._meter)
            self._meter.end(error)
