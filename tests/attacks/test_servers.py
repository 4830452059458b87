"""Servers that drip, go on without end, pack a bomb, or ask for a wait without end."""

import gzip
import importlib
import json
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import anyio
import pytest
from tests.models.replay import Exchange, events, serving, until_closed

from tether import Agent, Model, ModelError, ModelRequest, TextDelta, UserMessage, fallback
from tether.model import RetryPolicy
from tether.models._http.unpacking import unpacker
from tether.models._wire.failures import error_from_response, error_from_stream
from tether.models.catalogue import model_from_name

REQUEST = ModelRequest(messages=[UserMessage("hi")])


def chunk(text: str = "", **fields: Any) -> str:
    choice = {"index": 0, "delta": {"content": text} if text else {}, **fields}
    return json.dumps({"id": "r1", "model": "m", "choices": [choice]})


WHOLE = events(chunk("Hel"), chunk("lo"), chunk(finish_reason="stop"), "[DONE]")


def model_at(url: str, **settings: Any) -> Model:
    settings = {"retry": RetryPolicy(attempts=1), **settings}
    return model_from_name("vllm:m", base_url=url, **settings)


async def text_of(model: Model) -> str:
    with anyio.fail_after(30):
        async with model.stream(REQUEST) as deltas:
            return "".join([delta.text async for delta in deltas if isinstance(delta, TextDelta)])


async def failure_of(model: Model) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await text_of(model)
    return caught.value


# Time.


def dripping(before: bytes, drop: bytes) -> Callable[[Exchange], Any]:
    async def handler(exchange: Exchange) -> None:
        await exchange.stream.send(before)
        while True:
            await exchange.stream.send(drop)
            await anyio.sleep(0.01)

    return handler


OK = b"HTTP/1.1 200 OK\r\n"
SLOW: dict[str, tuple[bytes, bytes]] = {
    "a status line": (b"HTTP/1.1 200 ", b"O"),
    "a header": (OK + b"x-long: ", b"a"),
    "headers": (OK, b"a: b\r\n"),
    "1xx": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "no body": (OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", b""),
    "the size of a chunk": (
        OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
        b"0",
    ),
}


@pytest.mark.parametrize("slow", SLOW)
async def test_the_first_byte_of_a_body_has_to_come_in_time_whatever_comes_before_it(
    slow: str,
) -> None:
    async with serving(dripping(*SLOW[slow])) as server:
        error = await failure_of(model_at(server.url, first_byte_timeout=0.2))
    assert (error.kind, error.message) == ("timeout", "vllm:m did not answer within 0.2 s")


async def test_what_frames_a_chunk_is_bounded() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.send(events(chunk("Hel")))
        await exchange.stream.send(b"1;")
        with suppress(anyio.BrokenResourceError):
            while True:
                await exchange.stream.send(b"x" * 1024)

    async with serving(handler) as server:
        error = await failure_of(model_at(server.url))
    assert error.kind in {"malformed", "connection"}
    assert error.partial is not None
    assert error.partial.text == "Hel"


async def test_the_time_for_a_connection_is_over_once_there_is_one() -> None:
    async def slowly(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            taken = b""
            while b"\r\n\r\n" not in taken:
                taken += await stream.receive()
            await anyio.sleep(2.2)
            exchange = Exchange(stream, b"", b"")
            await exchange.answer(WHOLE)
            await until_closed(exchange)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, slowly)
        model = model_at(f"http://127.0.0.1:{port}", first_byte_timeout=20, connect_timeout=2)
        assert await text_of(model) == "Hello"
        tasks.cancel_scope.cancel()


async def test_a_handshake_that_drips_is_no_connection() -> None:
    async def drip(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            try:
                await stream.send(b"\x16\x03\x03\x40\x00")
                while True:
                    await stream.send(b"\x02")
                    await anyio.sleep(0.01)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"https://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, drip)
        error = await failure_of(model_at(url, connect_timeout=0.3))
        tasks.cancel_scope.cancel()
    assert (error.kind, error.message) == ("timeout", f"no connection to {url} within 0.3 s")


# Waits.

NOW = datetime(2026, 11, 20, 22, 0, 0, tzinfo=UTC)
MONTH = 31 * 24 * 3600.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Fri, 20 Nov 99999999999 22:00:30 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", MONTH),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 20 Nov 2026 22:00:30 +99999999999", None),
        ("Fri, 20 Nov 2026 99999999999:00:30 GMT", None),
        ("999999999", MONTH),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        (f"Fri, 20 Nov 2026 22:00:30 GMT{'9' * 50_000}", 30.0),
    ],
)
def test_a_wait_is_bounded_in_all_its_forms(value: str, seconds: float | None) -> None:
    error = error_from_response(429, {"retry-after": value}, b"", now=NOW)
    assert error.retry_after == seconds


