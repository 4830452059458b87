"""The pulls of all runs that a driver has on a worker, gathered into one: a call of Ray costs far more than a batch.

Each pull says of every run that waits how far its driver is. The worker answers with what it has for any of them, and
answers an earlier pull with nothing. Runs that wait on belong to the next pull.
"""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Final

from anyio.lowlevel import EventLoopToken, checkpoint, current_token
from attrs import define, field

from tether._scopes.loop_call import Waiter
from tether.errors import WorkerLostError
from tether.ray.exchange import Batch

__all__ = ("Pulls",)

_TURNS: Final = 3
"""Turns of the event loop in which runs that were answered together are ready together."""


@define(eq=False)
class _Waiting:
    """A run that waits for its next batch."""

    after: int
    """The number of the last item that it has."""
    loop: EventLoopToken = field(factory=current_token)
    waiter: Waiter = field(factory=Waiter)
    given: Batch | WorkerLostError | None = None

    def give(self, given: Batch | WorkerLostError) -> None:
        self.given = given
        self.waiter.wake()


class Pulls:
    """What the runs on one worker wait for.

    They may be in several event loops, any of which may be blocked: so where a pull is due, one run of each loop is
    about to send it, and the first that comes to it does.

    Args:
        send: sends a pull to the worker: its number, and for each run the number of the last item that it has. What
            comes of it is for `answer` or `fail`, in any thread.
    """

    def __init__(self, send: Callable[[int, Mapping[str, int]], object]) -> None:
        self._send = send
        self._lock = Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._number = 0
        # How many runs the last pull was for.
        self._together = 1
        # The loops in which one is about to send the next pull; empty where none is due.
        self._senders: set[EventLoopToken] = set()

    async def next(self, run: str, after: int, *, hurry: bool) -> Batch:
        """Wait for what a run says behind an item, which is thereby confirmed.

        Args:
            run: its id.
            after: the number of the item.
            hurry: whether a tool waits for that: it is confirmed before anything else happens here.

        Raises:
            WorkerLostError: the worker is gone.

        Cancellation:
            At once; nothing is lost.
        """
        waiting = _Waiting(after)
        with self._lock:
            self._waiting[run] = waiting
            sends = hurry or waiting.loop not in self._senders
            self._senders.add(waiting.loop)
        try:
            while waiting.given is None:
                if sends:
                    await self._send_soon(at_once=hurry)
                await waiting.waiter.wait()
                with self._lock:
                    sends = waiting.given is None
                    if sends:
                        waiting.waiter = Waiter()
        finally:
            with self._lock:
                self._waiting.pop(run, None)
                if self._senders:
                    self._appoint()
        if isinstance(waiting.given, WorkerLostError):
            raise WorkerLostError(str(waiting.given)) from waiting.given
        return waiting.given

    def answer(self, number: int, batches: Iterable[Batch]) -> None:
        """Take the answer to a pull."""
        with self._lock:
            for batch in batches:
                waiting = self._waiting.get(batch.run)
                # A pull that came later may have been answered with the same.
                if waiting is not None and waiting.after == batch.after:
                    del self._waiting[batch.run]
                    waiting.give(batch)
            if number == self._number and not self._senders:
                self._appoint()

    def fail(self, error: WorkerLostError) -> None:
        """Have all that wait fail."""
        with self._lock:
            for waiting in self._waiting.values():
                waiting.give(error)
            self._waiting.clear()
            self._senders.clear()

    async def _send_soon(self, *, at_once: bool) -> None:
        """Send a pull for all that wait by then; a run that is alone has nobody to wait for."""
        is_alone = max(self._together, len(self._waiting)) == 1
        for _ in range(0 if at_once or is_alone else _TURNS):
            await checkpoint()
        self._send_due()

    def _send_due(self) -> None:
        with self._lock:
            if not self._senders or not self._waiting:
                return
            self._senders.clear()
            self._number += 1
            number, wanted = self._number, {run: one.after for run, one in self._waiting.items()}
            self._together = len(wanted)
        try:
            self._send(number, wanted)
        except Exception:
            self._senders.add(
                current_token()
            )  # whoever is next learns for itself why it cannot be sent
            raise

    def _appoint(self) -> None:
        """Have one of those that wait in each loop send the next pull; where none does, none is due."""
        self._senders.clear()
        for waiting in self._waiting.values():
            if waiting.loop not in self._senders:
                self._senders.add(waiting.loop)
                waiting.waiter.wake()
