"""A function that runs beside a block, and no longer than it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

__all__ = ("beside",)


@asynccontextmanager
async def beside(function: Callable[[], Awaitable[object]]) -> AsyncIterator[anyio.CancelScope]:
    """Run a function beside a block.

    Args:
        function: what to run. The block is cancelled when it fails, and goes on when it returns.

    Returns:
        A context manager that gives the scope of both. When its block is left the function has ended.

    Raises:
        Exception: what the block raised, as it was, or what the function raised.

    Cancellation:
        Cancels both, waits for them, and passes on.
    """
    failures: list[Exception] = []

    async def run() -> None:
        try:
            await function()
        except Exception as error:  # noqa: BLE001 - raised at the end of the block
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            yield tasks.cancel_scope
        except Exception as error:  # noqa: BLE001 - raised below, where the task group does not wrap it
            failures.insert(0, error)
        tasks.cancel_scope.cancel()
    match failures:
        case []:
            pass
        case [failure]:
            raise failure
        case _:
            raise ExceptionGroup("a block and what ran beside it failed", failures)
