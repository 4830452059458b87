"""What a wire API is: how a request is written, and how a reply is read. No I/O."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from attrs import frozen

from tether.deltas import Delta
from tether.model import ModelRequest
from tether.models._wire.cached_prefix import CachedPrefix
from tether.models._wire.sse import ServerSentEvent

__all__ = ("Decoder", "Encode", "Frames", "Sign", "WireApi", "join_url", "without_stream")

Frames: TypeAlias = Generator[Sequence[ServerSentEvent], bytes | None, None]
"""A generator that cuts a body into events.

It is started with `next`. It is sent the body, cut anywhere, and None at its end. It yields the events that are
complete; an answer in one piece is one event. It raises nothing but `ModelError`."""

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


class Sign(Protocol):
    """Proves who asks, where a key in a header does not."""

    async def __call__(self, url: str, body: bytes, /) -> Mapping[str, str]:
        """Sign a request.

        Args:
            url: where it goes.
            body: what is sent.

        Returns:
            The headers that prove it; they are secret.

        Raises:
            ModelError: there is nothing to sign it with.
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
    frame: Callable[[], Frames] | None = None
    """Makes the generator that cuts a body into events; `frame_body` if None."""
    whole_url: Callable[[str, str], str] | None = None
    """Like `url`, to ask for a reply in one piece, if that is another address."""
    at: "Callable[[str], WireApi] | None" = None
    """From another base URL than the vendor's to the API as the server there speaks it, if that may differ."""


def without_stream(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a request that asks for its reply in one piece."""
    return {key: value for key, value in body.items() if key not in {"stream", "stream_options"}}


def join_url(base_url: str, path: str) -> str:
    """Append a path to a base URL, before its query if it has one (`?api-version=...`)."""
    base, question, query = base_url.partition("?")
    return f"{base.rstrip('/')}{path}{question}{query}"
