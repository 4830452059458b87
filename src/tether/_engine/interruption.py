"""Interrupt what is in flight in a run, and end the run itself.

At most one request of a run is in flight: a reply that arrives, or a batch of calls. It is in one of these states:

    state         meaning                             `interrupt`                   the last listener leaves
    idle          nothing is in flight                does nothing                  -
    in_flight     a request is being performed        cancels it -> interrupted;    -
                                                      while listeners run -> due
    due           it is interrupted once no listener  does nothing                  cancels it -> interrupted
                  is in the middle of an event
    interrupted   its scope is cancelled              does nothing                  -

Entering `interruptible` makes it `in_flight`, and leaving it `idle`. How the run ends is apart: `ending` is set once,
by `abort`, by the time limit or by a failure, and requests from then on are answered with it.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Literal

import anyio

from tether._scopes.task_groups import within
from tether.limits import Limits
from tether.loop import End
from tether.taps import Tap

__all__ = ("RunControl",)


class RunControl:
    """What ends the request in flight, or the whole run.

    Args:
        limits: what the run may spend now; `seconds` counts from `start`.
        tap: sees what is done to the run.
    """

    __slots__ = ("_ending", "_limits", "_listeners", "_scope", "_started_at", "_state", "_tap")

    def __init__(self, limits: Callable[[], Limits], tap: Tap | None = None) -> None:
        self._limits = limits
        self._tap = tap
        self._started_at = 0.0
        self._ending: End | None = None
        self._state: Literal["idle", "in_flight", "due", "interrupted"] = "idle"
        self._scope: anyio.CancelScope | None = None
        self._listeners = 0

    def start(self) -> None:
        """Start the clock of the run; called inside the event loop."""
        self._started_at = anyio.current_time()

    @property
    def ending(self) -> End | None:
        """How the run ends, once that is known: requests from then on are answered with it."""
        return self._ending

    def end(self, end: End) -> None:
        """Have the run end, unless it ends already; what is in flight goes on."""
        self._ending = self._ending or end

    def interruptible(self) -> AbstractContextManager[None]:
        """Perform the request in the block, so that `interrupt` and the time limit end it: the block is left early.

        Where the time is up then, the run ends.
        """
        return _Interruptible(self)

    def begin_request(self) -> anyio.CancelScope:
        """Note that a request is in flight from now on, in the scope that is returned."""
        self._scope = anyio.CancelScope(deadline=self._deadline)
        self._state = "in_flight"
        return self._scope

    def end_request(self) -> None:
        """Note that it no longer is."""
        self._scope = None
        self._state = "idle"

    def end_in_time(self) -> None:
        """Have the run end where its time is up."""
        if anyio.current_time() >= self._deadline:
            self.end(End("limit", "seconds"))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Have `interrupt` wait for the block, in which a listener is given an event."""
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1
            if self._state == "due" and not self._listeners:
                self._cancel()

    def interrupt(self) -> None:
        """Interrupt the request in flight, if there is one; its performer returns what there is."""
        if self._tap is not None:
            self._tap.input("interrupt")
        self._interrupt()

    def _interrupt(self) -> None:
        if self._state == "in_flight":
            if self._listeners:
                self._state = "due"
            else:
                self._cancel()

    def abort(self) -> None:
        """End the run in order, now."""
        if self._tap is not None:
            self._tap.input("abort")
        self.end(End("aborted"))
        self._interrupt()

    def cancel_call(self, call_id: str, cancel: Callable[[], object]) -> None:
        """Cancel one running call, with what does that."""
        if self._tap is not None:
            self._tap.input("cancel_tool", call_id)
        cancel()

    def _cancel(self) -> None:
        self._state = "interrupted"
        if self._scope is not None:
            self._scope.cancel()

    @property
    def _deadline(self) -> float:
        seconds = self._limits().seconds
        return math.inf if seconds is None else self._started_at + seconds


class _Interruptible(AbstractContextManager[None]):
    """A class: a generator would keep the cancellation that it has caught, and with it the run, in a cycle."""

    __slots__ = ("_control", "_within")

    def __init__(self, control: RunControl) -> None:
        self._control = control

    def __enter__(self) -> None:
        self._within = within(self._control.begin_request())
        self._within.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._control.end_request()
        is_caught = self._within.__exit__(kind, error, traceback)
        if error is None or is_caught:
            self._control.end_in_time()
        return is_caught
