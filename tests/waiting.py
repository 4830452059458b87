"""Waiting in tests."""

import anyio.lowlevel

__all__ = ("until_blocked",)


async def until_blocked() -> None:
    """Let all tasks go on until they wait for something.

    In place of anyio's `wait_all_tasks_blocked`, which takes a tenth of a second on asyncio: so many steps are
    enough for every program here, and threads, sockets and clocks are not waited for.
    """
    for _ in range(60):
        await anyio.lowlevel.checkpoint()
