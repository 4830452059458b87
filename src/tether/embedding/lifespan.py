"""The end of a web server: what it serves ends first.

A server that is asked to stop waits for its requests for a while, cancels them, and goes. uvicorn does not wait until
what it has cancelled has ended: it raises the signal again at once, and the processes of tools outlive it. Without
`--timeout-graceful-shutdown` it waits for a stream that goes on for ever, and never gets so far; so does `--reload`.

`GracefulStop` is put around an ASGI application. It knows every request that is going, and so every run that is tied
to one, wherever its agent was made.
"""

import logging
import signal
from typing import Final

import anyio
from attrs import define, field

from tether.embedding._signals import overheard
from tether.embedding.asgi import ASGIApp, Message, Receive, Send
from tether.embedding.task_group import open_task_group

__all__ = ("GracefulStop",)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger("tether")


@define(eq=False)
class _Call:
    """A request or a websocket that is going."""

    scope: anyio.CancelScope = field(factory=anyio.CancelScope)
    ended: anyio.Event = field(factory=anyio.Event)


class GracefulStop:
    """An ASGI application around another, which ends its requests before the server ends.

    When the server gets SIGTERM or SIGINT, requests have the grace to end by themselves; then they are cancelled, or
    at once at a second signal. Whatever the server does, its lifespan ends only when all requests have cleaned up.

    Args:
        app: the application, with a lifespan or without one.
        grace: seconds between the signal and the end of requests that go on; `math.inf` leaves that to the server.
        deadline: seconds that cancelled requests have to clean up. When they are over, the number of
            requests that still go is logged, and the server goes.
    """

    def __init__(self, app: ASGIApp, *, grace: float = 3.0, deadline: float = 10.0) -> None:
        self._app = app
        self._grace = grace
        self._deadline = deadline
        self._calls: set[_Call] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve a request, a websocket, or the lifespan.

        Raises:
            Exception: what the application raises.

        Cancellation:
            Passes through to the application and on.
        """
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        call = _Call()
        self._calls.add(call)
        try:
            with call.scope:
                await self._app(scope, receive, send)
        finally:
            self._calls.remove(call)
            call.ended.set()

    async def _live(self, scope: Message, receive: Receive, send: Send) -> None:
        begun = False

        async def received() -> Message:
            nonlocal begun
            begun = True
            # Around the wait alone: servers cancel who still awaits something when the shutdown is complete.
            async with open_task_group() as tasks:
                tasks.start_soon(self._end_calls_at_a_signal)
                message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._end_calls()
            return message

        try:
            await self._app(scope, received, send)
        except Exception:
            if begun:
                raise
        # An application that asks for no message has no lifespan: the server is answered for it.
        if not begun:
            await _answer(received, send)

    async def _end_calls_at_a_signal(self) -> None:
        with overheard(*_SIGNALS) as signals:
            await signals.wait()
            with anyio.move_on_after(self._grace):
                await signals.wait()
            await self._end_calls()

    async def _end_calls(self) -> None:
        for call in self._calls:
            call.scope.cancel()
        with anyio.move_on_after(self._deadline) as waiting:
            while self._calls:
                await next(iter(self._calls)).ended.wait()
        if waiting.cancelled_caught:
            _log.warning(
                "%d requests have not ended within %g s after they were cancelled",
                len(self._calls),
                self._deadline,
            )


async def _answer(receive: Receive, send: Send) -> None:
    """Be the lifespan of an application without one."""
    while True:
        match (await receive())["type"]:
            case "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            case "lifespan.shutdown":
                await send({"type": "lifespan.shutdown.complete"})
                return
            case _:
                pass
