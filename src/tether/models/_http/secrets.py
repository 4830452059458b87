"""Keys and passwords: how one is given, and how it stays out of what people get to see. No I/O."""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from attrs import evolve

from tether.errors import ModelError

__all__ = ("Key", "resolved_key", "without_key", "without_password")

Key: TypeAlias = str | Callable[[], str | Awaitable[str]] | None
"""A key, or a function that is asked for it at each request; None where the server wants none."""

_SHORTEST_SECRET: Final = 6
"""Shorter keys, such as the `x` that some local servers want, are no secrets, but may be part of any word."""


async def resolved_key(key: Key) -> str:
    """Return the key of this moment.

    Args:
        key: the key, or who knows it.

    Returns:
        The key without the white space round it; "" where there is none.

    Raises:
        ModelError: no header could carry it; the text does not show it.
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
    """Take a key out of the text of an error, where its vendor repeated it."""
    if len(key) >= _SHORTEST_SECRET and key in error.message:
        error.message = error.message.replace(key, "[key]")
        error.args = (error.message,)
        if error.partial is not None:
            error.partial = evolve(error.partial, error=error.failure)
    return error


def without_password(url: str) -> str:
    """Leave out of a URL who asks, and with what password."""
    return re.sub(r"//[^/@]*@", "//", url)