def test_a_wait_in_milliseconds_or_in_the_body_is_bounded() -> None:
    error = error_from_response(429, {"retry-after-ms": "999999999"}, b"")
    assert error.retry_after == 999999.999
    delay = {"details": [{"retryDelay": "999999999s"}], "message": "m"}
    assert error_from_stream(delay).retry_after == MONTH


async def test_an_unreadable_wait_does_not_keep_the_next_model_from_being_asked() -> None:
    async def handler(exchange: Exchange) -> None:
        if b'"model":"m"' in exchange.body:
            wait = {"retry-after": "Fri, 20 Nov 99999999999 22:00:30 GMT"}
            await exchange.answer(b"", status=429, headers=wait)
        else:
            await exchange.answer(WHOLE)

    async with serving(handler) as server:
        other = model_from_name("vllm:n", base_url=server.url)
        agent = Agent(fallback(model_at(server.url), other))
        assert (await agent.prompt("hi")).text == "Hello"


# Size.


def brotli(data: bytes) -> bytes:
    return bytes(_package("brotli").compress(data, quality=1))


def zstd(data: bytes) -> bytes:
    return bytes(_package("zstandard").compress(data))


def raw_deflate(data: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(data) + packing.flush()


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(f"{name} is not installed")


PACKINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip in capitals": (" GZIP ", gzip.compress),
    "gzip in parts": ("x-gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without header": ("deflate", raw_deflate),
    "brotli": ("br", brotli),
    "zstd": ("zstd", zstd),
}


def unpacked(encoding: str, chunks: Iterable[bytes]) -> list[bytes]:
    unpacking = unpacker(encoding)
    assert unpacking is not None
    return [piece for chunk in chunks for piece in unpacking.unpack(chunk)]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_body_is_unpacked_in_pieces_wherever_it_is_cut(packing: str) -> None:
    encoding, pack = PACKINGS[packing]
    data = bytes(range(256)) * 1000
    packed = pack(data)
    for size in (1, 7, len(packed)):
        cut = [packed[at : at + size] for at in range(0, len(packed), size)]
        pieces = unpacked(encoding, cut)
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= 64 * 1024


@pytest.mark.parametrize("packing", PACKINGS)
async def test_a_bomb_is_stopped_at_the_size_a_reply_may_have(packing: str) -> None:
    encoding, pack = PACKINGS[packing]
    packed = pack(WHOLE[:40] + b":" * 3_000_000)

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(packed, headers={"content-encoding": encoding})

    async with serving(handler) as server:
        error = await failure_of(model_at(server.url, max_reply_size=1_000_000))
    assert (error.kind, error.message) == ("malformed", "the reply is larger than it may be")


@pytest.mark.parametrize("packing", ["gzip", "deflate", "brotli", "zstd"])
async def test_the_body_of_an_error_may_be_packed_and_may_be_a_bomb(packing: str) -> None:
    encoding, pack = PACKINGS[packing]
    packed = pack(b'{"error":{"message":"no' + b"o" * 3_000_000)

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(packed, status=401, headers={"content-encoding": encoding})

    async with serving(handler) as server:
        error = await failure_of(model_at(server.url))
    assert error.kind == "authentication"
    assert len(error.message) < 300


@pytest.mark.parametrize("packing", ["gzip", "deflate", "deflate without header"])
async def test_what_follows_the_end_of_a_packed_body_is_no_part_of_it(packing: str) -> None:
    encoding, pack = PACKINGS[packing]

    async def handler(exchange: Exchange) -> None:
        await exchange.start(headers={"content-encoding": encoding})
        await exchange.send(pack(events(chunk("Hel"))))
        while True:
            await exchange.send(b"garbage" * 1000)

    async with serving(handler) as server:
        error = await failure_of(model_at(server.url))
    assert (error.kind, error.message) == (
        "connection",
        "the connection ended before the reply was finished",
    )
    assert error.partial is not None
    assert error.partial.text == "Hel"


async def test_a_packed_body_that_never_says_anything_is_bounded_on_the_wire() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.start(headers={"content-encoding": "gzip"})
        while True:
            await exchange.send(gzip.compress(b"") * 1000)

    async with serving(handler) as server:
        error = await failure_of(model_at(server.url, max_reply_size=100_000))
    assert (error.kind, error.message) == (
        "malformed",
        "the answer of vllm:m cannot be unpacked: it is larger than it may be",
    )


async def test_a_name_that_is_no_packing_says_nothing() -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(WHOLE, headers={"content-encoding": "UTF-8"})

    async with serving(handler) as server:
        assert await text_of(model_at(server.url)) == "Hello"
