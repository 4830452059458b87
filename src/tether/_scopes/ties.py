"""What ties a run to the call whose worker thread has asked for it; `tether._scopes.threads` says why."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Final

__all__ = ("thread_tie", "tied_to_its_thread")

thread_tie: Final[ContextVar[Callable[[], AbstractContextManager[None]] | None]] = ContextVar(
    "thread_tie", default=None
)
"""In such a thread, and in what it runs: opens a block that is tied to the call."""


def tied_to_its_thread() -> AbstractContextManager[None]:
    """Tie a block to the call whose thread has asked for it, in whichever event loop.

    Returns:
        A context manager. Where the call is given up, it cancels its block, and the call waits until that is left.

    Raises:
        concurrent.futures.CancelledError: the call was given up.
    """
    tied = thread_tie.get()
    return nullcontext() if tied is None else tied()
