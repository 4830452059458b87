"""The way into an event loop, for a thread without one that may be interrupted at any moment.

Python raises KeyboardInterrupt between any two instructions of the main thread. Where these are those of a lock that
the event loop needs too, as in a `concurrent.futures.Future`, the loop waits for ever for a lock that nobody gives
back, or the thread gets a RuntimeError in place of the KeyboardInterrupt. So they share no such lock. The thread puts
what it wants into one queue and waits for the outcome at another: both are `queue.SimpleQueue`, which is made to be
used in signal handlers. A byte through a socket wakes the event loop.

A thread may also work for somebody else's event loop, as `anyio.to_thread` lets it. Whenever it waits it then asks
whether its caller was cancelled. The event loop here is another all the same, in a thread of its own: so nothing of the
caller's is held but the thread that waits, and a caller whose loop is blocked meanwhile blocks nothing here.
"""

from _thread import start_new_thread
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from contextvars import copy_context
from inspect import isawaitable
from queue import Empty, SimpleQueue
from socket import socket, socketpair
from threading import Thread
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, overload

import anyio
import anyio.from_thread
from anyio.abc import TaskGroup
from attrs import field, frozen

from tether._scopes.task_groups import open_task_group
from tether.errors import UsageError

__all__ = ("Backend", "Portal", "backend_of_caller", "entered")

T = TypeVar("T")
C = TypeVar("C")
Backend = Literal["asyncio", "trio"]

_LONGEST_WAIT: Final = 0.5
"""Seconds. A signal that comes just before a thread waits does not wake it: so that Ctrl-C is seen, wake up."""
_LONGEST_WAIT_OF_WORKER: Final = 0.02
"""Seconds. A thread that works for an event loop is not woken when its caller is cancelled: it has to ask."""


@frozen
class _Returned(Generic[T]):
    value: T


@frozen
class _Raised:
    error: BaseException


_Outcome: TypeAlias = _Returned[T] | _Raised


@frozen(eq=False)
class _Call(Generic[T]):
    """Call a function."""

    function: Callable[[], Awaitable[T] | T]
    outcome: "SimpleQueue[_Outcome[T]]" = field(factory=SimpleQueue)


@frozen
class _Cancel:
    """Cancel a call."""

    call: _Call[Any]


@frozen
class _Leave:
    """Leave the context, by an exception or without."""

    error: BaseException | None


_Request: TypeAlias = _Call[Any] | _Cancel | _Leave


@contextmanager
def entered(
    manager: AbstractAsyncContextManager[C], *, backend: Backend
) -> Iterator[tuple[C, "Portal"]]:
    """Enter an async context manager, in an event loop and a thread of its own.

    Args:
        manager: what to enter, and to leave as the block is left.
        backend: the event loop to use.

    Returns:
        A context manager that gives what the async one gives, and the way to its event loop.

    Raises:
        Exception: what the async context manager raises.

    Cancellation:
        An exception that interrupts this thread, like KeyboardInterrupt, leaves the context and is raised when that is
        done. One that comes meanwhile waits for it too; a third does not. So does the cancellation of the caller, where
        this is a worker thread of anyio's: it is seen wherever the thread waits for the event loop here, but for the
        leaving itself.
    """
    portal = Portal(manager, backend)
    # Twice: an interruption may come just where the first is about to leave.
    with _left_at_the_end(portal), _left_at_the_end(portal):
        portal.start()
        yield portal.wait(portal.entering), portal


def backend_of_caller() -> Backend:
    """Say which event loop this thread works for; asyncio, if it works for none."""
    try:
        cancelled = anyio.from_thread.run_sync(anyio.get_cancelled_exc_class)
    except RuntimeError:
        return "asyncio"
    return "trio" if cancelled.__module__.partition(".")[0] == "trio" else "asyncio"


