"""A call of a plain function that can be left: the process may end while the function still runs.

At its end a process waits for all threads but daemons. The worker threads of trio are daemons, those that anyio has on
asyncio are not. Such a worker has the function called by a daemon, and waits for it until the call is left.
"""

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from threading import Thread, current_thread
from typing import Generic, TypeVar

from anyio._core._eventloop import threadlocals  # what `anyio.from_thread` goes by

__all__ = ("LeavableCall",)

T = TypeVar("T")
S = TypeVar("S")


class LeavableCall(Generic[T]):
    """A call of a plain function, made once.

    Args:
        function: what to call.
    """

    __slots__ = ("_function", "_outcome")

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._outcome: Future[T] = Future()

    def make(self) -> T:
        """Call the function, in a worker thread.

        Returns:
            What the function returns.

        Raises:
            BaseException: what the function raises.
            concurrent.futures.CancelledError: the call was left.
        """
        if current_thread().daemon:
            return self._function()
        call = copy_context().run
        Thread(target=call, args=(self._make, dict(vars(threadlocals))), daemon=True).start()
        return self._outcome.result()

    def leave(self) -> None:
        """Let the worker thread go, from any thread; what the function returns or raises later is dropped."""
        self._outcome.cancel()

    def _make(self, of_worker: dict[str, object]) -> None:
        vars(threadlocals).update(of_worker)
        try:
            result = self._function()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - it is raised in the worker thread
            _settle(self._outcome.set_exception, error)
        else:
            _settle(self._outcome.set_result, result)


def _settle(how: Callable[[S], object], outcome: S) -> None:
    with suppress(InvalidStateError):  # the call was left
        how(outcome)
