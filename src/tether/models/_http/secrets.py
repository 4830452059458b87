"""Keys and passwords: how they are given, and how they stay out of errors and reprs. No I/O."""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from attrs import evolve

from tether.errors import ModelError

__all__ = ("Key", "printable_url", "resolved_key", "without_key", "without_password")

Key: TypeAlias = str | Callable[[], str | Awaitable[str]] | None
"""A key, or a function that returns it, called at each request; None if the server wants none."""

_SHORTEST_SECRET: Final = 6
"""Shorter keys, such as the `x` that some local servers want, are no secrets, and occur in ordinary words."""


async def resolved_key(key: Key) -> str:
    """Return the current key.

    Args:
        key: the key, or the function that returns it.

    Returns:
        The key without white space around it; "" if there is none.

    Raises:
        ModelError: no header can carry it; the message does not show it.
    """
    answer = key() if callable(key) else key
    if inspect.isawaitable(answer):
        answer = await answer
    text = (answer or "").strip()
    if not (text.isascii() and text.isprintable()):
        raise ModelError(
            "the key holds a character that no header can carry: is it read from the right place?",
            kind="authentication",
        )
    return text


def without_key(error: ModelError, key: str) -> ModelError:
    """Remove a key from the message of an error, in case the server repeated it."""
    if len(key) >= _SHORTEST_SECRET and key in error.message:
        error.message = error.message.replace(key, "[key]")
        error.args = (error.message,)
        if error.partial is not None:
            error.partial = evolve(error.partial, error=error.failure)
    return error


def printable_url(url: str) -> str:
    """Remove from a URL what may be secret: user name and password, and the query."""
    return without_password(url).partition("?")[0]


def without_password(url: str) -> str:
    """Remove user name and password from a URL."""
    return re.sub(r"//[^/@]*@", "//", url)
