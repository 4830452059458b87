"""What a wire API is: how a request is written, and how a reply is read. No I/O."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from attrs import frozen

from tether.deltas import Delta
from tether.model import ModelRequest
from tether.models._wire.cached_prefix import CachedPrefix
from tether.models._wire.sse import ServerSentEvent

__all__ = ("Decoder", "Encode", "WireApi", "join_url")

Decoder: TypeAlias = Generator[Sequence[Delta], ServerSentEvent | None, Sequence[Delta]]
"""A generator that reads one reply.

It is started with `next`. It is sent server-sent events one at a time, and None when the stream ends. It yields the
deltas that follow from each event, and returns the last ones: a `ReplyEnd` with the finished message, and what comes
before it. It returns as soon as the reply is whole, since a server may keep the stream open. It raises nothing but
`ModelError`, with what had arrived as its `partial`; one that is thrown in, because the connection was lost, is raised
like its own."""


class Encode(Protocol):
    """Writes a request."""

    def __call__(
        self, request: ModelRequest, model: str, cache: CachedPrefix | None = ..., /
    ) -> dict[str, Any]:
        """Make the body of a request.

        Args:
            request: what the model is asked.
            model: the model's name for the server.
            cache: keeps what was written of the conversation for the next request; None to keep nothing.
        """
        ...


@frozen
class WireApi:
    """One way of speaking to models over HTTP."""

    name: str
    encode: Encode
    decode: Callable[[str], Decoder]
    """From the model's name to a decoder for one reply."""
    url: Callable[[str, str], str]
    """From the base URL and the model's name to the URL to post to."""
    headers: Callable[[str], Mapping[str, str]]
    """From the key to the headers that carry it."""
    at: "Callable[[str], WireApi] | None" = None
    """From another base URL than the vendor's to the API as the server there speaks it, if that may differ."""


def join_url(base_url: str, path: str) -> str:
    """Append a path to a base URL, before its query if it has one (`?api-version=...`)."""
    base, question, query = base_url.partition("?")
    return f"{base.rstrip('/')}{path}{question}{query}"
