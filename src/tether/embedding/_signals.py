"""Signals that somebody else handles, overheard."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from socket import socket, socketpair

import anyio

__all__ = ("Signals", "overheard")


class Signals:
    """The signals that came. Made by `overheard`."""

    __slots__ = ("_heard",)

    def __init__(self, heard: socket) -> None:
        self._heard = heard

    async def wait(self) -> None:
        """Wait for the next signal.

        Cancellation:
            At once; no signal is lost.
        """
        await anyio.wait_readable(self._heard)
        self._heard.recv(1)


@contextmanager
def overheard(*numbers: int) -> Iterator[Signals]:
    """Hear of signals that Python functions handle already; these are still called.

    Signals without such a handler are left alone. In any thread but the main one, which alone may set handlers,
    nothing is heard.

    Args:
        numbers: which signals.

    Returns:
        A context manager that gives the signals.
    """
    heard, bell = socketpair()
    with heard, bell, ExitStack() as handlers:
        heard.settimeout(0)
        bell.settimeout(0)
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                handlers.enter_context(_handled_by_both(number, bell))
        yield Signals(heard)


@contextmanager
def _handled_by_both(number: int, bell: socket) -> Iterator[None]:
    handler = signal.getsignal(number)
    if not callable(handler):
        yield
        return
    both = _Both(handler, bell)
    signal.signal(number, both)
    try:
        yield
    finally:
        # A server may have put back what stood there before it.
        if signal.getsignal(number) is both:
            signal.signal(number, handler)


class _Both:
    """A signal handler that rings a bell, and calls the handler that was there."""

    __slots__ = ("_bell", "_handler")

    def __init__(self, handler: Callable[..., object], bell: socket) -> None:
        self._handler = handler
        self._bell = bell

    def __call__(self, number: int, frame: object) -> None:
        # Nothing else is safe here: a handler runs between any two instructions of the event loop.
        with suppress(OSError):
            self._bell.send(b"\0")
        self._handler(number, frame)
