"""Models over HTTP.

One request is one response, streamed: bytes to events to deltas, each step a generator, and nothing is read
before someone asks for the next delta. Leaving a stream early closes its connection; reading it to the end
leaves the connection for the next request of the same `connected` model.

A key is in no error, repr or log: requests go to the transport of httpx, since its client logs their addresses.
"""

import base64
import functools
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

import anyio
import httpx
from attrs import define, evolve, field, frozen

from tether._scopes.task_groups import within
from tether.deltas import Delta
from tether.errors import ModelError, UsageError
from tether.model import DeltaStream, Model, ModelRequest, RetryPolicy
from tether.models._http.environment import proxy_for, proxy_url, tls_context
from tether.models._http.failures import explained
from tether.models._http.reply_stream import ReplyStream, error_body, opened_body
from tether.models._http.secrets import (
    Key,
    Secrets,
    legal_headers,
    legal_key,
    printable_url,
    resolved_key,
)
from tether.models._http.unpacking import Unpacker, unpacker
from tether.models._http.waiting import TimedBody, Waiting
from tether.models._wire.body import decode_unasked, frame_body
from tether.models._wire.cached_prefix import CachedPrefix
from tether.models._wire.failures import error_from_response
from tether.models._wire.leniency import json_text
from tether.models._wire.protocol import Decoder, Sign, WireApi, without_stream
from tether.models._wire.refusals import option_refused, without_options
from tether.models.knowledge import closest_models
from tether.transport import StreamingTransport

__all__ = ("HttpModel",)

_CLOSING_TIME: Final = 2.0

