"""Models over HTTP.

One request is one response, streamed: bytes to events to deltas, each step a generator, and nothing is read
before someone asks for the next delta. Leaving a stream early closes its connection; reading it to the end
leaves the connection for the next request of the same `connected` model.

A key is in no error, repr or log.
"""

import functools
import ssl
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
import httpx
from attrs import evolve, field, frozen

from tether.deltas import Delta
from tether.errors import ModelError, UsageError
from tether.model import DeltaStream, Model, ModelRequest, RetryPolicy
from tether.models._http.failures import explained
from tether.models._http.secrets import Key, resolved_key, without_key, without_password
from tether.models._wire.body import decode_unasked, frame_body
from tether.models._wire.cached_prefix import CachedPrefix
from tether.models._wire.failures import error_from_response
from tether.models._wire.leniency import json_text
from tether.models._wire.protocol import Decoder, WireApi
from tether.models.knowledge import closest_models

__all__ = ("HttpModel",)

_LONGEST_ERROR_BODY: Final = 64 * 1024
_ERROR_BODY_TIME: Final = 10.0
_CLOSING_TIME: Final = 2.0
_LAST_BYTES_TIME: Final = 0.25
"""Seconds for what follows the end of a reply, so that its connection can be used again."""

_LIMITS: Final = httpx.Limits(
    # The program decides how many requests it makes at once. A tool may run for a while between two of them.
    max_connections=None,
    max_keepalive_connections=20,
    keepalive_expiry=60.0,
)


