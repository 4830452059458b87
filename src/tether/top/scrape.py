"""Ask a server for its metrics, again and again: bounded in time and size, and credentials stay with their server."""

import ipaddress
import os
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import httpx
from attrs import define, field, frozen

from tether.top.endpoint import Endpoint
from tether.top.exposition import Page, parse
from tether.top.source import Answer, Failure, Outcome

__all__ = ("Options", "Scraper", "open_scraper", "watch")

_ACCEPT: Final = (
    "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=1.0.0;q=0.8,"
    "text/plain;version=0.0.4;q=0.7,*/*;q=0.1"
)
_MOST_REDIRECTS: Final = 5
_FOUND: Final = 200
_MOST_BYTES: Final = 64 * 2**20
_KNOWN_KEPT: Final = 400_000
"""Series of earlier pages that are remembered."""


@frozen
class Options:
    """How servers are asked."""

    every: float = 1.0
    """Seconds from one scrape to the next."""
    timeout: float = 10.0
    """Seconds for one scrape."""
    headers: Sequence[tuple[str, str]] = ()
    bearer_file: str | None = None
    """A file with a token, which is read for each scrape: tokens change."""
    insecure: bool = False
    """Whether any certificate is accepted."""
    most_bytes: int = _MOST_BYTES
    """Of one page, decompressed."""


class _Refused(Exception):  # noqa: N818 - it is the outcome of a scrape, not an error of the program
    """A scrape gave no page; the text says why."""


