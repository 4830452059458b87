"""Fetch pages: from public hosts alone, bounded, and made into Markdown. Nothing here leaves this machine."""

import gzip
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, field

from tether import Agent, Image, ToolResultMessage
from tether.testing import ScriptedModel, call
from tether.toolbox import fetch_tool
from tether.toolbox.addresses import addresses_of, is_public
from tether.toolbox.pages import content_of
from tether.transport import StreamingTransport

PUBLIC = "93.184.216.34"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@define
class Internet:
    """Answers by host and path, and remembers what was asked, of which address."""

    pages: Mapping[str, httpx.Response]
    hosts: Mapping[str, Sequence[str]] = field(factory=dict)
    asked: list[str] = field(factory=list)
    looked_up: list[str] = field(factory=list)
    unreachable: Sequence[str] = ()

    async def resolve(self, host: str, _: int) -> Sequence[str]:
        self.looked_up.append(host)
        return self.hosts.get(host, [PUBLIC])

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.extensions["sni_hostname"] == request.headers["host"].partition(":")[0]
        address = request.url.host
        if address in self.unreachable:
            raise httpx.ConnectError("no route")
        self.asked.append(f"{request.url.scheme}://{request.headers['host']} at {address}")
        return self.pages[f"{request.headers['host']}{request.url.raw_path.decode()}"]


def page(body: str = "<h1>Hi</h1>", status: int = 200, **headers: str) -> httpx.Response:
    shown = {"content-type": "text/html", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return httpx.Response(status, headers=shown, content=body.encode())


def to(location: str, status: int = 302) -> httpx.Response:
    return httpx.Response(status, headers={"location": location})


async def fetched(internet: Internet, url: str, **options: Any) -> ToolResultMessage:
    made = fetch_tool(resolve=internet.resolve, transport=internet.transport)
    agent = Agent(ScriptedModel(call("fetch", url=url, **options), "done"), tools=[made])
    await agent.prompt("go")
    [result] = [m for m in agent.messages if isinstance(m, ToolResultMessage)]
    return result


async def test_a_page_becomes_markdown() -> None:
    html = (
        "<html><head><title>T</title><script>bad()</script></head><body><h1>Hi</h1>"
        "<p>A <a href='../x'>link</a>.</p><img src='data:image/png;base64,AAAA' alt='dot'></body></html>"
    )
    internet = Internet({"a.example/b/c?d=1": page(html)})
    result = await fetched(internet, "https://a.example/b/c?d=1#part")
    assert result.outcome == "ok"
    assert "# Hi" in result.text
    assert "[link](https://a.example/x)" in result.text
    assert "bad()" not in result.text
    assert "base64" not in result.text
    assert internet.asked == [f"https://a.example at {PUBLIC}"]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),  # 93.184.216.34, where there is no IPv4
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # where clouds keep credentials
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("no address", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://127.0.0.1:8080/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_this_machine_is_not_asked_however_it_is_written(url: str) -> None:
    internet = Internet({})
    made = fetch_tool(resolve=addresses_of, transport=internet.transport)
    with pytest.raises(OSError, match=r"is private|has no address"):
        await made.function(url=url)
    assert internet.asked == []


async def test_one_private_address_among_others_is_enough_to_refuse() -> None:
    internet = Internet({}, {"a.example": [PUBLIC, "10.0.0.1"]})
    result = await fetched(internet, "http://a.example/")
    assert result.outcome == "error"
    assert "a.example is at 10.0.0.1, which is private" in result.text
    assert internet.asked == []


async def test_a_name_that_changes_its_address_leads_nowhere_else() -> None:
    """The connection goes to the address that was checked, and the name is looked up once."""
    internet = Internet({"a.example/": page()})
    await fetched(internet, "http://a.example/")
    assert internet.looked_up == ["a.example"]
    assert internet.asked == [f"http://a.example at {PUBLIC}"]


async def test_redirects_are_followed_and_each_host_is_checked() -> None:
    internet = Internet(
        {
            "a.example/": to("https://b.example:8443/x", 301),
            "b.example:8443/x": to("/y"),
            "b.example:8443/y": page(),
        },
        {"b.example": ["93.184.216.35"]},
    )
    result = await fetched(internet, "http://a.example/")
    assert result.text.startswith("https://b.example:8443/y\n")
    assert internet.looked_up == ["a.example", "b.example", "b.example"]
    assert internet.asked[-1] == "https://b.example:8443 at 93.184.216.35"


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://inside.example/", "inside.example is at 10.0.0.1, which is private"),
        ("https://inside.example/", "inside.example is at 10.0.0.1, which is private"),
        ("file:///etc/passwd", "is not followed"),
        ("ftp://a.example/", "is not followed"),
        ("https://me:secret@a.example/", "is not followed"),
        ("/", "more than 5 redirects"),
    ],
)
async def test_redirects_that_are_not_followed(location: str, why: str) -> None:
    internet = Internet({"a.example/": to(location)}, {"inside.example": ["10.0.0.1"]})
    result = await fetched(internet, "http://a.example/")
    assert result.outcome == "error"
    assert why in result.text
    assert not any("inside" in one for one in internet.asked)


async def test_encryption_is_not_left() -> None:
    internet = Internet({"a.example/": to("http://a.example/plain")})
    result = await fetched(internet, "https://a.example/")
    assert "without encryption" in result.text


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("example.com/page", "write it as https://example.com/page"),
        ("file:///etc/passwd", "is no address of the web"),
        ("https://", "is no address of the web"),
        ("https://me:secret@a.example/", "leave out what is before the @"),
        ("https://a.example:99999/", "is no URL"),
    ],
)
async def test_addresses_that_are_none(url: str, why: str) -> None:
    result = await fetched(Internet({}), url)
    assert result.outcome == "error"
    assert why in result.text