@frozen(kw_only=True)
class HttpModel:
    """A model that is reached over HTTP. It holds no connection: `connected` does.

    Raises:
        ModelError: from `stream`, of every kind.
        UsageError: from `stream`; the provider does not take a block of the conversation.
    """

    name: str
    """The name for people."""
    model: str
    """The name for the server."""
    api: WireApi
    base_url: str = field(repr=lambda url: repr(without_password(url)))
    key: Key = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """Sent in addition to those of the API."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    """For whoever runs the model: `stream` itself makes one request."""
    connect_timeout: float = 10.0
    """Seconds."""
    first_byte_timeout: float = 600.0
    """Seconds until the server begins to answer; a model that thinks may take long."""
    idle_timeout: float = 300.0
    """Seconds between two pieces of the answer; only time spent waiting for one counts. Some models think for
    minutes within their answer, and show nothing of it."""
    max_reply_size: int = 128 * 1024 * 1024
    """Bytes of a reply on the wire; a larger one is an error."""
    transport: Callable[[], httpx.AsyncBaseTransport] | None = field(default=None, repr=False)
    """Makes the transport that carries requests in place of a network connection."""
    _client: httpx.AsyncClient | None = field(default=None, repr=False, eq=False)
    _prefix: CachedPrefix | None = field(default=None, repr=False, eq=False)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Model]:
        """Open a pool of connections for all requests of the block.

        Returns:
            A context manager that gives the same model, connected.

        Cancellation:
            The connections are closed, then it passes on.
        """
        client = self._open()
        try:
            yield evolve(self, client=client, prefix=CachedPrefix())
        finally:
            with anyio.move_on_after(_CLOSING_TIME, shield=True):
                await client.aclose()

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[DeltaStream]:
        """Ask, and open the reply; see `Model.stream`."""
        if self._client is None:
            async with self.connected() as connected, connected.stream(request) as deltas:
                yield deltas
            return
        key = await resolved_key(self.key)
        response = await self._send(self._client, request, key)
        try:
            await self._refuse_failures(response, key)
            # httpcore reads the timeout from here when the body is begun.
            response.request.extensions["timeout"]["read"] = self.idle_timeout
            async with _unwinding(_body(response)) as chunks:
                yield _Deltas(
                    chunks,
                    self._decoder(response),
                    explain=functools.partial(self._explained, key=key, answered=True),
                    unpack=_unpacker(response),
                    room=self.max_reply_size,
                )
        finally:
            with anyio.move_on_after(_CLOSING_TIME, shield=True):
                await response.aclose()

    def _open(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(self.first_byte_timeout, connect=self.connect_timeout)
        if self.transport is not None:
            return httpx.AsyncClient(transport=self.transport(), timeout=timeout)
        # httpx would build a TLS context for each client, also for an address without TLS.
        tls = _tls(checked=self.base_url.startswith("https"))
        return httpx.AsyncClient(verify=tls, timeout=timeout, limits=_LIMITS)

    async def _send(
        self, client: httpx.AsyncClient, request: ModelRequest, key: str
    ) -> httpx.Response:
        """Send a request, and wait until the answer begins."""
        headers = httpx.Headers(
            {
                "content-type": "application/json",
                "accept": "text/event-stream",
                "accept-encoding": "identity",
                **self.api.headers(key),
                **self.headers,
            }
        )
        body = self._written(request)
        url = self.api.url(self.base_url, self.model)
        try:
            asked = client.build_request("POST", url, content=body, headers=headers)
            asked.stream = _RequestBody(body)
            return await client.send(asked, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._explained(error, key=key, answered=False) from error

    def _written(self, request: ModelRequest) -> bytes:
        try:
            return json_text(self.api.encode(request, self.model, self._prefix))
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from None

    async def _refuse_failures(self, response: httpx.Response, key: str) -> None:
        if response.status_code == 200:
            return
        body = await _error_body(response)
        error = error_from_response(response.status_code, response.headers, body)
        if error.kind == "not_found":
            error.closest = closest_models(self.name)
        raise without_key(error, key)

    def _decoder(self, response: httpx.Response) -> Decoder:
        decoder = self.api.decode(self.model)
        if "event-stream" in response.headers.get("content-type", ""):
            return decoder
        describe = functools.partial(error_from_response, response.status_code, response.headers)
        return decode_unasked(decoder, describe)

    def _explained(self, error: Exception, *, key: str, answered: bool) -> ModelError:
        return without_key(explained(error, self, answered=answered), key)


class _RequestBody(httpx.AsyncByteStream):
    """A body in one piece.

    httpx's own is an async generator, which stays unfinished if the request is cancelled while it is sent.
    """

    def __init__(self, body: bytes) -> None:
        self._pieces = iter((body,))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class _Deltas:
    """A reply as it arrives; the body is read on when all deltas are used up."""

    __slots__ = (
        "_chunks",
        "_decoder",
        "_error",
        "_explain",
        "_frames",
        "_over",
        "_ready",
        "_room",
        "_unpack",
    )

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        decoder: Decoder,
        *,
        explain: Callable[[Exception], ModelError],
        unpack: Callable[[bytes], bytes] | None,
        room: int,
    ) -> None:
        self._chunks = chunks
        self._frames = frame_body()
        self._decoder = decoder
        self._explain = explain
        self._unpack = unpack
        self._room = room
        self._ready: deque[Delta] = deque()
        self._over = False
        self._error: ModelError | None = None
        next(self._frames)
        next(decoder)

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        ready = self._ready
        while not ready:
            if self._error is not None:
                raise self._error
            if self._over:
                await self._read_to_the_end()
                raise StopAsyncIteration
            await self._read()
        return ready.popleft()

    async def _read(self) -> None:
        try:
            chunk = await self._chunks.__anext__()
            if self._unpack is not None:
                chunk = self._unpack(chunk)
        except StopAsyncIteration:
            self._end(None)
            return
        except (httpx.HTTPError, httpx.StreamError, zlib.error) as error:
            failure = self._explain(error)
            failure.__cause__ = error
            self._end(failure)
            return
        self._room -= len(chunk)
        decode, extend = self._decoder.send, self._ready.extend
        try:
            for event in self._frames.send(chunk):
                extend(decode(event))
        except StopIteration as end:
            self._finish(end)
        except ModelError as error:
            # Deltas that came before it in the same read are delivered first.
            self._error = self._explain(error)
        else:
            if self._room < 0:
                self._end(ModelError("the reply is larger than it may be", kind="malformed"))

    def _end(self, failure: ModelError | None) -> None:
        """Report the end of the body to the decoder, and its reason."""
        try:
            if failure is None:
                for event in self._frames.send(None):
                    self._ready.extend(self._decoder.send(event))
                self._decoder.send(None)
            else:
                self._decoder.throw(failure)
        except StopIteration as end:
            self._finish(end)
        except ModelError as error:
            self._error = self._explain(error)

    def _finish(self, end: StopIteration) -> None:
        self._over = True
        self._ready.extend(end.value)

    async def _read_to_the_end(self) -> None:
        """Read what follows the reply, usually the end of the body alone; the reply is whole without it."""
        with anyio.move_on_after(_LAST_BYTES_TIME), suppress(httpx.HTTPError, httpx.StreamError):
            async for _ in self._chunks:
                pass


@asynccontextmanager
async def _unwinding(
    chunks: AsyncGenerator[bytes, None],
) -> AsyncIterator[AsyncGenerator[bytes, None]]:
    """Finish an async generator, and those inside it, when the block is left.

    httpx reads a body through several generators, one inside the other. Closing the outer one leaves the others to
    the garbage collector, of which trio complains. One more step inside a cancelled scope ends each of them as in a
    cancelled task.
    """
    try:
        yield chunks
    finally:
        # A cancellation or the end of the body has finished the generator already.
        if getattr(chunks, "ag_frame", chunks) is not None:
            with anyio.CancelScope() as scope:  # noqa: ASYNC100 - each step of the generator is one
                scope.cancel()
                async for _ in chunks:  # noqa: ASYNC102 - it is there to be cancelled
                    pass


async def _error_body(response: httpx.Response) -> bytes:
    """Read the body of an error, as far as it comes."""
    body = bytearray()
    with anyio.move_on_after(_ERROR_BODY_TIME), suppress(httpx.HTTPError, httpx.StreamError):
        async with _unwinding(_body(response)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > _LONGEST_ERROR_BODY:
                    break
    unpack = _unpacker(response)
    with suppress(zlib.error):
        return bytes(body) if unpack is None else unpack(bytes(body))[:_LONGEST_ERROR_BODY]
    return b""


def _body(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, without the counting and cutting that httpx would add."""
    stream: Any = response.stream
    chunks: AsyncGenerator[bytes, None] = aiter(stream)
    return chunks


def _unpacker(response: httpx.Response) -> Callable[[bytes], bytes] | None:
    """Return a function that unpacks the body; None for one that is not packed, which is what we ask for."""
    packing = response.headers.get("content-encoding", "identity")
    if packing == "identity":
        return None
    # Both gzip and deflate; zlib detects which by the first bytes.
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress


@functools.cache
def _tls(*, checked: bool) -> ssl.SSLContext:
    """The TLS context: to build it takes longer than a whole turn, and it does not change."""
    return httpx.create_ssl_context(verify=checked)
