"""Our idioms for task groups: exceptions come out plain.

A task group reports every exception as a group, even one. Whoever calls a function does not want to know
that it uses a task group, so `open_task_group` lets through what a plain `await` would have raised:

- nothing but cancellation: one cancellation, the backend's own;
- one exception, beside any cancellation: that exception, with its traceback, cause and context;
- several exceptions: one flat group of them;
- a KeyboardInterrupt or SystemExit among them: that alone.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

__all__ = ("open_task_group", "plain")


@asynccontextmanager
async def open_task_group() -> AsyncIterator[TaskGroup]:
    """Open a task group that raises plain exceptions.

    Returns:
        A context manager that gives the task group, and waits for its tasks when left.

    Raises:
        BaseException: what the block or its tasks raised, as the module's docstring says.

    Cancellation:
        Cancels the tasks, waits for them, and passes on.
    """
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        exception = plain(group)
    else:
        return
    # Outside the handler, so that the group does not become the exception's context.
    raise exception


def plain(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose what to raise in place of a task group's exception group.

    Args:
        group: as the task group raised it, nested however.

    Returns:
        One exception, or a flat group of several; see the module's docstring.
    """
    cancelled = anyio.get_cancelled_exc_class()
    leaves = list({id(leaf): leaf for leaf in _leaves(group)}.values())
    for leaf in leaves:
        if isinstance(leaf, KeyboardInterrupt | SystemExit):
            return leaf
    errors = [leaf for leaf in leaves if not isinstance(leaf, cancelled)]
    match errors:
        case []:
            return leaves[0]
        case [error]:
            return error
        case _:
            return BaseExceptionGroup(group.message, errors)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for exception in group.exceptions:
        if isinstance(exception, BaseExceptionGroup):
            yield from _leaves(exception)
        else:
            yield exception
