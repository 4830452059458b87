"""Signals that ask the process to end: each is a cancellation, and has its exit code.

    when it comes                what it does
    before the event loop        raises KeyboardInterrupt
    while the event loop runs    cancels what runs there, which cleans up
    after that, or once more     nothing: the end has begun

Ctrl-C is in the hands of those who run something: it may interrupt a part of it.
"""

import os
import signal
import sys
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, Literal

import anyio
import anyio.from_thread
from anyio.lowlevel import current_token
from attrs import define, field

__all__ = ()

_ENDING: Final = tuple(
    signal.Signals[name]
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT")
    if name in signal.Signals.__members__
)
INTERRUPTED: Final = 128 + signal.SIGINT


@define(eq=False)
class EndSignals:
    """Whether the process has been asked to end, and how that reaches what it does."""

    received: int | None = field(default=None, init=False)
    """The first signal; those that follow change nothing."""
    _phase: Literal["starting", "running", "ending"] = field(default="starting", init=False)
    _cancel: Callable[[], object] = field(default=lambda: None, init=False)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that a signal has ended; None where there was none."""
        return None if self.received is None else 128 + self.received

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the signals while a block runs. Handlers that were there before are put back, that of Ctrl-C too."""
        if not can_take_signals():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDING)}
        for number in _ENDING:
            # `nohup` ignores SIGHUP, and so does what it starts.
            if number.name != "SIGHUP" or before[number] is not signal.SIG_IGN:
                signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler is not None:  # it can be read and put back only from C
                    signal.signal(number, handler)

    def _take(self, number: int, _: object) -> None:
        if self.received is not None:
            return
        self.received = number
        if self._phase == "starting":
            raise KeyboardInterrupt
        if self._phase == "running":
            # The event loop's own code may have been interrupted: it is asked from a thread.
            start_new_thread(self._cancel, ())

    @contextmanager
    def cancelling(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Let signals cancel a scope of this event loop while a block runs in it."""
        self._cancel = partial(_call_in_loop, scope.cancel, current_token())
        self._phase = "running"
        try:
            yield
        finally:
            self._phase = "ending"


def _call_in_loop(function: Callable[[], object], token: Any) -> None:
    with suppress(RuntimeError):  # the event loop has ended
        anyio.from_thread.run_sync(function, token=token)


def suspender() -> Callable[[], None]:
    """Return what suspends the process group, as a shell does; it is called in another thread.

    The signal is sent from the thread of the event loop, which is stopped before the call returns. Any other thread
    would go on for a moment, and change the modes of a terminal that the shell has by then.

    Returns:
        A function that returns when the process goes on; at once where there is nothing like it.
    """
    if sys.platform == "win32":
        return lambda: None
    return partial(_call_in_loop, partial(os.kill, 0, signal.SIGTSTP), current_token())


def can_take_signals() -> bool:
    """Say whether signals come to this thread."""
    return threading.current_thread() is threading.main_thread()


async def interrupted() -> None:
    """Wait for Ctrl-C.

    Cancellation:
        At once.
    """
    if not can_take_signals():
        await anyio.sleep_forever()
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            return
