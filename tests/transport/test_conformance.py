"""What holds of httpx's own transport holds of ours, over real sockets.

What differs on purpose stands in `DIFFERENCES`, and has tests of its own.
"""

import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio.abc import ByteStream, SocketAttribute
from tests.transport.answers import ANSWERS, GOOD, OK, sized
from tests.transport.serving import (
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

__all__ = ("transport",)

DIFFERENCES = {
    "bytes behind an answer": "httpx reads them as the answer to the next request; we close the connection",
    "an answer with both a length and chunks": "httpx keeps its connection, we close it",
    "connections that are kept": "httpx counts those in use too, and keeps fewer than it may",
    "which one is used again": "httpx takes the oldest, we take the one that was used last",
    "pieces of a body": "httpx makes one of each chunk, we make one of all that come together",
    "a kept connection that breaks while the request is sent": "we send it again, if it was not answered",
    "a body of another length than was said": "httpx lets an exception of h11 through, we raise its own",
    "texts of connect and TLS errors on trio": "httpx uses trio's streams there, whose texts differ or are empty",
}

HELLO = sized(b"hello")


async def by_name(stream: ByteStream, server: Server) -> None:
    """Answer with what the path names, in a few pieces."""
    while True:
        request = await read_request(stream, server)
        answer = list(ANSWERS.values())[int(request.split(b" ")[1][1:])]
        data = answer.data
        third = len(data) // 3 + 1
        for at in range(0, len(data), third):
            await stream.send(data[at : at + third])
            await anyio.lowlevel.checkpoint()
        if answer.closes:
            return


async def test_every_answer_is_taken_or_refused_alike() -> None:
    seen: dict[str, list[Any]] = {}
    for name in TRANSPORTS:
        seen[name] = []
        async with serving(by_name) as server, client_of(name) as client:
            for number, answer in enumerate(ANSWERS.values()):
                seen[name].append(await outcome(client, answer.method, f"{server.url}/{number}"))
            # Ours closes one more, after the answer with both a length and chunks.
            seen[name].append(server.connections - (name == "ours"))
    for name, theirs, ours in zip([*ANSWERS, "connections"], *seen.values(), strict=True):
        assert ours == theirs, name
        assert (type(ours[0]) is tuple) == (name in GOOD) if name in ANSWERS else True


async def pieces() -> AsyncGenerator[bytes, None]:
    for piece in (b"one", b"", b"two", b"x" * 70_000):
        yield piece


REQUESTS: dict[str, dict[str, Any]] = {
    "GET": {"method": "GET"},
    "a query": {"method": "GET", "params": {"a": "b c", "d": "\u00e4"}},
    "DELETE": {"method": "DELETE"},
    "an own method": {"method": "PURGE"},
    "a body": {"method": "POST", "content": b"hello"},
    "an empty body": {"method": "POST", "content": b""},
    "no body": {"method": "POST"},
    "JSON": {"method": "PUT", "json": {"a": [1, 2]}},
    "a form": {"method": "POST", "data": {"a": "b"}},
    "a file": {
        "method": "POST",
        "files": {"f": ("n.txt", b"hello", "text/plain")},
        "headers": {"content-type": "multipart/form-data; boundary=b"},
    },
    "a large body": {"method": "POST", "content": b"x" * 300_000},
    "chunks": {"method": "POST", "content": pieces},
    "a stream with a length": {
        "method": "POST",
        "content": pieces,
        "headers": {"content-length": "70006"},
    },
    "headers": {"method": "GET", "headers": [("X-a", "1"), ("x-A", "2"), ("Accept", "q")]},
    "an own host": {"method": "GET", "headers": {"A": "b", "Host": "example.org"}},
    "two hosts": {"method": "GET", "headers": [("Host", "a"), ("Host", "b")]},
    "a header that is no text": {"method": "GET", "headers": {"A": b"\xe4\x01"}},
    "an illegal value": {"method": "GET", "headers": {"A": "b\r\nC: d"}},
    "a value with NUL": {"method": "GET", "headers": {"A": "b\0"}},
    "a value with blanks around it": {"method": "GET", "headers": {"A": " b "}},
    "an illegal name": {"method": "GET", "headers": {"A b": "c"}},
    "an empty name": {"method": "GET", "headers": {"": "c"}},
    "an illegal method": {"method": "G T"},
    "an illegal length": {"method": "POST", "content": b"a", "headers": {"content-length": "x"}},
    "two lengths": {
        "method": "POST",
        "content": b"a",
        "headers": [("content-length", "1"), ("content-length", "2")],
    },
    "another coding": {"method": "POST", "content": pieces, "headers": {"transfer-encoding": "br"}},
    "it closes": {"method": "GET", "headers": {"connection": "close"}},
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_requests_look_alike_on_the_wire_and_what_cannot_be_sent_is_refused_alike(
    name: str,
) -> None:
    seen: list[Any] = []
    for which in TRANSPORTS:
        asked = {**REQUESTS[name]}
        if callable(asked.get("content")):
            asked["content"] = asked["content"]()
        async with serving(answering(HELLO, HELLO)) as server, client_of(which) as client:
            found = await outcome(client, asked.pop("method"), f"{server.url}/p%20q?r", **asked)
            await outcome(client, "GET", server.url)
            port = server.url.rpartition(":")[2].encode()
            wire = [request.replace(port, b"PORT") for request in server.requests]
            seen.append((found, wire, server.connections))
    theirs, ours = seen
    assert ours[:2] == theirs[:2]
    if type(ours[0][0]) is tuple:  # httpx connects also for what it then cannot send
        assert ours[2] == theirs[2]


@pytest.mark.parametrize(("length", "word"), [("4", "much"), ("99999", "little")])
async def test_a_body_of_another_length_than_was_said_is_refused(length: str, word: str) -> None:
    """A difference: httpx lets an exception of h11 through."""
    async with (
        serving(answering(HELLO)) as server,
        client_of("ours") as client,
        aclosing(pieces()) as body,
    ):
        headers = {"content-length": length}
        found = await outcome(client, "POST", server.url, content=body, headers=headers)
        text = f"Too {word} data for declared Content-Length"
        assert found == (httpx.LocalProtocolError, text, b"")


async def test_a_connection_is_used_again_and_given_up_when_it_is_old(transport: str) -> None:
    limits = httpx.Limits(keepalive_expiry=30)
    async with serving(answering(*[HELLO] * 3)) as server:
        async with client_of(transport, limits=limits) as client:
            for _ in range(3):
                await outcome(client, "GET", server.url)
        assert server.connections == 1
        async with client_of(transport, limits=httpx.Limits(keepalive_expiry=0)) as client:
            for _ in range(2):
                await outcome(client, "GET", server.url)
        assert server.connections == 3


async def test_a_connection_that_the_server_has_closed_is_not_used(transport: str) -> None:
    async with serving(answering(HELLO)) as server, client_of(transport) as client:
        for expected in (1, 2, 3):
            found = await outcome(client, "POST", server.url, content=b"x")
            assert found[2] == b"hello"
            assert server.connections == expected
            while server.open:
                await anyio.lowlevel.checkpoint()


async def test_a_request_is_not_sent_twice_once_the_server_had_it(transport: str) -> None:
    async def handle(stream: ByteStream, server: Server) -> None:
        await read_request(stream, server)
        await stream.send(HELLO)
        await read_request(stream, server)

    async with serving(handle) as server, client_of(transport) as client:
        await outcome(client, "GET", server.url)
        found = await outcome(client, "GET", server.url)
        assert found[:2] == (
            httpx.RemoteProtocolError,
            "Server disconnected without sending a response.",
        )
        assert len(server.requests) == 2


async def test_an_answer_that_comes_before_the_request_is_whole_is_taken(transport: str) -> None:
    async def handle(stream: ByteStream, _: Server) -> None:
        await stream.receive(1000)
        await stream.send(sized(b"no", start=b"HTTP/1.1 413 Too Large\r\n"))
        # The client is still sending, and is let go gently: a reset could overtake the answer.
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.shutdown(socket.SHUT_WR)
        while True:
            await stream.receive()

    async with serving(handle) as server, client_of(transport) as client:
        found = await outcome(client, "POST", server.url, content=b"x" * 5_000_000)
        assert found[0][1] == 413
        assert found[2] == b"no"


RESET = struct.pack("ii", 1, 0)


async def test_a_connection_that_is_reset_is_a_read_error(transport: str) -> None:
    async def handle(stream: ByteStream, server: Server) -> None:
        await read_request(stream, server)
        await stream.send(OK + b"Content-Length: 9\r\n\r\nhello")
        await received.wait()
        stream.extra(SocketAttribute.raw_socket).setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, RESET
        )

    received = anyio.Event()
    async with serving(handle) as server, client_of(transport) as client:
        with pytest.raises(httpx.ReadError):
            async with client.stream("GET", server.url) as response:
                async for piece in response.aiter_raw():
                    assert piece == b"hello"
                    received.set()


async def test_nobody_listens(transport: str) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    await listener.aclose()
    async with client_of(transport) as client:
        found = await outcome(client, "GET", f"http://127.0.0.1:{port}")
    assert found[0] is httpx.ConnectError
    if transport == "ours":
        assert found[1] == "All connection attempts failed"


async def stalling(stream: ByteStream, server: Server) -> None:
    """Answer `/body` with the beginning of one, and anything else with nothing."""
    if b" /body " in await read_request(stream, server):
        await stream.send(OK + b"Content-Length: 9\r\n\r\nhello")
    await anyio.sleep_forever()


@pytest.mark.parametrize("path", ["/head", "/body"])
async def test_a_server_that_goes_silent_is_a_timeout(transport: str, path: str) -> None:
    async with serving(stalling) as server, client_of(transport) as client:
        timeout = httpx.Timeout(60, read=0.02)
        found = await outcome(client, "POST", server.url + path, timeout=timeout)
        assert found == (httpx.ReadTimeout, "", b"hello" if path == "/body" else b"")


async def test_a_server_that_does_not_read_is_a_timeout() -> None:
    async def handle(stream: ByteStream, _: Server) -> None:
        await stream.receive(1)  # until it is asked once, a stream of asyncio's reads all there is
        await anyio.sleep_forever()

    async with serving(handle) as server, client_of("ours") as client:
        timeout = httpx.Timeout(60, write=0.02)
        large = b"x" * 30_000_000
        found = await outcome(client, "POST", server.url, content=large, timeout=timeout)
        assert found == (httpx.WriteTimeout, "", b"")


async def test_requests_wait_for_a_connection_and_not_for_ever(transport: str) -> None:
    limits = httpx.Limits(max_connections=1)
    async with (
        serving(stalling) as server,
        client_of(transport, limits=limits) as client,
        client.stream("POST", f"{server.url}/body", content=b"x") as response,
    ):
        assert response.status_code == 200
        found = await outcome(client, "GET", server.url, timeout=httpx.Timeout(60, pool=0.01))
        assert found == (httpx.PoolTimeout, "", b"")
    async with serving(answering(*[HELLO] * 20)) as server:
        async with (
            client_of(transport, limits=limits) as client,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(20):
                tasks.start_soon(outcome, client, "GET", server.url)
        assert (len(server.requests), server.connections) == (20, 1)


async def test_a_kept_connection_makes_room_for_one_to_another_server(transport: str) -> None:
    limits = httpx.Limits(max_connections=1)
    async with (
        serving(answering(HELLO)) as one,
        serving(answering(HELLO)) as other,
        client_of(transport, limits=limits) as client,
    ):
        for server in (one, other):
            assert (await outcome(client, "GET", server.url))[2] == b"hello"


async def test_there_are_never_more_connections_than_may_be() -> None:
    limits = httpx.Limits(max_connections=2)
    most = 0

    async def handle(stream: ByteStream, server: Server) -> None:
        nonlocal most
        while True:
            await read_request(stream, server)
            most = max(most, len(client._transport._pool._open))  # type: ignore[attr-defined]
            await stream.send(HELLO)

    async with (
        serving(handle) as one,
        serving(handle) as other,
        client_of("ours", limits=limits) as client,
    ):
        await outcome(client, "GET", one.url)
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(outcome, client, "GET", (other, one)[number % 2].url)
    assert most <= 2


async def test_a_client_that_stops_reading_stops_the_server() -> None:
    sent = 0

    async def handle(stream: ByteStream, server: Server) -> None:
        nonlocal sent
        await read_request(stream, server)
        await stream.send(OK + b"\r\n")
        while True:
            await stream.send(b"x" * 65536)
            sent += 65536

    async with serving(handle) as server, StreamingTransport(verify=False) as carrier:
        response = await carrier.handle_async_request(httpx.Request("GET", server.url))
        body: Any = response.stream
        await anext(aiter(body))
        before = -1
        while before != sent:
            before = sent
            await anyio.sleep(0.05)
        assert sent < 30_000_000
        await body.aclose()


async def test_what_comes_behind_an_answer_is_no_answer() -> None:
    """A difference: httpx takes it for the answer to the next request."""
    async with serving(answering(HELLO + sized(b"smuggled"), HELLO)) as server:
        async with client_of("ours") as client:
            for _ in range(3):
                assert (await outcome(client, "GET", server.url))[2] == b"hello"
        assert server.connections == 3


async def test_a_connection_is_closed_after_an_answer_whose_end_is_ambiguous() -> None:
    both = OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with serving(answering(both, HELLO)) as server:
        async with client_of("ours") as client:
            for _ in range(2):
                assert (await outcome(client, "GET", server.url))[2] == b"hello"
        assert server.connections == 2


async def test_as_many_connections_are_kept_as_may_be() -> None:
    limits = httpx.Limits(max_keepalive_connections=2)
    together = anyio.Event()

    async def handle(stream: ByteStream, server: Server) -> None:
        while True:
            await read_request(stream, server)
            if len(server.requests) == 4:
                together.set()
            await together.wait()
            await stream.send(HELLO)

    async with serving(handle) as server, client_of("ours", limits=limits) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(outcome, client, "GET", server.url)
        while server.open > 2:
            await anyio.lowlevel.checkpoint()
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(outcome, client, "GET", server.url)
        assert server.connections == 4


async def test_what_tells_about_the_connection(transport: str) -> None:
    async with (
        serving(answering(HELLO)) as server,
        client_of(transport) as client,
        client.stream("GET", server.url) as response,
    ):
        stream = response.extensions["network_stream"]
        host, port = stream.get_extra_info("server_addr")[:2]
        assert f"http://{host}:{port}" == server.url
        assert stream.get_extra_info("client_addr")[0] == "127.0.0.1"
        assert stream.get_extra_info("ssl_object") is None
        assert stream.get_extra_info("socket").fileno() >= 0
        assert stream.get_extra_info("nothing") is None


LEFT_TO_HTTPX: dict[str, dict[str, Any]] = {
    "trace": {"extensions": {"trace": lambda *_: anyio.lowlevel.checkpoint()}},
    "target": {"extensions": {"target": b"/other"}},
    "upgrade": {"headers": {"upgrade": "x", "connection": "upgrade"}},
}


@pytest.mark.parametrize("name", LEFT_TO_HTTPX)
async def test_requests_for_httpcore_are_left_to_the_transport_of_httpx(name: str) -> None:
    seen = []
    for which in TRANSPORTS:
        async with serving(answering(HELLO)) as server, client_of(which) as client:
            found = await outcome(client, "GET", server.url, **LEFT_TO_HTTPX[name])
            port = server.url.rpartition(":")[2].encode()
            seen.append((found, [one.replace(port, b"") for one in server.requests]))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("url", ["ftp://x/", "x", "http://", "ws://127.0.0.1:1/"])
async def test_odd_addresses_are_left_to_the_transport_of_httpx(url: str) -> None:
    seen = []
    for which in TRANSPORTS:
        async with client_of(which) as client:
            seen.append((await outcome(client, "GET", url))[:2])
    assert seen[0] == seen[1]


async def test_proxies_and_sockets_are_left_to_the_transport_of_httpx(
    transport: str, tmp_path: Any
) -> None:
    async with serving(answering(HELLO)) as server:
        async with client_of(transport, proxy=server.url) as client:
            assert (await outcome(client, "GET", "http://example.org/"))[2] == b"hello"
        assert server.requests[0].startswith(b"GET http://example.org/ ")
    path = str(tmp_path / "s")
    listener = await anyio.create_unix_listener(path)

    async def handle(stream: ByteStream) -> None:
        async with stream:
            await answering(HELLO)(stream, Server(""))

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        async with client_of(transport, uds=path) as client:
            assert (await outcome(client, "GET", "http://x/"))[2] == b"hello"
        tasks.cancel_scope.cancel()


def test_settings_that_cannot_be_used_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="Unknown scheme for proxy URL"):
        StreamingTransport(proxy="ftp://x", verify=False)
    with pytest.raises(DeprecationWarning, match="cert"):
        StreamingTransport(cert="/nowhere.pem", verify=False)
