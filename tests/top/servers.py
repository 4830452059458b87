"""Servers on loopback that answer as a test says, byte by byte."""

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.tls import TLSListener
from attrs import define, field

TEXT = "text/plain; version=0.0.4; charset=utf-8"


def answered(body: bytes | str, *headers: str, status: str = "200 OK", kind: str = TEXT) -> bytes:
    """An HTTP response, whole."""
    data = body if isinstance(body, bytes) else body.encode()
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(data)}",
        *headers,
    ]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + data


@define
class Server:
    """A server that runs."""

    address: str
    requests: list[str] = field(factory=list)
    """Their heads."""


Reply = Callable[[int], bytes | None]
"""The number of a request to its response; None to say nothing."""


@asynccontextmanager
async def serving(
    reply: bytes | Sequence[bytes] | Reply,
    *,
    socket: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """Serve: always the same, one after the other, or what a function says."""

    def chosen(number: int) -> bytes | None:
        if isinstance(reply, bytes):
            return reply
        return reply(number) if callable(reply) else reply[min(number, len(reply) - 1)]

    async def handle(stream: ByteStream) -> None:
        async with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                try:
                    head += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    return
            server.requests.append(head.decode())
            response = chosen(len(server.requests) - 1)
            if response is None:
                await anyio.sleep_forever()
                return
            try:
                await stream.send(response)
            except anyio.BrokenResourceError:
                return

    listener = await _listener(socket)
    address = f"unix:{socket}"
    if socket is None:
        port = listener.extra(SocketAttribute.local_port)
        address = f"http{'s' if tls else ''}://127.0.0.1:{port}/metrics"
    if tls is not None:
        listener = TLSListener(listener, tls, standard_compatible=False)
    server = Server(address)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield server
        tasks.cancel_scope.cancel()


async def _listener(socket: str | None) -> Listener[Any]:
    if socket is not None:
        return await anyio.create_unix_listener(socket)
    return await anyio.create_tcp_listener(local_host="127.0.0.1")
