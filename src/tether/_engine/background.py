"""Tasks that outlive the tool calls which start them, for as long as a run or a conversation goes."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, ClassVar

from anyio.abc import TaskStatus
from anyio.lowlevel import current_token

from tether._scopes.owned import Owned
from tether._scopes.task_groups import Tasks, open_task_group
from tether.errors import UsageError

__all__ = ("Background", "open_background")


class Background(Owned):
    """Where such tasks run. Made by `open_background`.

    Args:
        tasks: the task group that they are in.
    """

    __slots__ = ("_loop", "_tasks")

    _INSTEAD: ClassVar[str] = "; the agent is opened"

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._loop = current_token()

    @property
    def is_open_here(self) -> bool:
        """Whether tasks can be started in it, from the event loop that is running."""
        return self._loop == current_token() and not self._tasks.cancel_scope.cancel_called

    async def start(self, function: Callable[..., Awaitable[object]], *args: Any) -> Any:
        """Start a task, and wait until it says that it has started; see `ToolContext.start`.

        Raises:
            UsageError: it is closed.
            Exception: what the function raised before it had started.

        Cancellation:
            Ends the task, if it has not started yet.
        """
        if not self.is_open_here:
            raise UsageError("the conversation is over: nothing can be started in it any more")
        return await self._tasks.start(_logged, function, args)


def open_background() -> AbstractAsyncContextManager[Background]:
    """Open a place for tasks.

    Returns:
        A context manager. When its block is left, the tasks are cancelled and waited for.

    Cancellation:
        Cancels the tasks, waits for them, and passes on.
    """
    return _OpenBackground()


class _OpenBackground(AbstractAsyncContextManager[Background]):
    __slots__ = ("_group", "_tasks")

    def __init__(self) -> None:
        self._group = open_task_group()

    async def __aenter__(self) -> Background:
        self._tasks = await self._group.__aenter__()
        return Background(self._tasks)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._tasks.cancel_scope.cancel()
        return await self._group.__aexit__(kind, error, traceback)  # noqa: ASYNC102 - a task group waits for its tasks


class _Status:
    """Passes on that a task has started, and remembers it."""

    __slots__ = ("_status", "has_started")

    def __init__(self, status: TaskStatus[Any]) -> None:
        self._status = status
        self.has_started = False

    def started(self, value: Any = None) -> None:
        self._status.started(value)
        self.has_started = True


async def _logged(  # noqa: ASYNC114, ASYNC128 - the function that it runs is the one that says it has started
    function: Callable[..., Awaitable[object]],
    args: tuple[Any, ...],
    *,
    task_status: TaskStatus[Any],
) -> None:
    """Run a task. Once it has started, nobody waits for what it raises: that is logged."""
    status = _Status(task_status)
    try:
        await function(*args, task_status=status)
    except Exception:
        if not status.has_started:
            raise
        import logging  # noqa: PLC0415 - only where something failed

        name = getattr(function, "__qualname__", repr(function))
        logging.getLogger("tether").exception("a task that a tool started has failed: %s", name)
