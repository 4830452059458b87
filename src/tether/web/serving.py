"""An application on hypercorn, in the event loop that runs."""

import math
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import anyio
from hypercorn.config import Config

from tether import UsageError
from tether.embedding.task_group import open_task_group

__all__ = ("listening", "serve")

_GRACE: Final = 5.0
"""Seconds that requests have to end."""

_BACKLOG: Final = 1024
"""Connections that wait to be taken: a page and its viewers come back all at once."""
_IDLE: Final = 75.0
"""Seconds that a connection is kept between two requests; longer than by clients, who might use it as it closes."""


def listening(host: str, port: int) -> socket.socket:
    """Listen at an address.

    Args:
        host: a name or an address.
        port: 0 for any that is free.

    Raises:
        UsageError: that is not possible here.
    """
    try:
        [(family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host}, port {port}: {error.strerror or error}"
        ) from error


async def serve(
    application: Any, listener: socket.socket, *, backend: str, ending: Callable[[], object]
) -> None:
    """Serve an application until this is cancelled.

    Args:
        application: an ASGI application.
        listener: a socket that listens, which is closed in the end.
        backend: what the event loop is, `asyncio` or `trio`.
        ending: called before requests are waited for: ends those that would go on for ever.

    Raises:
        Exception: what the server raises.

    Cancellation:
        Takes no further requests, waits a few seconds for those that are going, and passes on.
    """
    hypercorn_serve = import_module(f"hypercorn.{backend}").serve
    stopped = anyio.Event()
    # The server ends by an event: cancelling it would leave its connections as they are.
    shielded = anyio.move_on_after(math.inf, shield=True)  # noqa: ASYNC122 - it gets its deadline below

    async def run() -> None:
        with shielded:
            await hypercorn_serve(application, _config(listener), shutdown_trigger=stopped.wait)

    async with open_task_group() as tasks:
        tasks.start_soon(run)
        try:
            await anyio.sleep_forever()
        finally:
            ending()
            stopped.set()
            shielded.deadline = anyio.current_time() + _GRACE


def _config(listener: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = None
    config.loglevel = "WARNING"
    config.graceful_timeout = _GRACE
    config.backlog = _BACKLOG
    config.keep_alive_timeout = _IDLE
    return config