async def test_the_next_address_is_asked_where_one_cannot_be_reached() -> None:
    internet = Internet(
        {"a.example/": page()},
        {"a.example": ["2606:2800::1", PUBLIC]},
        unreachable=["2606:2800::1"],
    )
    assert (await fetched(internet, "http://a.example/")).outcome == "ok"
    internet.unreachable = ["2606:2800::1", PUBLIC]
    assert "cannot be fetched: no route" in (await fetched(internet, "http://a.example/")).text


async def test_an_error_of_the_server_comes_with_the_beginning_of_its_page() -> None:
    internet = Internet({"a.example/": page("<p>Gone for good</p>", 410)})
    result = await fetched(internet, "http://a.example/")
    assert result.outcome == "error"
    assert result.text == "http://a.example/ answered 410 Gone\n\nGone for good"


async def test_a_long_page_comes_in_pieces() -> None:
    text = "".join(f"{number:07} " for number in range(5_000))
    internet = Internet({"a.example/": page(text, content_type="text/plain")})
    first = await fetched(internet, "http://a.example/")
    assert first.text.endswith("[characters 0 to 32,000 of 40,000; read on with start=32000]")
    second = await fetched(internet, "http://a.example/", start=32_000)
    assert second.text.splitlines()[2].startswith("0004000 ")
    third = await fetched(internet, "http://a.example/", start=40_000)
    assert "has 40,000 characters" in third.text


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        ("é".encode(), "text/plain", "é"),
        ("é".encode("latin-1"), "text/plain", "é"),
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1", "é"),
        ("ы".encode("koi8-r"), 'text/html; charset="koi8-r"', "ы"),
        ("<meta charset=koi8-r>ы".encode("koi8-r"), "text/html", "ы"),
        ("\ufeffé".encode("utf-16"), "text/plain", "é"),
        (b"a", "text/plain; charset=zlib", "a"),
        (b"a", "text/plain; charset=idna", "a"),
        (b'{"a": 1}', "application/ld+json", '{"a": 1}'),
        (b"<!DOCTYPE html><b>x</b>", "", "**x**"),
        (b"plain", "", "plain"),
    ],
)
def test_texts_as_servers_send_them(content: bytes, kind: str, text: str) -> None:
    made = content_of(content, kind, "https://a.example/")
    assert isinstance(made, str)
    assert made.strip().removeprefix("\ufeff") == text


@pytest.mark.parametrize(
    ("content", "kind", "why"),
    [
        (b"%PDF-1.7", "application/pdf", "it is application/pdf of 8 bytes"),
        (b"a\0b", "text/plain", "it is no text"),
        (b"a\0b", "", "it is no text"),
        (b"<svg/>", "image/png", "it is no image/png"),
    ],
)
def test_what_is_neither_page_text_nor_image(content: bytes, kind: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        content_of(content, kind, "https://a.example/")


async def test_an_image_is_looked_at() -> None:
    shown = httpx.Response(200, headers={"content-type": "image/png"}, content=PNG)
    result = await fetched(Internet({"a.example/": shown}), "http://a.example/")
    assert isinstance(result.content[1], Image)


def test_pages_that_are_nested_without_end_hold_nobody() -> None:
    assert content_of(b"<div>" * 100_000 + b"x", "text/html", "https://a.example/") is not None


# Over a real connection.


@define
class Rerouted(httpx.AsyncBaseTransport):
    """Carries each request to a port of loopback, whatever address it is for."""

    port: int
    inner: StreamingTransport = field(factory=StreamingTransport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self.port)
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


@asynccontextmanager
async def answering(head: str, body: bytes, *, ends: bool = True) -> AsyncIterator[int]:
    async def serve(stream: Any) -> None:
        async with stream:
            await stream.receive()
            try:
                await stream.send(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)
                if not ends:
                    await anyio.sleep_forever()
            except anyio.BrokenResourceError:
                pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def over_loopback(port: int, **options: Any) -> str:
    made = fetch_tool(resolve=Internet({}).resolve, transport=lambda: Rerouted(port), **options)
    result = await made.function(url="http://a.example/")
    text: str = result.content[0].text
    return text


async def test_what_is_packed_is_unpacked_up_to_a_size() -> None:
    bomb = gzip.compress(b"a" * 10_000_000)
    head = f"content-type: text/plain\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n"
    async with answering(head, bomb) as port:
        text = await over_loopback(port, most_bytes=1_000)
    assert text.endswith("[cut here: only the first 1,000 bytes of the page were read]")
    assert len(text) < 1_200


@pytest.mark.parametrize(
    ("encoding", "why"), [("br", "which was not asked for"), ("gzip", "and is not")]
)
async def test_what_cannot_be_unpacked_is_told(encoding: str, why: str) -> None:
    head = f"content-type: text/plain\r\ncontent-encoding: {encoding}\r\ncontent-length: 3\r\n"
    async with answering(head, b"abc") as port:
        with pytest.raises(ValueError, match=why):
            await over_loopback(port)


async def test_a_server_that_does_not_end_is_left_after_a_time() -> None:
    head = "content-type: text/plain\r\ncontent-length: 10\r\n"
    async with answering(head, b"abc", ends=False) as port:
        with pytest.raises(TimeoutError, match=r"took longer than 0\.1 seconds"):
            await over_loopback(port, seconds=0.1)


async def test_a_server_that_breaks_off_is_an_error() -> None:
    head = "content-type: text/plain\r\ncontent-length: 10\r\n"
    async with answering(head, b"abc") as port:
        with pytest.raises(ConnectionError, match="cannot be fetched"):
            await over_loopback(port)
