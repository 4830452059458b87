"""Models over HTTP. The only file that knows httpx.

One request is one response, streamed: bytes to events to deltas, each step a generator, and nothing is read
before someone asks for the next delta. Leaving a stream early closes its connection; reading it to the end
leaves the connection for the next request of the same `connected` model.
"""

import functools
import inspect
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

import anyio
import httpx
import msgspec
from attrs import evolve, field, frozen

from tether.deltas import Delta
from tether.errors import ModelError
from tether.model import DeltaStream, Model, ModelRequest
from tether.models._failures import error_from_response
from tether.models._sse import frame_events
from tether.models._wire import Decoder, WireApi
from tether.models.retry import RetryPolicy

__all__ = ("HttpModel", "Key", "respond_in_process")

Key: TypeAlias = str | Callable[[], str | Awaitable[str]] | None
"""A key, or a function that is asked for it at each request; None where the server wants none."""

_LONGEST_ERROR_BODY: Final = 64 * 1024
_CLOSING_TIME: Final = 2.0
_LAST_BYTES_TIME: Final = 0.25
"""Seconds for what follows the end of a reply, so that its connection can be used again."""


@frozen(kw_only=True)
class HttpModel:
    """A model that is reached over HTTP. It holds no connection: `connected` does.

    Raises:
        ModelError: from `stream`, of every kind.
    """

    name: str
    """What people call it."""
    model: str
    """What the server calls it."""
    api: WireApi
    base_url: str
    key: Key = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """Sent beside those of the API."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    """Kept by who runs the model: `stream` itself asks once."""
    connect_timeout: float = 10.0
    """Seconds."""
    first_byte_timeout: float = 600.0
    """Seconds until the server answers; models that think take long."""
    idle_timeout: float = 120.0
    """Seconds between two pieces of the answer, counted only while we wait for one."""
    transport: Callable[[], httpx.AsyncBaseTransport] | None = field(default=None, repr=False)
    """Makes what carries requests in place of a network connection."""
    _client: httpx.AsyncClient | None = field(default=None, repr=False, eq=False)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Model]:
        """Open a pool of connections that all requests of the block share.

        Returns:
            A context manager that gives the same model, connected.

        Cancellation:
            The connections are closed, then it passes on.
        """
        client = self._open()
        try:
            yield evolve(self, client=client)
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
        key = await _resolved(self.key)
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        body = msgspec.json.encode(self.api.encode(request, self.model))
        with self._translated(key):
            async with self._client.stream(
                "POST",
                self.api.url(self.base_url, self.model),
                content=body,
                headers={
                    "content-type": "application/json",
                    **headers,
                    **self.api.headers(key),
                    **self.headers,
                },
            ) as response:
                await _refuse_what_is_no_stream(response)
                async with _unwinding(self._chunks(response)) as chunks:
                    yield _Deltas(chunks, self.api.decode(self.model))

    def _open(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(self.first_byte_timeout, connect=self.connect_timeout)
        if self.transport is not None:
            return httpx.AsyncClient(transport=self.transport(), timeout=timeout)
        secure = self.base_url.startswith("https")
        return httpx.AsyncClient(verify=_trusted() if secure else False, timeout=timeout)

    def _chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        # httpcore reads the timeout from here when the body is begun.
        response.request.extensions["timeout"]["read"] = self.idle_timeout
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        # What `aiter_raw` adds to the stream itself, counts and cuts, is not needed here.
        stream: Any = response.stream
        chunks: Any = response.aiter_bytes() if encoded else aiter(stream)
        return chunks  # type: ignore[no-any-return]  # httpx says iterator, and gives a generator

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Raise what httpx raises as `ModelError`, and never with the key in it."""
        try:
            yield
        except ModelError as error:
            if key and key in error.message:
                error.message = error.message.replace(key, "[key]")
                error.args = (error.message,)
            raise
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> ModelError:
        match error:
            case httpx.ConnectTimeout() | httpx.PoolTimeout():
                waited = f"no connection to {self.base_url} within {self.connect_timeout:g} s"
                return ModelError(waited, kind="timeout")
            case httpx.TimeoutException():
                waited = (
                    f"{self.name} was silent for too long: {self.first_byte_timeout:g} s before its "
                    f"answer, or {self.idle_timeout:g} s within it"
                )
                return ModelError(waited, kind="timeout")
            case httpx.ConnectError():
                return ModelError(f"cannot connect to {self.base_url}: {error}", kind="connection")
            case httpx.InvalidURL() | httpx.UnsupportedProtocol():
                return ModelError(
                    f"{self.base_url!r} is no base URL: {error}", kind="invalid_request"
                )
            case _:
                return ModelError(
                    f"the connection to {self.name} was lost: {error or type(error).__name__}",
                    kind="connection",
                )