@contextmanager
def _left_at_the_end(portal: "Portal") -> Iterator[None]:
    """Leave the context as the block is left, and wait until that is done."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, portal.cancellation):
            # It belongs to another event loop, and nothing that happens in this one may stand for it.
            portal.leave(None)
            raise
        traceback = error.__traceback__
        portal.leave(error)
        # It was raised in the context too.
        error.__traceback__ = traceback
        if portal.failure is not None and portal.failure is not error:
            raise portal.failure  # noqa: ASYNC104, B904 - it stands for both
        raise
    portal.leave(None)
    if portal.failure is not None:
        raise portal.failure


class Portal:
    """Calls functions in an event loop, from any other thread. Made by `entered`."""

    __slots__ = (
        "_began",
        "_bell",
        "_calls",
        "_end",
        "_ended",
        "_entered",
        "_leaving",
        "_left",
        "_open",
        "_requests",
        "_thread",
        "cancellation",
        "entering",
        "failure",
    )

    def __init__(self, manager: AbstractAsyncContextManager[Any], backend: Backend) -> None:
        run = copy_context().run
        self._thread = Thread(
            target=run, args=(self._run, manager, backend), name="tether", daemon=True
        )
        self._requests: SimpleQueue[_Request] = SimpleQueue()
        # The calls that have begun, and what to cancel them by.
        self._open: dict[_Call[Any], anyio.CancelScope] = {}
        self._bell: socket | None = None
        # Where calls are performed, from when the context is entered until it is left.
        self._calls: TaskGroup | None = None
        self._leaving: _Leave | None = None
        self._end: SimpleQueue[None] = SimpleQueue()
        self._began = self._entered = self._left = self._ended = False
        self.entering: SimpleQueue[_Outcome[Any]] = SimpleQueue()
        """What entering the context came to."""
        self.failure: BaseException | None = None
        """What leaving the context raised, beyond what it was left by."""
        self.cancellation: type[BaseException] | tuple[()] = ()
        """What the cancellation of the caller that this thread works for is, once it was raised here."""

    # In the threads outside.

    @overload
    def call(self, function: Callable[[], Awaitable[T]]) -> T: ...
    @overload
    def call(self, function: Callable[[], T]) -> T: ...
    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the event loop, and wait until it is done.

        Args:
            function: what to call, async or not.

        Returns:
            What it returns.

        Raises:
            UsageError: the context was left before it was done.
            BaseException: what it raises.

        Cancellation:
            An exception that interrupts this thread, and the cancellation of its caller, cancel the function; it is not
            waited for.
        """
        call = _Call(function)
        try:
            self._request(call)
            return self.wait(call.outcome)
        except BaseException:
            self._request(_Cancel(call))
            raise

    def wait(self, outcomes: "SimpleQueue[_Outcome[T]]") -> T:
        """Wait for an outcome: return it, or raise it."""
        outcome: _Outcome[T] | None = None
        while outcome is None:
            longest = self._check_caller()
            ended = self._ended
            with suppress(Empty):
                outcome = outcomes.get(timeout=0 if ended else longest)
            if outcome is None and ended:
                raise _left()
        match outcome:
            case _Returned(value):
                return value
            case _Raised(error):
                raise error

    def start(self) -> None:
        """Enter the context, in a thread of its own; `entering` tells when that is done."""
        # By another thread: `Thread.start` waits by a lock, as this one must not.
        start_new_thread(self._thread.start, ())

    def leave(self, error: BaseException | None) -> None:
        """Have the context left, by an exception or without, and wait until that is done.

        The first who asks decides on the exception.
        """
        self._left = True
        self._request(_Leave(error))
        # What has not begun sees that it is not to begin.
        while self._began and not self._ended:
            # Not by `Thread.join`: interrupted there, a thread counts as ended that has not (before Python 3.13).
            with suppress(Empty):
                self._end.get(timeout=_LONGEST_WAIT)
        if self._ended:
            self._thread.join()

    def _check_caller(self) -> float:
        """Raise the cancellation of the caller that this thread works for, if it has one.

        Returns:
            How long to wait before the next look.
        """
        try:
            anyio.from_thread.check_cancelled()
        except RuntimeError:
            return _LONGEST_WAIT  # it works for nobody
        except BaseException as cancellation:
            self.cancellation = type(cancellation)
            raise
        return _LONGEST_WAIT_OF_WORKER

    def _request(self, request: _Request) -> None:
        self._requests.put(request)
        if self._bell is not None:
            # It is full, and so heard; or nobody listens any more.
            with suppress(OSError):
                self._bell.send(b"\0")

    # In the thread of the event loop.

    def _run(self, manager: AbstractAsyncContextManager[Any], backend: Backend) -> None:
        self._began = True
        try:
            heard, bell = socketpair()
            with heard, bell:
                heard.settimeout(0)
                bell.settimeout(0)
                self._bell = bell
                if not self._left:
                    anyio.run(self._serve, manager, heard, backend=backend)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - handed on to the thread that waits
            self.failure = error
            self.entering.put(_Raised(error))
        finally:
            self._ended = True
            self._end.put(None)
            self._refuse_requests()

    async def _serve(self, manager: AbstractAsyncContextManager[Any], heard: socket) -> None:
        error = None
        try:
            async with open_task_group() as tasks:
                left = anyio.Event()
                tasks.start_soon(self._read_requests, heard, left, tasks.cancel_scope)
                async with manager as entered:
                    self._entered = True
                    async with anyio.create_task_group() as calls:
                        self._calls = calls
                        try:
                            self.entering.put(_Returned(entered))
                            await left.wait()
                        finally:
                            # The context may be left by itself, as a run is whose caller was given up. What is asked
                            # for from now on is refused: a task group that has no tasks any more takes no new one.
                            self._calls = None
                        calls.cancel_scope.cancel()
                    error = None if self._leaving is None else self._leaving.error
                    if error is not None:
                        raise error
        except BaseException as raised:  # noqa: ASYNC103 - the thread raises what it left by itself
            if raised is not error:
                raise

    async def _read_requests(
        self, heard: socket, left: anyio.Event, everything: anyio.CancelScope
    ) -> None:
        """Do what is asked for, until the context is to be left; where it is still being entered, cancel that."""
        while self._leaving is None:
            with suppress(Empty):
                while self._leaving is None:
                    self._take(self._requests.get_nowait())
            if self._leaving is None:
                await anyio.wait_readable(heard)
                heard.recv(4096)
        left.set()
        if not self._entered:
            everything.cancel()

    def _take(self, request: _Request) -> None:
        match request:
            case _Leave():
                self._leaving = request
            case _Cancel(call):
                if call in self._open:
                    self._open[call].cancel()
            case call:
                if self._calls is None:
                    self._answer(call, _Raised(_left()))
                else:
                    self._open[call] = anyio.CancelScope()
                    self._calls.start_soon(self._perform, call)

    async def _perform(self, call: _Call[Any]) -> None:
        with self._open[call]:
            try:
                value = call.function()
                if isawaitable(value):
                    value = await value
            except anyio.get_cancelled_exc_class():
                # The context has left itself; or the call was cancelled, and nobody waits for it.
                self._answer(call, _Raised(_left()))
                raise
            except BaseException as error:  # noqa: BLE001 - handed on to the thread that waits
                self._answer(call, _Raised(error))
            else:
                self._answer(call, _Returned(value))

    def _answer(self, call: _Call[T], outcome: _Outcome[T]) -> None:
        self._open.pop(call, None)
        call.outcome.put(outcome)

    def _refuse_requests(self) -> None:
        """Answer what was not done, be it since it was not even begun."""
        with suppress(Empty):
            while True:
                request = self._requests.get_nowait()
                if isinstance(request, _Call):
                    self._answer(request, _Raised(_left()))
        for call in [*self._open]:
            self._answer(call, _Raised(_left()))


def _left() -> UsageError:
    return UsageError(
        "the run's block was left: nothing of the run can be reached through it any more"
    )
