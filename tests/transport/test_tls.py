"""TLS as httpx has it: what is trusted, what is refused, and what is agreed on."""

import ssl
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import ByteStream
from tests.transport.answers import CHUNKED, OK, sized
from tests.transport.serving import (
    GUARD,
    TRANSPORTS,
    Server,
    answering,
    client_of,
    outcome,
    read_request,
    serving,
    transport,
)

from tether.transport import StreamingTransport

trustme = pytest.importorskip("trustme", reason="trustme makes the certificates of these tests")

__all__ = ("transport",)

HELLO = sized(b"hello")


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_server_that_is_trusted(
    transport: str, server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with (
        serving(answering(HELLO, HELLO), tls=server_tls, host="localhost") as server,
        client_of(transport, verify=trusting) as client,
    ):
        async with client.stream("GET", server.url) as response:
            assert await response.aread() == b"hello"
            tls = response.extensions["network_stream"].get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == "http/1.1"
        assert (await outcome(client, "GET", server.url))[2] == b"hello"
        assert server.connections == 1


@pytest.mark.parametrize("fault", ["unknown authority", "another name", "not asked to check"])
async def test_a_server_that_is_not_trusted(
    fault: str, server_tls: ssl.SSLContext, trusting: ssl.SSLContext, anyio_backend_name: str
) -> None:
    verify: Any = {"unknown authority": True, "another name": trusting}.get(fault, False)
    host = "127.0.0.1" if fault == "another name" else "localhost"
    seen = []
    for name in TRANSPORTS:
        async with (
            serving(answering(HELLO), tls=server_tls, host=host) as server,
            client_of(name, verify=verify) as client,
        ):
            seen.append(await outcome(client, "GET", server.url))
    theirs, ours = seen
    if fault == "not asked to check":
        assert ours[2] == theirs[2] == b"hello"
        return
    assert ours[0] is theirs[0] is httpx.ConnectError
    assert "CERTIFICATE_VERIFY_FAILED" in ours[1]
    if anyio_backend_name == "asyncio":
        assert ours == theirs


async def test_the_environment_says_what_is_trusted(
    transport: str,
    server_tls: ssl.SSLContext,
    authority: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with serving(answering(HELLO), tls=server_tls, host="localhost") as server:
        async with client_of(transport, verify=True) as client:
            assert (await outcome(client, "GET", server.url))[2] == b"hello"
        async with client_of(transport, verify=True, trust_env=False) as client:
            assert (await outcome(client, "GET", server.url))[0] is httpx.ConnectError


async def test_the_name_in_the_certificate_may_be_another_than_that_of_the_host(
    transport: str, server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with (
        serving(answering(HELLO), tls=server_tls) as server,
        client_of(transport, verify=trusting) as client,
    ):
        named = {"sni_hostname": "localhost"}
        assert (await outcome(client, "GET", server.url, extensions=named))[2] == b"hello"


async def test_a_server_that_speaks_no_tls(transport: str, trusting: ssl.SSLContext) -> None:
    async def handle(stream: ByteStream, _: Server) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(handle) as server, client_of(transport, verify=trusting) as client:
        found = await outcome(client, "GET", server.url.replace("http:", "https:"))
    assert found[0] is httpx.ConnectError


async def test_a_server_that_hangs_up_in_the_handshake(
    transport: str, trusting: ssl.SSLContext
) -> None:
    async def handle(stream: ByteStream, _: Server) -> None:
        await stream.receive()

    async with serving(handle) as server, client_of(transport, verify=trusting) as client:
        found = await outcome(client, "GET", server.url.replace("http:", "https:"))
    assert found[0] is httpx.ConnectError


async def test_a_handshake_that_takes_too_long(transport: str, trusting: ssl.SSLContext) -> None:
    async def handle(_: ByteStream, __: Server) -> None:
        await anyio.sleep_forever()

    async with serving(handle) as server, client_of(transport, verify=trusting) as client:
        url = server.url.replace("http:", "https:")
        found = await outcome(client, "GET", url, timeout=httpx.Timeout(GUARD, connect=0.05))
    assert found[:2] == (httpx.ConnectTimeout, "")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK + b"\r\nhello", b"hello"),
        (CHUNKED + b"5\r\nhello\r\n", httpx.RemoteProtocolError),
    ],
)
async def test_a_server_that_says_no_farewell(
    transport: str,
    server_tls: ssl.SSLContext,
    trusting: ssl.SSLContext,
    answer: bytes,
    expected: Any,
) -> None:
    async def handle(stream: ByteStream, server: Server) -> None:
        await read_request(stream, server)
        await stream.send(answer)

    async with (
        serving(handle, tls=server_tls, host="localhost") as server,
        client_of(transport, verify=trusting) as client,
    ):
        found = await outcome(client, "GET", server.url)
    assert expected in found


async def test_what_came_encrypted_behind_an_answer_is_no_answer(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Two records, which come together; the second one waits decrypted where no socket shows it."""

    async def handle(stream: ByteStream, server: Server) -> None:
        await read_request(stream, server)
        tls: Any = stream
        tls._ssl_object.write(HELLO)
        await stream.send(sized(b"smuggled"))
        await anyio.sleep_forever()

    async with (
        serving(handle, tls=server_tls, host="localhost") as server,
        client_of("ours", verify=trusting) as client,
    ):
        for _ in range(2):
            assert (await outcome(client, "GET", server.url))[2] == b"hello"
        assert server.connections == 2


async def test_http2_is_left_to_the_transport_of_httpx() -> None:
    pytest.importorskip("h2", reason="httpx needs h2 for HTTP/2")
    transport = StreamingTransport(http2=True, verify=False)
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")
