"""A request that is cancelled at each of its steps leaves nothing, in the clear and encrypted."""

import ssl
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import ByteStream
from tests.transport.answers import CHUNKED
from tests.transport.serving import GUARD, Server, read_request, serving

from tether.testing import cancel_at_every_step
from tether.transport import StreamingTransport

trustme = pytest.importorskip("trustme", reason="trustme makes the certificates of these tests")


async def handle(stream: ByteStream, server: Server) -> None:
    while True:
        await read_request(stream, server)
        await stream.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await stream.send(CHUNKED + b"3\r\none\r\n")
        await anyio.lowlevel.checkpoint()
        await stream.send(b"3\r\ntwo\r\n0\r\n\r\n")


async def requests(url: str, client: httpx.AsyncClient) -> None:
    """A body in one piece, one that comes slowly, and one that is left in the middle."""
    assert (await client.post(url, content=b"x")).content == b"onetwo"
    assert (await client.post(url, content=_Slow())).content == b"onetwo"
    async with client.stream("GET", url) as response:
        assert response.status_code == 200


class _Slow:
    """A body that is waited for; an async generator that is cancelled outside of it would not be finished."""

    def __init__(self) -> None:
        self._left = 2

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        self._left -= 1
        if self._left < 0:
            raise StopAsyncIteration
        return b"piece"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("encrypted", [False, True], ids=["http", "https"])
def test_nothing_is_left_wherever_it_is_cancelled(backend: Any, encrypted: bool) -> None:
    tls: ssl.SSLContext | None = None
    verify: Any = False
    if encrypted:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        verify = ssl.create_default_context()
        authority = trustme.CA()
        authority.issue_cert("localhost").configure_cert(tls)
        authority.configure_trust(verify)

    async def program() -> None:
        async with serving(handle, tls=tls, host="localhost") as server:
            carrier = StreamingTransport(verify=verify)
            async with httpx.AsyncClient(transport=carrier, timeout=GUARD) as client:
                await requests(server.url, client)

    report = cancel_at_every_step(program, backend=backend, limit=60)
    assert report.points >= 10
