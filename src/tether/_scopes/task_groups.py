"""Our idioms for task groups: exceptions come out plain.

A task group reports every exception as a group, even one. Whoever calls a function does not want to know
that it uses a task group, so `open_task_group` lets through what a plain `await` would have raised:

- nothing but cancellation: one cancellation, the backend's own;
- one exception, beside any cancellation: that very object, with its traceback, cause, context and notes;
- several exceptions: one group of those objects;
- a KeyboardInterrupt or SystemExit among them: that alone.

Only the layer of our own task group is taken off. A group that somebody else has raised is one exception, and
stays whole.
"""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, TypeVarTuple

import anyio
from anyio.abc import TaskGroup

from tether._scopes.exceptions import leaves, raise_as_it_is

__all__ = ("Tasks", "failure_in", "is_cancellation", "open_task_group", "plain", "within")

Ts = TypeVarTuple("Ts")


class Tasks:
    """The tasks of a group. Made by `open_task_group`.

    Exceptions are kept here, not given to the backend's task group: trio makes new objects of groups that go through
    a scope which is cancelled.
    """

    __slots__ = ("_group", "_kept")

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._kept: list[BaseException] = []

    @property
    def cancel_scope(self) -> anyio.CancelScope:
        """The scope round the block and the tasks."""
        return self._group.cancel_scope

    @property
    def kept(self) -> Sequence[BaseException]:
        """What the block and the tasks have raised."""
        return self._kept

    def start_soon(
        self, function: Callable[[*Ts], Coroutine[Any, Any, object]], *args: *Ts
    ) -> None:
        """Start a task."""
        name = getattr(function, "__qualname__", None) or repr(function)
        self._group.create_task(self._run(function, args), name=name)

    async def start(self, function: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> Any:
        """Start a task, and wait until it says that it has started, as `anyio.abc.TaskGroup.start` does.

        Returns:
            What the task gave to `task_status.started`.

        Raises:
            Exception: what the task raised before that.

        Cancellation:
            Ends the task, if it has not started yet.
        """
        return await self._group.start(function, *args)

    async def _run(
        self, function: Callable[[*Ts], Coroutine[Any, Any, object]], args: tuple[*Ts]
    ) -> None:
        try:
            await function(*args)
        except BaseException as error:  # noqa: ASYNC103 - kept, and raised where the group is left
            if not self.keep(error):
                raise

    def keep(self, error: BaseException) -> bool:
        """Keep an exception for the end of the group, and cancel the others.

        Returns:
            False where the exception must go on at once: it ends a generator, or there is a cancellation in it,
            which is the backend's affair.
        """
        if isinstance(error, GeneratorExit) or _holds_cancellation(error):
            return False
        self._kept.append(error)
        self._group.cancel_scope.cancel()
        return True


def open_task_group() -> AbstractAsyncContextManager[Tasks]:
    """Open a task group that raises plain exceptions.

    Returns:
        A context manager that gives the tasks, and waits for them when left.

    Raises:
        BaseException: what the block or its tasks raised, as the module's docstring says.

    Cancellation:
        Cancels the tasks, waits for them, and passes on.
    """
    return _PlainTaskGroup()


class _PlainTaskGroup(AbstractAsyncContextManager[Tasks]):
    """A class, as each run and each batch of calls has one: a generator would take several times the memory."""

    __slots__ = ("_group", "_tasks")

    def __init__(self) -> None:
        self._group = anyio.create_task_group()
        self._tasks = Tasks(self._group)

    async def __aenter__(self) -> Tasks:
        await self._group.__aenter__()
        return self._tasks

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        is_kept = error is not None and self._tasks.keep(error)
        raised = (None, None, None) if is_kept else (kind, error, traceback)
        passes = False
        failures: Sequence[BaseException] = ()
        try:
            passes = bool(await self._group.__aexit__(*raised))  # noqa: ASYNC102 - a task group waits for its tasks
        except BaseExceptionGroup as group:
            failures = group.exceptions
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised again, unless there is an error
            if not self._tasks.kept:
                raise
        # Outside the handlers, which would put another exception into its context.
        if failures := [*self._tasks.kept, *failures]:
            failure = plain(BaseExceptionGroup("several tasks have failed", failures))
            if failure is error:
                return False
            raise_as_it_is(failure)
        return passes


def within(scope: anyio.CancelScope) -> AbstractContextManager[None]:
    """Enter a cancel scope that exceptions go through as they are.

    Of a group that goes through a scope which is cancelled, trio makes a new object, of another class even.

    Args:
        scope: the scope; it catches its own cancellation.

    Raises:
        BaseException: what the block raised.
    """
    return _Within(scope)


class _Within:
    """A class, as one is entered for each request and each call: a generator would take several times the memory."""

    __slots__ = ("_scope",)

    def __init__(self, scope: anyio.CancelScope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        self._scope.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if isinstance(error, BaseExceptionGroup) and not _holds_cancellation(error):
            self._scope.__exit__(None, None, None)
            return None
        return self._scope.__exit__(kind, error, traceback)


def plain(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose what to raise in place of the exception group of a task group of ours.

    Args:
        group: as the task group raised it.

    Returns:
        One exception, or a group of several; see the module's docstring.
    """
    for leaf in leaves(group):
        if isinstance(leaf, KeyboardInterrupt | SystemExit):
            return leaf
    members = list({id(member): member for member in group.exceptions}.values())
    errors = [member for member in members if not is_cancellation(member)]
    match errors:
        case []:
            return next(leaves(group))
        case [error]:
            return error
        case _:
            return BaseExceptionGroup(group.message, errors)


def _holds_cancellation(error: BaseException) -> bool:
    cancelled = anyio.get_cancelled_exc_class()
    return any(isinstance(leaf, cancelled) for leaf in leaves(error))


def is_cancellation(error: BaseException) -> bool:
    """Say whether it is a cancellation, or a group of nothing else."""
    cancelled = anyio.get_cancelled_exc_class()
    return all(isinstance(leaf, cancelled) for leaf in leaves(error))


def failure_in(error: BaseException) -> ExceptionGroup[Exception] | None:
    """Split what somebody else's task group has raised, a child of which failed while it was cancelled.

    Args:
        error: what came out.

    Returns:
        The group without its cancellations; None where it is no such group, or holds anything that is not to be
        taken for a failure, such as KeyboardInterrupt.
    """
    if not isinstance(error, BaseExceptionGroup):
        return None
    rest = error.split(anyio.get_cancelled_exc_class())[1]
    return rest if isinstance(rest, ExceptionGroup) else None
