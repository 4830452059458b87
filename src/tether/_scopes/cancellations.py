"""Notice the cancellations that reach what somebody else has written, since it may swallow them.

No I/O.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio

__all__ = ("Noticing",)


class Noticing:
    """An awaitable that passes everything on to another.

    For those who look where a task waits, it shows the frame of the other in its place.

    Args:
        awaitable: what is awaited.
        notice: called with each cancellation before that is raised in it: also with one of a scope of its own.
    """

    __slots__ = ("_awaitable", "_iterator", "_notice")

    def __init__(self, awaitable: Awaitable[Any], notice: Callable[[], object]) -> None:
        self._awaitable = awaitable
        self._notice = notice
        self._iterator: Any = awaitable.__await__()

    def __await__(self) -> Generator[Any, Any, Any]:
        generator: Any = self
        return generator  # type: ignore[no-any-return]

    def __iter__(self) -> "Noticing":
        return self

    def __next__(self) -> Any:
        return next(self._iterator)

    def send(self, value: Any) -> Any:
        """Resume it with a value."""
        if value is None:
            return next(self._iterator)
        # trio sends outcomes, and has its own code inside the coroutine raise what they hold.
        self._look_at(getattr(value, "error", None))
        return self._iterator.send(value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Resume it with an exception."""
        del traceback
        error = kind if value is None else value
        self._look_at(error)
        return self._iterator.throw(error)

    def _look_at(self, error: object) -> None:
        if error is not None and isinstance(error, anyio.get_cancelled_exc_class()):
            self._notice()

    def close(self) -> None:
        """Close it."""
        self._iterator.close()

    @property
    def cr_frame(self) -> Any:
        """The frame of the coroutine."""
        return getattr(self._awaitable, "cr_frame", None)

    @property
    def cr_await(self) -> Any:
        """What the coroutine awaits."""
        return getattr(self._awaitable, "cr_await", None)
