"""Run a plain function in a worker thread, and what it runs in the event loop as a part of the same call.

A thread cannot be cancelled, only given up. What it runs in the event loop can: `anyio.from_thread.run(agent.prompt)`
in a tool is a run of its own, with tools of its own. The backends start such things in tasks that belong to nobody,
once a thread may be given up. Here they are children of the call: cancelled with it, and ended before it is left.

Two ways lead from a thread into its event loop. `anyio.from_thread` asks the thread's token for one: the token is
ours, a `_Desk`. What goes another way, as `trio.from_thread` does, carries the context variables of the thread: a run
of an agent finds the desk there, and ties itself to it.
"""

import math
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, Literal, TypeVar, TypeVarTuple, cast

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio._core._eventloop import threadlocals  # what `anyio.from_thread` goes by
from anyio.lowlevel import EventLoopToken, current_token

from tether._scopes.task_groups import Tasks, failure_in, open_task_group

__all__ = ("run_in_thread", "tied_to_its_thread")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_GIVEN_UP: Final = "the call that this thread works for was given up"


async def run_in_thread(function: Callable[[], T], *, limiter: anyio.CapacityLimiter) -> T:
    """Call a plain function in a worker thread.

    Args:
        function: what to call. It may use `anyio.from_thread`.
        limiter: holds how many threads there may be at a time.

    Returns:
        What the function returns.

    Raises:
        BaseException: what the function raises.

    Cancellation:
        Gives the thread up, which goes on by itself: its result is discarded. What it runs in the event loop is
        cancelled, and has ended when the cancellation passes on; what it asks for later is refused with
        `concurrent.futures.CancelledError`, and `anyio.from_thread.check_cancelled` raises.
    """
    async with open_task_group() as tasks:
        desk = _Desk(tasks)
        try:
            result = await anyio.to_thread.run_sync(
                desk.work, function, abandon_on_cancel=True, limiter=limiter
            )
        except anyio.get_cancelled_exc_class():
            desk.state = "given up"
            raise
        finally:
            desk.close()
    return result


def tied_to_its_thread() -> AbstractContextManager[None]:
    """Tie a block to the call whose thread has asked for it, where the event loop does not.

    Returns:
        A context manager. Where the call is given up, it cancels its block, and the call waits until that is left.

    Raises:
        concurrent.futures.CancelledError: the call was given up.
    """
    desk = _desk.get()
    if desk is None or desk.state == "over" or not desk.is_here():
        return nullcontext()
    return desk.tied()


class _Desk:
    """Where a thread asks for what is to be run in the event loop. It stands in for anyio's backend.

    What it knows is read and changed in the event loop alone.
    """

    __slots__ = ("_tasks", "_token", "state")

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._token = current_token()
        self.state: Literal["open", "over", "given up"] = "open"

    def is_here(self) -> bool:
        """Say whether its event loop is the one that runs."""
        return current_token() == self._token

    # In the thread.

    def work(self, function: Callable[[], T]) -> T:
        """Call the function, with this desk as the thread's way into the event loop."""
        _desk.set(self)
        before = threadlocals.current_token
        threadlocals.current_token = EventLoopToken(cast("Any", self), self._token.native_token)
        try:
            return function()
        finally:
            threadlocals.current_token = before

    def run_async_from_thread(
        self, function: Callable[[*Ts], Coroutine[Any, Any, T]], args: tuple[*Ts], token: object
    ) -> T:
        """Do what `anyio.from_thread.run` is asked for."""
        del token
        outcome: Future[T] = Future()
        anyio.from_thread.run_sync(self._start, function, args, outcome, token=self._token)
        return outcome.result()

    def run_sync_from_thread(
        self, function: Callable[[*Ts], T], args: tuple[*Ts], token: object
    ) -> T:
        """Do what `anyio.from_thread.run_sync` is asked for."""
        del token
        return anyio.from_thread.run_sync(self._call, function, args, token=self._token)

    def check_cancelled(self) -> None:
        """Do what `anyio.from_thread.check_cancelled` is asked for."""
        self._token.backend_class.check_cancelled()

    # In the event loop.

    def close(self) -> None:
        """Have done with the thread, which has returned or was given up."""
        if self.state == "open":
            self.state = "over"
        self._tasks.cancel_scope.cancel()

    def _call(self, function: Callable[[*Ts], T], args: tuple[*Ts]) -> T:
        self._refuse_if_closed()
        _desk.set(None)
        return function(*args)

    def _start(
        self,
        function: Callable[[*Ts], Coroutine[Any, Any, T]],
        args: tuple[*Ts],
        outcome: Future[T],
    ) -> None:
        self._refuse_if_closed()
        # It belongs to the call already, and so does all that it begins.
        _desk.set(None)
        self._tasks.start_soon(self._serve, function, args, outcome)

    async def _serve(
        self,
        function: Callable[[*Ts], Coroutine[Any, Any, T]],
        args: tuple[*Ts],
        outcome: Future[T],
    ) -> None:
        try:
            result = await function(*args)
        except Exception as error:  # noqa: BLE001 - it is the thread's
            outcome.set_exception(error)
        except BaseException as error:  # noqa: ASYNC103 - what is not raised again is no cancellation
            failure = failure_in(error)
            outcome.set_exception(failure or CancelledError(_GIVEN_UP))
            if failure is None:
                raise
        else:
            outcome.set_result(result)

    @contextmanager
    def tied(self) -> Iterator[None]:
        """Open a scope that is cancelled when the call is given up, and waited for."""
        self._refuse_if_closed()
        left = anyio.Event()
        try:
            with anyio.CancelScope() as scope:
                self._tasks.start_soon(self._end_with_the_call, scope, left)
                yield
        finally:
            left.set()
        if scope.cancelled_caught:
            raise CancelledError(_GIVEN_UP)

    async def _end_with_the_call(self, scope: anyio.CancelScope, left: anyio.Event) -> None:
        try:
            await left.wait()
        finally:
            # The cancellation may get here before it gets to who waits for the thread.
            if self.state != "over":
                scope.cancel()
                # A task group waits for its tasks without limit too.
                with anyio.move_on_after(math.inf, shield=True):
                    await left.wait()

    def _refuse_if_closed(self) -> None:
        if self.state != "open":
            raise CancelledError(_GIVEN_UP)


_desk: ContextVar[_Desk | None] = ContextVar("desk", default=None)
