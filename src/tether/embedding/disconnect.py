"""The end of a connection: the block that serves it ends with it.

An ASGI application hears that a client has gone by receiving, and in no other way: who only sends never notices, and
a model that is silent sends nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tether.embedding.asgi import Receive
from tether.embedding.task_group import open_task_group

__all__ = ("until_disconnect",)


@asynccontextmanager
async def until_disconnect(receive: Receive) -> AsyncIterator[anyio.CancelScope]:
    """Cancel a block when the client goes away.

    What else is received meanwhile is dropped: read the body of a request before. A websocket that is spoken to needs
    a reader of its own.

    Args:
        receive: the ASGI callable; in Starlette and FastAPI, `request.receive`.

    Returns:
        A context manager that gives the scope of its block; `cancelled_caught` is true where the client went away.
        The program goes on behind the block.

    Raises:
        Exception: what the block raised, as it was, or what `receive` raised.

    Cancellation:
        Passes on.
    """

    async def read() -> None:
        while not (await receive())["type"].endswith(".disconnect"):
            pass
        scope.cancel()

    with anyio.CancelScope() as scope:
        async with open_task_group() as tasks:
            tasks.start_soon(read)
            yield scope