_REFUSING: Final = frozenset({400, 422})
"""Statuses with which servers refuse an option."""

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
        UsageError: the key or a header cannot be sent.
        ModelError: from `stream`, of every kind.
        UsageError: from `stream`; the provider does not take a block of the conversation.
    """

    name: str
    """The name for people."""
    model: str
    """The name for the server."""
    api: WireApi
    base_url: str = field(repr=lambda url: repr(printable_url(url)))
    key: Key = field(default=None, repr=False, validator=legal_key)
    headers: Mapping[str, str] = field(factory=dict, repr=False, validator=legal_headers)
    """Sent in addition to those of the API."""
    retry: RetryPolicy = field(factory=RetryPolicy)
    """For whoever runs the model: `stream` itself makes one request."""
    connect_timeout: float = 10.0
    """Seconds until there is a connection, and again as many until it is encrypted."""
    first_byte_timeout: float = 600.0
    """Seconds from the last byte of the request to the first one of the answer's body; a model that thinks may take
    long."""
    idle_timeout: float = 300.0
    """Seconds between two pieces of the answer; only time spent waiting for one counts. Some models think for
    minutes within their answer, and show nothing of it."""
    max_reply_size: int = 128 * 1024 * 1024
    """Bytes of a reply, unpacked if it comes packed; a larger one is an error."""
    streaming: bool = field(default=True, alias="stream")
    """False to ask for replies in one piece, from a server that cannot stream; their deltas come at once."""
    sign: Sign | None = field(default=None, repr=False)
    """Proves who asks, in place of a key."""
    clock: Callable[[], float] = field(default=time.time, repr=False)
    """Seconds since the epoch, for servers that say until when to wait."""
    transport: Callable[[], httpx.AsyncBaseTransport] | None = field(default=None, repr=False)
    """Makes the transport that carries requests in place of a network connection."""
    _key_from: str = field(default="passed as api_key", repr=False, eq=False)
    """Where the key comes from, for errors."""
    _connection: httpx.AsyncBaseTransport | None = field(default=None, repr=False, eq=False)
    _prefix: CachedPrefix | None = field(default=None, repr=False, eq=False)
    _refused: set[str] = field(factory=set, repr=False, eq=False)
    """The options that the server refuses, as far as that is known of this connection."""
    _proxy: str = field(default="", repr=False, eq=False)
    """The address of the proxy that the connection goes through, if there is one."""
    _kept: "_Kept" = field(factory=lambda: _Kept(), repr=False, eq=False)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Model]:
        """Open a pool of connections for all requests of the block.

        Returns:
            A context manager that gives the same model, connected.

        Raises:
            ModelError: the environment names a proxy or certificates that cannot be used.

        Cancellation:
            The connections are closed, then it passes on.
        """
        connection = self._open()
        try:
            proxy = proxy_url(self.base_url) or ""
            yield evolve(
                self,
                connection=connection,
                prefix=CachedPrefix(),
                refused=set(),
                proxy=proxy,
                kept=_Kept(),
            )
        finally:
            with anyio.move_on_after(_CLOSING_TIME, shield=True):
                await connection.aclose()

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[DeltaStream]:
        """Ask, and open the reply; see `Model.stream`."""
        if self._connection is None:
            async with self.connected() as connected, connected.stream(request) as deltas:
                yield deltas
            return
        key = await resolved_key(self.key)
        waiting = Waiting()
        begun: list[ReplyStream] = []
        with within(waiting.scope):
            answer = await self._answered(self._connection, request, key, waiting)
            try:
                async with opened_body(answer.response) as chunks:
                    reply = ReplyStream(
                        chunks,
                        (self.api.frame or frame_body)(),
                        self._decoder(answer.response),
                        border=answer.border,
                        unpacker=_unpacker(answer.response, answer.border),
                        room=self.max_reply_size,
                        waiting=waiting,
                        first_byte_timeout=answer.time_left,
                        idle_timeout=self.idle_timeout,
                    )
                    begun.append(reply)
                    yield reply
            finally:
                await answer.aclose()
        # The consumer was cancelled when it went on to wait in the block: it has caught the timeout, or the time was
        # over in the moment in which a piece came.
        for reply in begun:
            if waiting.scope.cancelled_caught and (failure := reply.timed_out()) is not None:
                raise failure

    def _open(self) -> httpx.AsyncBaseTransport:
        if self.transport is not None:
            return self.transport()
        return StreamingTransport(
            verify=tls_context(self.base_url),
            limits=_LIMITS,
            proxy=proxy_for(self.base_url),
        )

    @property
    def _url(self) -> str:
        whole_url = None if self.streaming else self.api.whole_url
        return (whole_url or self.api.url)(self.base_url, self.model)

    async def _answered(
        self,
        connection: httpx.AsyncBaseTransport,
        request: ModelRequest,
        key: str,
        waiting: Waiting,
    ) -> "_Answer":
        """Send a request; again without an option that the server refuses; and raise any other failure."""
        body = self._written(request)
        left_out = list(self._refused)
        while True:
            sent = without_options(body, left_out)
            answer = await self._send(connection, sent, key, waiting)
            status = answer.response.status_code
            if status == 200:
                self._refused.update(left_out)
                return answer
            told = await answer.read_error()
            refused = option_refused(sent, told, left_out) if status in _REFUSING else None
            if refused is None:
                raise self._failure(answer, told)
            left_out.append(refused)

    async def _send(
        self,
        connection: httpx.AsyncBaseTransport,
        body: Mapping[str, Any],
        key: str,
        waiting: Waiting,
    ) -> "_Answer":
        """Send a request, and wait until the answer begins."""
        content = json_text(body)
        proof = {} if self.sign is None else await self.sign(self._url, content)
        border = _Border(self, self._secrets(key, proof))
        asked = _Asked(content, {**self.api.headers(key), **proof})
        try:
            response, time_left = await self._begun(connection, self._request(asked), waiting)
            return _Answer(response, time_left, border)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            failure = border.explained(error, answered=False)
        # Not within the handler: the exception would become the context of the error.
        raise failure

    def _secrets(self, key: str, proof: Mapping[str, str]) -> Secrets:
        kept = self._kept
        if proof or kept.secrets is None or kept.key != key:
            private = {**self.headers, **proof}
            kept.key = key
            kept.secrets = Secrets.of(key, private, self.base_url, self._proxy)
        return kept.secrets

    def _request(self, asked: "_Asked") -> httpx.Request:
        url = self._kept.url = self._kept.url or httpx.URL(self._url)
        if not url.host:
            raise httpx.InvalidURL("it names no host")
        headers = httpx.Headers(
            {
                "accept": "text/event-stream" if self.streaming else "application/json",
                "accept-encoding": "identity",
                "content-type": "application/json",
                "user-agent": "tether",
                **asked.headers,
            }
        )
        if url.userinfo:
            login = base64.b64encode(unquote(url.userinfo.decode()).encode()).decode()
            headers["authorization"] = f"Basic {login}"
        headers.update(self.headers)
        return httpx.Request("POST", url, content=asked.body, headers=headers)

    def _written(self, request: ModelRequest) -> Mapping[str, Any]:
        try:
            body = self.api.encode(request, self.model, self._prefix)
        except UsageError as error:
            raise UsageError(f"{self.name}: {error}") from None
        return body if self.streaming else without_stream(body)

    async def _begun(
        self, connection: httpx.AsyncBaseTransport, asked: httpx.Request, waiting: Waiting
    ) -> tuple[httpx.Response, float]:
        asked.stream = TimedBody(asked.content, waiting, self.first_byte_timeout)
        asked.extensions["timeout"] = {
            "connect": self.connect_timeout,
            "read": None,
            "write": None,
            "pool": None,
        }
        # Each step to a connection has a timeout; here all of them have, such as the answer of a proxy.
        most = 2 * self.connect_timeout + self.first_byte_timeout
        waiting.allow(most, httpx.ConnectTimeout)
        try:
            response = await connection.handle_async_request(asked)
        except anyio.get_cancelled_exc_class() as error:  # noqa: ASYNC103 - the scope is left by the error
            if not waiting.caused(error):
                raise
        else:
            left = waiting.left
            waiting.stop()
            return response, left
        raise waiting.error("")

    def _failure(self, answer: "_Answer", told: bytes) -> ModelError:
        """Make the error for an answer that is no reply, with a hint where to look."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        error = error_from_response(
            answer.response.status_code, answer.response.headers, told, now=now
        )
        if error.kind == "not_found":
            error.closest = closest_models(self.name)
            error.hint = f"POST {printable_url(self._url)}"
        elif error.kind == "authentication":
            error.hint = f"the key for {self.name.partition(':')[0]} is {self._key_from}"
        return answer.border.secrets.cleaned(error)

    def _decoder(self, response: httpx.Response) -> Decoder:
        decoder = self.api.decode(self.model)
        if re.search("event-?stream", response.headers.get("content-type", "")):
            return decoder
        describe = functools.partial(
            error_from_response,
            response.status_code,
            response.headers,
            now=datetime.fromtimestamp(self.clock(), UTC),
        )
        return decode_unasked(decoder, describe)


