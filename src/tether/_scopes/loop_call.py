"""Call a plain function in the event loop that a thing belongs to, from wherever the thing is let go.

Events and cancel scopes may be used only inside their event loop. The last reference to an object may be dropped in any
thread, and an agent may be used by several event loops, each in a thread of its own.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
from anyio.lowlevel import EventLoopToken, current_token

__all__ = ("LoopCaller", "Waiter")


class LoopCaller:
    """The way back into the event loop in which it was made."""

    __slots__ = ("_token",)

    def __init__(self) -> None:
        self._token: EventLoopToken = current_token()

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in the event loop: now, where a task of it runs here; else soon.

        Where the event loop has ended, the function is not called.

        Args:
            function: what to call; it does not wait, and raises nothing.
        """
        if self._is_here():
            function()
        else:
            # Where the event loop has ended, there is nobody left to hear of it.
            with suppress(RuntimeError):
                self._post(function)

    def _is_here(self) -> bool:
        with suppress(RuntimeError):
            anyio.get_current_task()
            return current_token() == self._token
        return False

    def _post(self, function: Callable[[], object]) -> None:
        # `anyio.from_thread.run_sync` waits for the result, without end where the event loop ends meanwhile.
        native: Any = self._token.native_token
        post = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
        post(function)


class Waiter:
    """Somebody who waits in an event loop, and may be woken from any thread."""

    __slots__ = ("_event", "_loop")

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._loop = LoopCaller()

    async def wait(self) -> None:
        """Wait to be woken.

        Cancellation:
            At once.
        """
        await self._event.wait()

    def wake(self) -> None:
        """Let it go on; a second time it does nothing."""
        self._loop.call(self._event.set)
