"""One run of an agent at a time: who comes first goes first, and the others wait in line.

The line is a list, and the place at its head is that of the run that goes: so a run that is over and the next that
begins change places in one step, and nobody enters between them. Its operations are atomic, so that the line serves
several event loops and threads at once without a lock.
"""

from collections.abc import Iterable
from typing import ClassVar

from tether._scopes.loop_call import Waiter
from tether._scopes.owned import Owned

__all__ = ("Line", "Place")


class Place(Owned):
    """A place in the line, from when it is taken until it is left."""

    __slots__ = ("_line", "_places", "_waiter")

    _INSTEAD: ClassVar[str] = "; a run of the agent is going, or waits for its turn"

    def __init__(self, line: "Line", places: "list[Place]") -> None:
        self._line = line
        self._places = places
        self._waiter: Waiter | None = None
        places.append(self)

    @property
    def is_first(self) -> bool:
        """Whether it stands at the head of the line."""
        try:
            return self._places[0] is self
        except IndexError:
            return False

    async def wait_first(self) -> None:
        """Wait until those before it are over.

        Cancellation:
            At once; the place is kept until `leave` is called.
        """
        while not self.is_first:
            self._waiter = Waiter()
            if not self.is_first:
                await self._waiter.wait()

    def leave(self) -> None:
        """Leave the line, from wherever in it; a second time it does nothing."""
        try:
            self._places.remove(self)
        except ValueError:
            return
        self._line.go_on()

    def wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()


class Line:
    """The line of one agent."""

    __slots__ = ("_places", "_watchers")

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._watchers: list[Waiter] = []

    @property
    def occupied(self) -> bool:
        """Whether a run goes, or is about to."""
        return bool(self._places)

    def join(self) -> Place:
        """Take the next place in the line."""
        return Place(self, self._places)

    def join_nowait(self) -> Place | None:
        """Take the first place; None if somebody has it already."""
        place = self.join()
        if place.is_first:
            return place
        place.leave()
        return None

    async def wait_empty(self) -> None:
        """Wait until nobody is in line.

        Cancellation:
            At once.
        """
        while self.occupied:
            watcher = Waiter()
            self._watchers.append(watcher)
            try:
                if self.occupied:
                    await watcher.wait()
            finally:
                self._watchers.remove(watcher)

    def go_on(self) -> None:
        """Wake who is next; with nobody in line, those who wait for that."""
        for waiter in self._next():
            waiter.wake()

    def _next(self) -> Iterable[Place | Waiter]:
        try:
            return (self._places[0],)
        except IndexError:
            return tuple(self._watchers)
