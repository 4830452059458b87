"""A store that fails, hangs and is late, where that is chosen, and the session over it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import anyio

from tether.session import Entry, Session
from tether.testing.explore.choices import Choices
from tether.testing.explore.tools import SimulatedError

__all__ = ("SimulatedBatchStore", "SimulatedSession", "SimulatedStore")

_FLUSH: Final = ("", "the store takes a second", "the store takes an hour", "the store fails late")
_SECONDS: Final = (0.0, 1.0, 3600.0, 2.0)


class SimulatedStore:
    """A store that answers to a simulation.

    Args:
        choices: answer which entries it takes.
        label: what stands before the number of an entry in the names of sites.
    """

    def __init__(self, choices: Choices, label: str) -> None:
        self.choices = choices
        self.label = label
        self.kept: list[Entry] = []
        self.failed: bool = False
        self._tries = 0

    def entries(self) -> Iterable[Entry]:
        """Give none: it begins empty."""
        return ()

    def append(self, entry: Entry) -> None:
        """Keep an entry, or fail."""
        self._try()
        self.kept.append(entry)

    def _try(self) -> None:
        number, self._tries = self._tries, self._tries + 1
        words = ("", f"the store fails at entry {number + 1}")
        if self.choices.choose(f"keep{self.label}.{number}", 2, words):
            self.fail()

    def fail(self) -> None:
        """Fail."""
        self.failed = True
        raise SimulatedError("the store fails")

    def close(self) -> None:
        """Nothing is open."""


class SimulatedBatchStore(SimulatedStore):
    """A store that takes a while."""

    def append_all(self, entries: Sequence[Entry]) -> None:
        """Keep entries, or fail."""
        self._try()
        self.kept.extend(entries)


class SimulatedSession(Session):
    """A session that writes without a thread, over a store of the simulation.

    Args:
        store: the store.
        now: seconds since the epoch.
        new_id: makes the ids of entries.
    """

    def __init__(
        self, store: SimulatedStore, now: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        super().__init__(store, now=now, new_id=new_id)
        self.simulated: SimulatedStore = store
        self._flushes = [0]

    async def flush(self) -> None:
        """Write what is behind, once the store has taken its time.

        Raises:
            SimulatedError: the store fails.

        Cancellation:
            At once; what is behind may have been written all the same, as by a thread that goes on.
        """
        if not self.behind:
            return
        store = self.simulated
        number = self._flushes[0]
        self._flushes[0] += 1
        how = store.choices.choose(f"keep{store.label}.flush.{number}", len(_FLUSH), _FLUSH)
        try:
            await anyio.sleep(_SECONDS[how])
        except anyio.get_cancelled_exc_class():
            site = f"keep{store.label}.written.{number}"
            if store.choices.choose(site, 2, ("", "what the store was given up with is written")):
                store.kept += self.behind
                self._backlog.clear()
            raise
        if how == 3:
            store.fail()
        self.catch_up()
