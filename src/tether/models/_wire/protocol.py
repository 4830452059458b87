"""What a wire API is: how a request is written, and how a reply is read. No I/O."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from attrs import frozen

from tether.deltas import Delta
from tether.model import ModelRequest
from tether.models._wire.cached_prefix import Write
from tether.models._wire.sse import ServerSentEvent

__all__ = ("Decoder", "Encode", "WireApi", "at")

Decoder: TypeAlias = Generator[Sequence[Delta], ServerSentEvent | None, Sequence[Delta]]
"""Started with `next`; is sent server-sent events one at a time, and None when the stream ends; yields the
deltas that follow from each, and returns the last ones: a `ReplyEnd` with the finished message, and what comes
before it. It returns as soon as the reply is whole, since a server may keep the stream open. Raises `ModelError`, with
what had arrived as its `partial`; one that is thrown in, since the connection was lost, it raises like its own."""


class Encode(Protocol):
    """Writes a request."""

    def __call__(self, request: ModelRequest, model: str, write: Write = ..., /) -> dict[str, Any]:
        """Make the body of a request; see `WireApi`."""
        ...


@frozen
class WireApi:
    """One way of speaking to models over HTTP."""

    name: str
    encode: "Encode"
    """A request and the model's name, to the JSON body; with what was written of its messages before."""
    decode: Callable[[str], Decoder]
    """The model's name, to a decoder for one reply."""
    url: Callable[[str, str], str]
    """The base URL and the model's name, to the URL to post to."""
    headers: Callable[[str], Mapping[str, str]]
    """The key, to the headers that carry it."""


def at(base_url: str, path: str) -> str:
    """Put a path behind a base URL, and before what it asks for, if it does (`?api-version=...`)."""
    base, question, query = base_url.partition("?")
    return f"{base.rstrip('/')}{path}{question}{query}"
