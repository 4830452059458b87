"""The transport: what it does itself, and what it leaves to that of httpx."""

import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self

import httpx
from attrs import define, field

from tether.transport._exchanges import ConnectionWasStaleError, exchange
from tether.transport._pool import Pool
from tether.transport._requests import FramedRequest

__all__ = ("StreamingTransport",)

_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20)
"""Those of httpx."""

_OF_HTTPCORE: Final = frozenset({"target", "trace"})
"""Extensions of requests that are heeded by httpcore alone."""


class StreamingTransport(httpx.AsyncBaseTransport):
    """Carries requests over HTTP/1.1, at about half of what the transport of httpx costs for each piece of an answer.

    It goes into any client: `httpx.AsyncClient(transport=StreamingTransport())`, also the one that an SDK is given. The
    arguments are those of `httpx.AsyncHTTPTransport`, and so are timeouts, limits and exceptions. What it does not do
    itself it hands to one of those: HTTP/2, proxies, Unix sockets, upgrades, other schemes, and requests with the
    extensions `trace` and `target`.

    The pieces of a body are as they arrive: chunks that come in one read are one piece. A body is read when it is
    asked for, and not before, so a slow consumer slows the server down.

    A connection that was kept is looked at before it is used. A request is sent again, over another connection, only
    if the server had closed the kept one before it had the whole request, and has not answered.

    Args:
        verify: False to check no certificates; or the TLS context to use.
        cert: the certificate of the client.
        trust_env: whether SSL_CERT_FILE and SSL_CERT_DIR are heeded.
        http1: False for HTTP/2 alone.
        http2: whether HTTP/2 may be used.
        limits: how many connections there may be, how many are kept without a request, and how long.
        proxy: what all requests go through.
        uds: path of the Unix socket to connect to.
        local_address: the address to connect from.
        retries: how often to try again to connect.
        socket_options: set on each socket.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | str | bool = True,
        cert: Any = None,
        trust_env: bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _LIMITS,
        proxy: httpx.Proxy | httpx.URL | str | None = None,
        uds: str | None = None,
        local_address: str | None = None,
        retries: int = 0,
        socket_options: Iterable[Any] | None = None,
    ) -> None:
        tls = httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        self._pool = Pool(limits, tls)
        self._other = _Other(
            {
                "verify": tls,
                "http1": http1,
                "http2": http2,
                "limits": limits,
                "proxy": proxy,
                "uds": uds,
                "local_address": local_address,
                "retries": retries,
                "socket_options": socket_options,
            }
        )
        special = (http2, not http1, proxy, uds, local_address, retries, socket_options)
        self._leaves_all = any(special)
        if self._leaves_all:
            self._other.get()  # so that what is wrong with the settings is raised here

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and wait until its answer begins.

        Args:
            request: what is sent. Of its extensions, `timeout` and `sni_hostname` are heeded.

        Returns:
            The answer, whose body is read from its `stream`. It has to be closed.

        Raises:
            httpx.TransportError: of every kind.

        Cancellation:
            Closes the connection.
        """
        if self._leaves_all or not _is_plain(request):
            return await self._other.get().handle_async_request(request)
        framed = FramedRequest(request)
        while True:
            connection = await self._pool.take(request.url, request.extensions)
            try:
                return await exchange(self._pool, connection, request, framed)
            except ConnectionWasStaleError:
                framed = FramedRequest(request)

    async def aclose(self) -> None:
        """Close all connections.

        Cancellation:
            Waits until they are closed.
        """
        await self._pool.aclose()
        await self._other.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


@define(eq=False, repr=False)
class _Other:
    """The transport of httpx, made when it is first needed."""

    _settings: dict[str, Any]
    _made: httpx.AsyncHTTPTransport | None = field(default=None, init=False)

    def get(self) -> httpx.AsyncHTTPTransport:
        if self._made is None:
            self._made = httpx.AsyncHTTPTransport(**self._settings)
        return self._made

    async def aclose(self) -> None:
        if self._made is not None:
            await self._made.aclose()


def _is_plain(request: httpx.Request) -> bool:
    """Whether HTTP/1.1 as it is written here is enough for a request."""
    return (
        request.url.scheme in {"http", "https"}
        and request.url.host != ""
        and request.method != "CONNECT"
        and "upgrade" not in request.headers
        and _OF_HTTPCORE.isdisjoint(request.extensions)
    )