@define(eq=False, repr=False)
class _Kept:
    """What the requests of a connection have in common, and is made once."""

    url: httpx.URL | None = None
    key: str = ""
    secrets: Secrets | None = None
    """Those that go with the key."""


@frozen(eq=False, repr=False)
class _Asked:
    """What is asked, and the headers that say who asks."""

    body: bytes
    headers: Mapping[str, str]


@frozen(eq=False, repr=False)
class _Border:
    """What everything that comes from outside passes; see `reply_stream.Border`."""

    model: HttpModel
    secrets: Secrets

    @property
    def holds_login(self) -> bool:
        """Whether the address holds what people may not see, of which an exception may show parts."""
        return printable_url(self.model.base_url) != self.model.base_url

    def explained(self, error: Exception, *, answered: bool) -> ModelError:
        failure = explained(error, self.model, answered=answered)
        shows_parts = isinstance(error, httpx.InvalidURL | UnicodeError) and self.holds_login
        if failure is not error and not shows_parts:
            failure.__cause__ = error
        return self.secrets.cleaned(failure)

    def cleaned_delta(self, delta: Delta) -> Delta:
        return self.secrets.cleaned_delta(delta)


@frozen(eq=False, repr=False)
class _Answer:
    """An answer that has begun."""

    response: httpx.Response
    time_left: float
    """Seconds that its body may let us wait."""
    border: _Border

    async def read_error(self) -> bytes:
        """Read the body, as far as it comes, and close it."""
        try:
            # Cleaned before it is read: a message is cut where it is long.
            return self.border.secrets.without_in_body(await error_body(self.response))
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the answer."""
        with anyio.move_on_after(_CLOSING_TIME, shield=True):
            await self.response.aclose()


def _unpacker(response: httpx.Response, border: _Border) -> Unpacker | None:
    try:
        return unpacker(response.headers.get("content-encoding", ""))
    except zlib.error as error:
        failure = border.explained(error, answered=True)
    raise failure
