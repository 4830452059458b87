"""Run a plain function in a worker thread, and what it runs in the event loop as a part of the same call.

A thread cannot be cancelled, only given up. What it runs in the event loop can: `anyio.from_thread.run(agent.prompt)`
in a tool is a run of its own, with tools of its own. The backends start such things in tasks that belong to nobody,
once a thread may be given up. Here they are children of the call: cancelled with it, and ended before it is left.

`anyio.from_thread` asks the thread's token for the way into the event loop: the token is ours, a `_Desk`. What goes
another way, as `trio.from_thread` does, or into another event loop, as `asyncio.run` and `tether.blocking` do, carries
the context variables of the thread: a run of an agent finds there what ties it to the desk; see `tether._scopes.ties`.
"""

import math
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, Final, Literal, TypeVar, TypeVarTuple, cast

import anyio
import anyio.to_thread
from anyio._core._eventloop import threadlocals  # what `anyio.from_thread` goes by
from anyio.lowlevel import EventLoopToken, current_token

from tether._scopes.leaving import LeavableCall
from tether._scopes.loop_call import LoopCaller, Waiter
from tether._scopes.task_groups import Tasks, failure_in, open_task_group
from tether._scopes.ties import thread_tie

__all__ = ("run_in_thread",)

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
        `concurrent.futures.CancelledError`, and `anyio.from_thread.check_cancelled` raises. The process does not
        wait for it at its end.
    """
    async with open_task_group() as tasks:
        desk = _Desk(tasks)
        tasks.start_soon(desk.serve)
        call = LeavableCall(partial(desk.work, function))
        try:
            result = await anyio.to_thread.run_sync(
                call.make, abandon_on_cancel=True, limiter=limiter
            )
        except anyio.get_cancelled_exc_class():
            call.leave()
            desk.give_up()
            # A task group waits for its tasks without limit too.
            with anyio.move_on_after(math.inf, shield=True):
                await desk.ties_left()
            raise
        finally:
            desk.close()
    return result


class _Desk:
    """Where a thread asks for what is to be run in the event loop. It stands in for anyio's backend.

    Its state is changed in the event loop alone. The thread adds its question before it looks at the state, and the
    state is changed before the questions are cancelled: so none is left without an answer, even where the event loop
    ends. The ties, which may be others' too, are handled alike.
    """

    __slots__ = ("_loop", "_questions", "_tasks", "_ties", "_token", "_wake", "state")

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._token = current_token()
        self._loop = LoopCaller()
        self._wake = anyio.Event()
        self._questions: deque[_Question] = deque()
        self._ties: list[_Tie] = []
        self.state: Literal["open", "over", "given up"] = "open"

    # In the thread.

    def work(self, function: Callable[[], T]) -> T:
        """Call the function, with this desk as the thread's way into the event loop."""
        thread_tie.set(self.tied)
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
        return cast("T", self._ask(partial(function, *args)))

    def run_sync_from_thread(
        self, function: Callable[[*Ts], T], args: tuple[*Ts], token: object
    ) -> T:
        """Do what `anyio.from_thread.run_sync` is asked for."""
        del token

        async def call() -> T:
            return function(*args)

        return cast("T", self._ask(call))

    def _ask(self, function: Callable[[], Coroutine[Any, Any, object]]) -> object:
        question = _Question(function)
        self._questions.append(question)
        if self.state != "open":
            raise CancelledError(_GIVEN_UP)
        self._loop.call(self._ring)
        try:
            return question.answer.result()
        except CancelledError:
            raise CancelledError(_GIVEN_UP) from None  # noqa: ASYNC104 - in a thread, where it cancels no task

    def check_cancelled(self) -> None:
        """Do what `anyio.from_thread.check_cancelled` is asked for."""
        self._token.backend_class.check_cancelled()

    # In any event loop.

    @contextmanager
    def tied(self) -> Iterator[None]:
        """Open a scope that is cancelled when the call is given up, and waited for."""
        with anyio.CancelScope() as scope:
            tie = _Tie(partial(LoopCaller().call, scope.cancel))
            self._ties.append(tie)
            try:
                if self.state == "given up":
                    raise CancelledError(_GIVEN_UP)
                yield
            finally:
                self._ties.remove(tie)
                tie.leave()
        if scope.cancelled_caught:
            raise CancelledError(_GIVEN_UP)

    # In its event loop.

    def _ring(self) -> None:
        self._wake.set()

    async def serve(self) -> None:
        """Start what the thread asks for, until the desk is closed.

        Cancellation:
            At once. What was started is cancelled with the task group that it belongs to.
        """
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._questions:
                question = self._questions.popleft()
                question.context.run(self._tasks.start_soon, question.run)

    def give_up(self) -> None:
        """Give the thread up, and cancel all that it has begun."""
        self.state = "given up"
        self.close()
        for tie in [*self._ties]:
            tie.cancel()

    async def ties_left(self) -> None:
        """Wait until what was tied to the call has ended, in whichever event loop."""
        for tie in [*self._ties]:
            await tie.left()

    def close(self) -> None:
        """Have done with the thread, which has returned or was given up."""
        if self.state == "open":
            self.state = "over"
        self._tasks.cancel_scope.cancel()
        while self._questions:
            self._questions.popleft().answer.cancel()


class _Question:
    """What a thread wants to be run in the event loop, in its own context, and waits for."""

    __slots__ = ("_function", "answer", "context")

    def __init__(self, function: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self.answer: Future[object] = Future()
        # What is run belongs to the call already, and so does all that it begins.
        self.context = copy_context()
        self.context.run(thread_tie.set, None)
        self._function = function

    async def run(self) -> None:
        """Answer with what the function returns or raises.

        Cancellation:
            Passes on; the thread gets `concurrent.futures.CancelledError`.
        """
        try:
            result = await self._function()
        except Exception as error:  # noqa: BLE001 - it is the thread's
            self.answer.set_exception(error)
        except BaseException as error:  # noqa: ASYNC103 - what is not raised again is not a cancellation
            failure = failure_in(error)
            self.answer.set_exception(failure or CancelledError(_GIVEN_UP))
            if failure is None:
                raise
        else:
            self.answer.set_result(result)


class _Tie:
    """A block that ends with a call, and runs in any event loop."""

    __slots__ = ("_left", "_waiter", "cancel")

    def __init__(self, cancel: Callable[[], object]) -> None:
        self.cancel = cancel
        self._left = False
        self._waiter: Waiter | None = None

    def leave(self) -> None:
        """Note that the block was left."""
        self._left = True
        if self._waiter is not None:
            self._waiter.wake()

    async def left(self) -> None:
        """Wait until the block was left."""
        self._waiter = Waiter()
        if not self._left:
            await self._waiter.wait()
