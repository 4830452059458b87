"""Connections to servers: opened, encrypted, written to and read, with the exceptions of httpx."""

import select
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Final

import anyio
import httpx
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream
from attrs import frozen

from tether.transport._receiving import ReadAhead, receiving

__all__ = ("CLOSING_TIME", "Connection", "Origin", "connect")

CLOSING_TIME: Final = 2.0
"""Seconds that closing may take."""

_READ_SIZE: Final = 24 * 1024
"""Bytes. A thousand replies that arrive at once hold as much each; a read of 64 KiB saves 3 % of the CPU of a flood."""


@frozen
class Origin:
    """Where a connection leads to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: httpx.URL) -> "Origin":
        """Return where requests to an address go."""
        default = 443 if url.scheme == "https" else 80
        port = default if url.port is None else url.port
        return cls(url.scheme, url.raw_host.decode("ascii"), port)


class Connection:
    """A connection to a server, which carries one request at a time.

    Args:
        stream: the stream of bytes.
        origin: where it leads to.
    """

    __slots__ = (
        "_read_ahead",
        "_socket",
        "_tls",
        "expires_at",
        "is_fresh",
        "is_open",
        "origin",
        "stream",
    )

    def __init__(self, stream: ByteStream, origin: Origin) -> None:
        self.stream = stream
        # A stream looks up all that it knows to tell one thing.
        self._socket = stream.extra(SocketAttribute.raw_socket, None)
        self._tls = stream.extra(TLSAttribute.ssl_object, None)
        self._read_ahead: Sequence[bytes] = stream.extra(ReadAhead.chunks, ())
        self.origin = origin
        self.is_fresh = True
        """Whether it has carried no request yet."""
        self.is_open = True
        self.expires_at = 0.0
        """When it has waited long enough for another request."""

    @property
    def is_readable(self) -> bool:
        """Whether something has come that was not asked for: the end of the connection, as a rule."""
        if self._socket is None or self._read_ahead or _is_readable(self._socket):
            return True
        return self._tls is not None and _holds_more(self._tls)

    async def send(self, data: bytes, seconds: float | None) -> None:
        """Send bytes.

        Raises:
            httpx.WriteTimeout: the server did not take them in time.
            httpx.WriteError: the connection is lost.

        Cancellation:
            Some of the bytes may have been sent.
        """
        try:
            if seconds is None:
                await self.stream.send(data)
                return
            with anyio.move_on_after(seconds):
                await self.stream.send(data)
                return
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError) as error:
            raise httpx.WriteError(str(error)) from error
        raise httpx.WriteTimeout("")

    async def receive(self, seconds: float | None) -> bytes:
        """Wait for bytes.

        Returns:
            What has come; nothing at the end of the connection.

        Raises:
            httpx.ReadTimeout: nothing came in time.
            httpx.ReadError: the connection is lost.

        Cancellation:
            At once.
        """
        try:
            if seconds is None:
                return await self.stream.receive(_READ_SIZE)
            with anyio.move_on_after(seconds):
                return await self.stream.receive(_READ_SIZE)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError) as error:
            raise httpx.ReadError(str(error)) from error
        raise httpx.ReadTimeout("")

    async def aclose(self) -> None:
        """Close it; a second time it does nothing.

        Cancellation:
            Waits until it is closed.
        """
        if self.is_open:
            self.is_open = False
            with anyio.move_on_after(CLOSING_TIME, shield=True):
                await self.stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Tell about the connection, by the names that httpcore has."""
        match info:
            case "ssl_object":
                return self._tls
            case "client_addr":
                return self.stream.extra(SocketAttribute.local_address, None)
            case "server_addr":
                return self.stream.extra(SocketAttribute.remote_address, None)
            case "socket":
                return self._socket
            case "is_readable":
                return self.is_readable
            case _:
                return None


async def connect(
    origin: Origin, tls: ssl.SSLContext, *, seconds: float | None, server_name: str | None
) -> Connection:
    """Open a connection.

    Args:
        origin: where to.
        tls: how it is encrypted, if the origin wants that.
        seconds: until it is there, and again as many until it is encrypted.
        server_name: what the certificate has to name, if that is not the host.

    Raises:
        httpx.ConnectTimeout: it took too long.
        httpx.ConnectError: there is none.

    Cancellation:
        Leaves nothing open.
    """
    try:
        with anyio.fail_after(seconds):
            stream = receiving(await anyio.connect_tcp(origin.host, origin.port), _READ_SIZE)
        if origin.scheme == "https":
            with anyio.fail_after(seconds):
                stream = await _encrypted(stream, tls, server_name or origin.host)
    except TimeoutError as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        # ssl.SSLError is an OSError.
        raise httpx.ConnectError(str(error)) from error
    return Connection(stream, origin)


async def _encrypted(stream: ByteStream, tls: ssl.SSLContext, server_name: str) -> ByteStream:
    tls.set_alpn_protocols(["http/1.1"])
    try:
        # Without the exchange of farewells: servers are not waited for, and some send none.
        return await TLSStream.wrap(
            stream,
            ssl_context=tls,
            hostname=server_name,
            standard_compatible=False,
            server_side=False,
        )
    except BaseException:
        with anyio.move_on_after(CLOSING_TIME, shield=True):
            await stream.aclose()
        raise


def _is_readable(raw: socket.socket) -> bool:
    if raw.fileno() < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([raw], [], [], 0)[0])
    poll = select.poll()
    poll.register(raw, select.POLLIN)
    return bool(poll.poll(0))


def _holds_more(tls: ssl.SSLObject) -> bool:
    """Whether something that came encrypted was not read; the connection is of no use if so."""
    try:
        tls.read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        return True
    return True
