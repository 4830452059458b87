"""A server of raw sockets that does what a test says, and the two transports that are compared over it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from attrs import define, field

from tether.transport import StreamingTransport

GUARD = 60
"""Seconds after which something hangs."""

TRANSPORTS: Mapping[str, Callable[..., httpx.AsyncBaseTransport]] = {
    "httpx": httpx.AsyncHTTPTransport,
    "ours": StreamingTransport,
}


@define
class Server:
    """What came to a server."""

    url: str
    requests: list[bytes] = field(factory=list)
    connections: int = 0
    open: int = 0
    """Connections that the client has not closed."""


Handler = Callable[[ByteStream, Server], Awaitable[None]]

LOST = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError)


@asynccontextmanager
async def serving(
    handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Serve until the block is left; each connection is given to the handler."""
    listener: Any = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    server = Server(f"{'https' if tls else 'http'}://{host}:{port}")
    if tls is not None:
        listener = TLSListener(listener, tls, standard_compatible=False)

    async def connection(stream: ByteStream) -> None:
        server.connections += 1
        server.open += 1
        try:
            async with stream:
                await handler(stream, server)
        except LOST:
            pass
        finally:
            server.open -= 1

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, connection)
        yield server
        tasks.cancel_scope.cancel()


async def read_request(stream: ByteStream, server: Server | None = None) -> bytes:
    """Read a request, whose body has a length, comes in chunks or is not there; and remember it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        while not body.endswith(b"0\r\n\r\n"):
            body += await stream.receive()
    elif b"content-length:" in lower:
        length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += await stream.receive()
    whole = head + b"\r\n\r\n" + body
    if server is not None:
        server.requests.append(whole)
    return whole


def answering(*answers: bytes) -> Handler:
    """Answer the requests of a connection one after the other, and close it behind the last."""

    async def handle(stream: ByteStream, server: Server) -> None:
        for answer in answers:
            await read_request(stream, server)
            await stream.send(answer)

    return handle


@asynccontextmanager
async def client_of(name: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client with one of the two transports."""
    transport = TRANSPORTS[name](**{"verify": False, **settings})
    with anyio.fail_after(GUARD):
        async with httpx.AsyncClient(transport=transport, timeout=GUARD) as client:
            yield client


async def outcome(client: httpx.AsyncClient, method: str, url: str, **settings: Any) -> Any:
    """Make a request; return all of its answer, or the exception with what had come."""
    body = b""
    try:
        async with client.stream(method, url, **settings) as response:
            async for piece in response.aiter_raw():
                body += piece
            about = response.http_version, response.status_code, response.reason_phrase
            return about, response.headers.raw, body
    except httpx.HTTPError as error:
        return type(error), str(error), body


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Both transports, one after the other."""
    name: str = request.param
    return name
