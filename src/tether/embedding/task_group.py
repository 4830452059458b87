"""A task group that lives as long as its block, and raises plain exceptions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

__all__ = ("open_task_group",)


@asynccontextmanager
async def open_task_group() -> AsyncIterator[TaskGroup]:
    """Open a task group that is cancelled as its block is left.

    Returns:
        A context manager that gives the task group, and waits for its tasks when left.

    Raises:
        Exception: what the block raised, as it was, or what the one task raised that failed; several as a group.

    Cancellation:
        Cancels the tasks, waits for them, and passes on.
    """
    failures: list[Exception] = []
    try:
        async with anyio.create_task_group() as tasks:
            try:
                yield tasks
            except Exception as error:  # noqa: BLE001 - raised below, where the task group does not wrap it
                failures.append(error)
            tasks.cancel_scope.cancel()
    except ExceptionGroup as group:
        failures.extend(group.exceptions)
    match failures:
        case []:
            pass
        case [failure]:
            raise failure
        case _:
            raise ExceptionGroup("a block and the tasks that run with it failed", failures)
