"""The words of ASGI, by which servers and web applications speak to each other."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ("ASGIApp", "Message", "Receive", "Send")

Message: TypeAlias = MutableMapping[str, Any]
"""A message, or the scope of a request, a websocket or the lifespan."""
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[..., Awaitable[None]]
"""Takes the three above, which each framework types in a way of its own."""
