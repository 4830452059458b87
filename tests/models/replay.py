"""An HTTP server on loopback that answers what a test says, byte for byte."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream
from attrs import define, field

SSE = "text/event-stream"


@define
class Exchange:
    """One connection, from the server's side."""

    stream: SocketStream
    head: bytes
    body: bytes
    gone: anyio.Event = field(factory=anyio.Event)
    """Set when the client has closed the connection."""

    async def start(
        self, status: int = 200, kind: str = SSE, headers: Mapping[str, str] | None = None
    ) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "transfer-encoding: chunked"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.stream.send("\r\n".join([*lines, "", ""]).encode())

    async def send(self, data: bytes) -> None:
        if data:
            await self.stream.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(
        self,
        *pieces: bytes,
        status: int = 200,
        kind: str = SSE,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with one chunk for each piece, all of them at once on the wire."""
        await self.start(status, kind, headers)
        framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
        await self.stream.send(b"".join([*framed, b"0\r\n\r\n"]))


@define
class Server:
    url: str
    exchanges: list[Exchange] = field(factory=list)
    connections: int = 0


Handler = Callable[[Exchange], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    """Serve until the block is left; each request is given to the handler."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    server = Server(f"http://127.0.0.1:{port}")

    async def connection(stream: SocketStream) -> None:
        server.connections += 1
        async with stream:
            buffer = b""
            try:
                while True:
                    exchange, buffer = await _request(stream, buffer)
                    server.exchanges.append(exchange)
                    await _handle(handler, exchange)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, connection)
        yield server
        tasks.cancel_scope.cancel()


async def _handle(handler: Handler, exchange: Exchange) -> None:
    try:
        await handler(exchange)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        exchange.gone.set()
        raise


async def _request(stream: SocketStream, buffer: bytes) -> tuple[Exchange, bytes]:
    while b"\r\n\r\n" not in buffer:
        buffer += await stream.receive()
    head, _, rest = buffer.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length")
    )
    while len(rest) < length:
        rest += await stream.receive()
    return Exchange(stream, head, rest[:length]), rest[length:]


async def until_closed(exchange: Exchange) -> None:
    """Wait until the client has closed the connection."""
    try:
        await exchange.stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        exchange.gone.set()


def events(*data: str) -> bytes:
    """Write server-sent events."""
    return "".join(f"data: {item}\n\n" for item in data).encode()


def pieces(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut a body at the given places."""
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(body)}), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(places)]