def respond_in_process(
    respond: Callable[[Mapping[str, Any]], Iterator[Mapping[str, Any]]],
) -> Callable[[], httpx.AsyncBaseTransport]:
    """Make a transport that answers requests by a function: a server inside the process.

    Args:
        respond: given the body of a request, gives the JSON objects of the event stream that answers it.

    Returns:
        What makes the transport, for `HttpModel.transport`.
    """

    def handle(request: httpx.Request) -> httpx.Response:
        events = respond(msgspec.json.decode(request.content))
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, stream=_EventBody(events)
        )

    return lambda: httpx.MockTransport(handle)


class _EventBody(httpx.AsyncByteStream):
    """A body made as it is read, with a checkpoint before each event."""

    def __init__(self, events: Iterator[Mapping[str, Any]]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        for event in self._events:
            return b"data: " + msgspec.json.encode(event) + b"\n\n"
        raise StopAsyncIteration


class _Deltas:
    """A reply as it arrives: reads on when what was read is used up."""

    __slots__ = ("_chunks", "_decoder", "_error", "_frames", "_over", "_ready")

    def __init__(self, chunks: AsyncIterator[bytes], decoder: Decoder) -> None:
        self._chunks = chunks
        self._frames = frame_events()
        self._decoder = decoder
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
        except StopAsyncIteration:
            self._end()
            return
        decode, extend = self._decoder.send, self._ready.extend
        try:
            for event in self._frames.send(chunk):
                extend(decode(event))
        except StopIteration as end:
            self._finish(end)
        except ModelError as error:
            # What came before it in the same read is still to be given out.
            self._error = error

    def _end(self) -> None:
        try:
            self._decoder.send(None)
        except StopIteration as end:
            self._finish(end)
        except ModelError as error:
            self._error = error

    def _finish(self, end: StopIteration) -> None:
        self._over = True
        self._ready.extend(end.value)

    async def _read_to_the_end(self) -> None:
        """Read what follows the reply, as a rule nothing but the end of the body."""
        with anyio.move_on_after(_LAST_BYTES_TIME):
            async for _ in self._chunks:
                pass


@asynccontextmanager
async def _unwinding(
    chunks: AsyncGenerator[bytes, None],
) -> AsyncIterator[AsyncGenerator[bytes, None]]:
    """Finish an async generator, and those inside it, when the block is left.

    httpx reads a body through several generators, one inside the other, and closing the outer one leaves the
    others to the garbage collector, which trio complains of. Run on once more where everything is cancelled,
    each of them ends as it would in a cancelled task.
    """
    try:
        yield chunks
    finally:
        with anyio.CancelScope() as scope:  # noqa: ASYNC100 - each step of the generator is one
            scope.cancel()
            async for _ in chunks:  # noqa: ASYNC102 - it is there to be cancelled
                pass


async def _refuse_what_is_no_stream(response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "")
    if response.status_code == 200 and not kind.startswith(("application/json", "text/html")):
        return
    body = bytearray()
    async with _unwinding(response.aiter_bytes()) as chunks:  # type: ignore[arg-type]  # as in `_chunks`
        async for chunk in chunks:
            body += chunk
            if len(body) > _LONGEST_ERROR_BODY:
                break
    raise error_from_response(response.status_code, response.headers, bytes(body))


async def _resolved(key: Key) -> str:
    if callable(key):
        answer = key()
        return await answer if inspect.isawaitable(answer) else answer
    return key or ""


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates to trust: reading them takes longer than a whole turn, and they do not change."""
    return httpx.create_ssl_context()
