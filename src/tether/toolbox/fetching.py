"""Get what is at an address of the web: from public hosts alone, and no more than there is room and time for."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx
from attrs import field, frozen

from tether.toolbox.addresses import Resolve, addresses_of, public_addresses
from tether.transport import StreamingTransport

__all__ = ("Fetched", "Fetcher", "url_from")

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 5
_MOST_ADDRESSES: Final = 3
_STEP: Final = 10.0
"""Seconds for each step of a request."""
_HEADERS: Final = {
    "Accept": "text/markdown, text/html, text/plain;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
    "User-Agent": "tether",
}


@frozen(kw_only=True)
class Fetched:
    """What has come."""

    url: httpx.URL
    """Where it was in the end."""
    status: int
    reason: str
    content_type: str
    content: bytes
    is_cut: bool
    """Whether there is more of it."""


@frozen(kw_only=True)
class Fetcher:
    """Gets pages.

    Args:
        most: bytes of a page; the rest is left.
        resolve: finds the addresses of a host.
        transport: makes what carries the requests.
    """

    most: int
    resolve: Resolve = addresses_of
    transport: Callable[[], httpx.AsyncBaseTransport] = field(default=StreamingTransport)

    async def get(self, url: httpx.URL) -> Fetched:
        """Get what is at an address. Redirects are followed, where they lead to a public host and not out of TLS.

        The addresses of each host are looked up once, and the connection goes to one of them: so a name cannot lead to
        another place than the one that was checked.

        Raises:
            PrivateAddressError: a host is not open to all.
            ValueError: a redirect is not followed, or the answer cannot be read.
            httpx.HTTPError: the server cannot be reached, or breaks off.
            OSError: a host has no address.

        Cancellation:
            Closes the connection.
        """
        # No client around it, which might take a proxy: that would look the host up anew.
        async with self.transport() as transport:
            for _ in range(_MOST_REDIRECTS + 1):
                async with self._answer(transport, url) as answer:
                    if answer.status_code not in _REDIRECTS or "location" not in answer.headers:
                        return await self._read(url, answer)
                    url = _redirected(url, answer.headers["location"])
        raise ValueError(f"there were more than {_MOST_REDIRECTS} redirects; the last led to {url}")

    @asynccontextmanager
    async def _answer(
        self, transport: httpx.AsyncBaseTransport, url: httpx.URL
    ) -> AsyncIterator[httpx.Response]:
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await public_addresses(url.raw_host.decode("ascii"), port, self.resolve)
        response = await _first_answer(transport, url, found[:_MOST_ADDRESSES])
        try:
            yield response
        finally:
            await response.aclose()

    async def _read(self, url: httpx.URL, answer: httpx.Response) -> Fetched:
        content, is_cut = await _read_body(answer, self.most)
        return Fetched(
            url=url,
            status=answer.status_code,
            reason=answer.reason_phrase,
            content_type=answer.headers.get("content-type", ""),
            content=content,
            is_cut=is_cut,
        )


def url_from(text: str) -> httpx.URL:
    """Read an address that somebody has written.

    Raises:
        ValueError: it is none that can be fetched.
    """
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is no URL: {error}") from error
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError(f"{text!r} is no URL: there is no port {url.port}")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text!r} is no address of the web; write it as https://example.com/page")
    if url.userinfo:
        raise ValueError(
            "a URL with a name or a password is not fetched; leave out what is before the @"
        )
    return url.copy_with(fragment=None)


def _redirected(url: httpx.URL, location: str) -> httpx.URL:
    try:
        new = url_from(str(url.join(location)))
    except (ValueError, httpx.InvalidURL) as error:
        raise ValueError(
            f"{url} redirects to {location[:200]!r}, which is not followed: {error}"
        ) from error
    if url.scheme == "https" and new.scheme == "http":
        raise ValueError(f"{url} redirects to {new}, without encryption, which is not followed")
    return new


async def _first_answer(
    transport: httpx.AsyncBaseTransport, url: httpx.URL, addresses: Sequence[str]
) -> httpx.Response:
    """Ask the first address that can be reached."""
    *others, last = addresses
    for address in others:
        try:
            return await transport.handle_async_request(_request(url, address))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await transport.handle_async_request(_request(url, last))


def _request(url: httpx.URL, address: str) -> httpx.Request:
    return httpx.Request(
        "GET",
        url.copy_with(host=address),
        headers={**_HEADERS, "Host": url.netloc.decode("ascii")},
        extensions={
            "sni_hostname": url.raw_host.decode("ascii"),
            "timeout": httpx.Timeout(_STEP).as_dict(),
        },
    )


def _chunks(answer: httpx.Response) -> AsyncIterable[bytes]:
    # Not by `aiter_raw`: generators that are not read to their end are left to the garbage collector.
    assert isinstance(answer.stream, httpx.AsyncByteStream)
    return answer.stream


async def _read_body(answer: httpx.Response, most: int) -> tuple[bytes, bool]:
    """Read a body up to a size, which holds for what is unpacked: a small answer may unpack to a huge one."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise ValueError(f"the answer is packed as {encoding!r}, which was not asked for")
    packed = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if "gzip" in encoding else None
    content = bytearray()
    async for chunk in _chunks(answer):
        room = most + 1 - len(content)
        try:
            content += chunk[:room] if packed is None else packed.decompress(chunk, room)
        except zlib.error as error:
            raise ValueError("the answer says that it is packed with gzip, and is not") from error
        if len(content) > most:
            return bytes(content[:most]), True
    return bytes(content), False
