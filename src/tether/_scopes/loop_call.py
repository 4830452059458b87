"""Call a plain function in the event loop that a thing belongs to, from wherever the thing is let go.

Events and cancel scopes may be used only inside their event loop. The last reference to an object may be dropped in any
thread, and an agent may be used by several event loops, each in a thread of its own.
"""

from _thread import start_new_thread
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.from_thread
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
            function: what to call; it does not wait.
        """
        if self._is_here():
            function()
        else:
            # At the end of the interpreter there are no threads to be had, nor is there an event loop.
            with suppress(RuntimeError):
                start_new_thread(self._call_from_thread, (function,))

    def _is_here(self) -> bool:
        with suppress(RuntimeError):
            anyio.get_current_task()
            return current_token() == self._token
        return False

    def _call_from_thread(self, function: Callable[[], object]) -> None:
        # Besides the end of the event loop, nothing is raised here that anybody could hear of.
        with suppress(anyio.RunFinishedError, RuntimeError):
            anyio.from_thread.run_sync(function, token=self._token)


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
