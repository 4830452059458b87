"""One run at a time: who comes first goes first, and the others wait in line.

The line is a deque, and the turn at its head is the one that goes: so a run that is over and the next that begins
change places in one step, and nobody enters between them. Its operations are atomic, so that the line serves several
event loops and threads at once without a lock.
"""

from collections import deque
from collections.abc import Iterable

from tether._loop_call import Waiter

__all__ = ("Turn", "Turns")


class Turn:
    """A place in the line, from when it is taken until it is over."""

    __slots__ = ("_line", "_turns", "_waiter")

    def __init__(self, turns: "Turns", line: "deque[Turn]") -> None:
        self._turns = turns
        self._line = line
        self._waiter: Waiter | None = None
        line.append(self)

    @property
    def has_come(self) -> bool:
        """Whether it stands at the head of the line."""
        try:
            return self._line[0] is self
        except IndexError:
            return False

    async def come(self) -> None:
        """Wait until those before it are over.

        Cancellation:
            At once; the place in the line is kept until `over` is called.
        """
        while not self.has_come:
            self._waiter = Waiter()
            if not self.has_come:
                await self._waiter.wait()

    def over(self) -> None:
        """Leave the line, also before the turn has come; a second time it does nothing."""
        try:
            self._line.remove(self)
        except ValueError:
            return
        self._turns.go_on()

    def wake(self) -> None:
        if self._waiter is not None:
            self._waiter.wake()


class Turns:
    """The line of one agent."""

    __slots__ = ("_line", "_watchers")

    def __init__(self) -> None:
        self._line: deque[Turn] = deque()
        self._watchers: deque[Waiter] = deque()

    @property
    def taken(self) -> bool:
        """Whether a run goes, or is about to."""
        return bool(self._line)

    def join(self) -> Turn:
        """Take the next place in the line."""
        return Turn(self, self._line)

    def take_nowait(self) -> Turn | None:
        """Take the turn if nobody else has it or waits for it; None if somebody does."""
        turn = self.join()
        if turn.has_come:
            return turn
        turn.over()
        return None

    async def wait_free(self) -> None:
        """Wait until nobody has the turn, or waits for it.

        Cancellation:
            At once.
        """
        while self.taken:
            watcher = Waiter()
            self._watchers.append(watcher)
            try:
                if self.taken:
                    await watcher.wait()
            finally:
                self._watchers.remove(watcher)

    def go_on(self) -> None:
        """Wake who is next; with nobody in line, those who wait for that."""
        for waiter in self._next():
            waiter.wake()

    def _next(self) -> Iterable[Turn | Waiter]:
        try:
            return (self._line[0],)
        except IndexError:
            return tuple(self._watchers)