@define(eq=False)
class Scraper:
    """Asks one server."""

    endpoint: Endpoint
    options: Options
    _client: httpx.AsyncClient
    _known: dict[str, str] = field(factory=dict)

    async def scrape(self) -> Outcome:
        """Ask for the metrics once.

        Returns:
            The page; or why there is none, in words.

        Cancellation:
            At once; the connection is closed.
        """
        began = time.monotonic()
        try:
            with anyio.fail_after(self.options.timeout):
                body, kind = await self._fetch()
            page = self._page(body, kind)
        except _Refused as refused:
            return Failure(time.time(), str(refused))
        except TimeoutError:
            return Failure(time.time(), f"no answer within {self.options.timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Failure(time.time(), _in_words(error))
        return Answer(time.time(), page, time.monotonic() - began, len(body))

    async def _fetch(self) -> tuple[bytes, str]:
        """Follow redirects to a page; return it with its type."""
        url, headers = httpx.URL(self.endpoint.url), await self._credentials()
        at_home = True
        for _ in range(_MOST_REDIRECTS + 1):
            request = self._client.build_request(
                "GET",
                url,
                headers=[(b"Accept", _ACCEPT.encode()), (b"Accept-Encoding", b"gzip"), *headers],
            )
            response = await self._client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return await self._body(response, at_home=at_home), response.headers.get(
                        "content-type", ""
                    )
                target = url.join(response.headers["location"])
            finally:
                with anyio.move_on_after(1, shield=True):
                    await response.aclose()
            if target.scheme not in {"http", "https"}:
                raise _Refused(f"it redirects to {target.scheme}:, which is not http")
            if _origin(target) != _origin(url):
                if self.endpoint.socket is not None:
                    raise _Refused("it redirects away from its socket")
                # Whoever the other host is, nobody has given it these.
                headers, at_home = [], False
            url = target
        raise _Refused(f"it redirects more than {_MOST_REDIRECTS} times")

    async def _credentials(self) -> list[tuple[bytes, bytes]]:
        headers = [(name.encode(), text.encode()) for name, text in self.options.headers]
        if self.options.bearer_file is not None:
            try:
                token = (await anyio.Path(self.options.bearer_file).read_text()).strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is no text"
                raise _Refused(f"{self.options.bearer_file}: {reason}") from None
            if not token or any(character.isspace() for character in token):
                raise _Refused(f"{self.options.bearer_file} holds no token: one word is needed")
            headers.append((b"Authorization", f"Bearer {token}".encode()))
        return headers

    async def _body(self, response: httpx.Response, *, at_home: bool) -> bytes:
        if response.status_code != _FOUND:
            raise _Refused(_refusal(response, at_home=at_home))
        encoding = response.headers.get("content-encoding", "").lower()
        if encoding not in {"", "identity", "gzip", "x-gzip"}:
            raise _Refused(f"its answer is encoded as {encoding[:20]}, which was not asked for")
        unzip = zlib.decompressobj(wbits=31) if encoding.endswith("gzip") else None
        body, problem = bytearray(), ""
        # The generators of httpx end in order only when something is raised inside them: a read that is cancelled.
        with anyio.CancelScope() as enough:
            async for some in response.aiter_raw():
                problem = problem or self._add(body, some, unzip)
                if problem:
                    enough.cancel()
        if not problem and unzip is not None and not unzip.eof:
            problem = "its compressed answer ends early"
        if problem:
            raise _Refused(problem)
        return bytes(body)

    def _add(self, body: bytearray, some: bytes, unzip: Any) -> str:
        """Add to a body; return why it is no good, if it is not."""
        most = self.options.most_bytes
        try:
            # One more than is allowed, so that it is seen when there is more.
            body += some if unzip is None else unzip.decompress(some, most + 1 - len(body))
        except zlib.error:
            return "its compressed answer is damaged"
        return f"its answer is larger than {most / 2**20:g} MiB" if len(body) > most else ""

    def _page(self, body: bytes, kind: str) -> Page:
        start = body[:200].lstrip().lower()
        if "html" in kind.lower() or start.startswith((b"<!doctype", b"<html")):
            raise _Refused("it answers with HTML and not with metrics; is the path right?")
        for other in ("json", "protobuf"):
            if other in kind.lower():
                raise _Refused(f"it answers with {other} and not with the text format")
        if len(self._known) > _KNOWN_KEPT:
            self._known.clear()
        text = body.decode(errors="replace").removeprefix("\ufeff")
        page = parse(text, openmetrics="openmetrics" in kind.lower(), known=self._known)
        if not page.samples and page.faults:
            raise _Refused(
                f"its answer is not metrics; it begins with {page.faults[0].text[:40]!r}"
            )
        return page


def _refusal(response: httpx.Response, *, at_home: bool) -> str:
    said = f"it answers {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in {401, 403}:
        hint = "--header or --bearer-file gives credentials"
        if not at_home:
            hint = f"{response.url.host} is another host, to which credentials do not travel"
        return f"{said}; {hint}"
    return f"{said}; is the path right?" if response.status_code == 404 else said


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host.lower(), port


def _in_words(error: Exception) -> str:
    """Find the reason in what httpx and its layers have wrapped."""
    one: BaseException | None = error
    while one is not None:
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {one.verify_message} (--insecure accepts any)"
        if isinstance(one, ssl.SSLError):
            return f"TLS failed: {one.reason or one}"
        if isinstance(one, OSError) and one.errno is not None:
            said = os.strerror(one.errno) if one.errno > 0 else one.strerror or str(one)
            return said.lower()
        inner = one.exceptions[0] if isinstance(one, BaseExceptionGroup) else one.__cause__
        one = inner or one.__context__
    return str(error) or type(error).__name__


@asynccontextmanager
async def open_scraper(endpoint: Endpoint, options: Options) -> AsyncIterator[Scraper]:
    """Open what asks a server; its connections are closed when the block is left."""
    transport = None
    if endpoint.socket is not None:
        transport = httpx.AsyncHTTPTransport(uds=endpoint.socket)
    async with httpx.AsyncClient(
        transport=transport,
        verify=not options.insecure,
        timeout=None,  # the whole scrape has one
        follow_redirects=False,
        trust_env=not _is_loopback(
            httpx.URL(endpoint.url).host
        ),  # no proxy stands before this machine
        headers={"User-Agent": "tether-top"},
    ) as client:
        yield Scraper(endpoint, options, client)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def watch(
    endpoints: Sequence[Endpoint], options: Options, take: Callable[[int, Outcome], object]
) -> None:
    """Ask servers again and again, each in a task of its own, until cancelled.

    Args:
        endpoints: the servers.
        options: how they are asked.
        take: is called with the number of a server and what came of a scrape.

    Cancellation:
        At once; connections are closed.
    """
    async with anyio.create_task_group() as tasks:
        for index, one in enumerate(endpoints):
            tasks.start_soon(_watch_one, index, one, options, take)


async def _watch_one(
    index: int, one: Endpoint, options: Options, take: Callable[[int, Outcome], object]
) -> None:
    async with open_scraper(one, options) as scraper:
        due = anyio.current_time()
        while True:
            take(index, await scraper.scrape())
            # A scrape that took too long leaves out those that were due meanwhile.
            due = max(due + options.every, anyio.current_time())
            await anyio.sleep_until(due)
