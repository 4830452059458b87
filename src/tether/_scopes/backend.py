"""What carries out anyio's functions in the event loop that runs."""

from typing import TYPE_CHECKING

from anyio.lowlevel import current_token

if TYPE_CHECKING:
    from anyio.abc import AsyncBackend

__all__ = ("current_backend",)


def current_backend() -> "type[AsyncBackend]":
    """Return it. Each function of anyio finds it out anew: who waits for every piece of a text asks once, and keeps it.

    Raises:
        RuntimeError: no event loop runs here.
    """
    return current_token().backend_class
