"""A tool that fetches pages of the web."""

from collections.abc import Callable
from typing import Final

import anyio
import anyio.to_thread
import httpx

from tether import Image, Tool, ToolResult, tool
from tether.toolbox.addresses import Resolve, addresses_of
from tether.toolbox.fetching import Fetched, Fetcher, url_from
from tether.toolbox.pages import content_of
from tether.transport import StreamingTransport

__all__ = ("fetch_tool",)

_MOST_BYTES: Final = 2 * 1024 * 1024
_MOST_CHARACTERS: Final = 32_000
"""Of a page that are shown at once."""
_OF_AN_ERROR: Final = 2_000
"""Characters of the page that comes with an error."""
_SECONDS: Final = 30.0


def fetch_tool(
    *,
    seconds: float = _SECONDS,
    most_bytes: int = _MOST_BYTES,
    resolve: Resolve = addresses_of,
    transport: Callable[[], httpx.AsyncBaseTransport] = StreamingTransport,
) -> Tool:
    """Make `fetch`, which gets a page from a public host as Markdown.

    It asks no host that is in a private network, on this machine or its link: neither by its name, nor by an address,
    nor by way of a redirect. The connection goes to the address that was checked. Proxies are not used. Pages need the
    extra `fetch`.

    Args:
        seconds: how long a call may take.
        most_bytes: how much of a page is read.
        resolve: finds the addresses of a host.
        transport: makes what carries the requests.

    Returns:
        The tool. It changes nothing, but what it asks for is seen by others: have a person asked about it.
    """
    fetcher = Fetcher(most=most_bytes, resolve=resolve, transport=transport)

    @tool(title="Fetch a page", kind="fetch", idempotent=True)
    async def fetch(url: str, start: int = 0) -> ToolResult:
        """Fetch a page of the web as Markdown, or a text or an image.

        Long pages come in pieces; the last line says how to read on.

        Args:
            url: its address, with https:// or http://
            start: the first character to show, counted from 0
        """
        try:
            with anyio.fail_after(seconds):
                got = await fetcher.get(url_from(url))
        except TimeoutError as error:
            raise TimeoutError(f"{url} took longer than {seconds:g} seconds") from error
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            raise ConnectionError(f"{url} cannot be fetched: {why}") from error
        made = await anyio.to_thread.run_sync(
            content_of, got.content, got.content_type, str(got.url)
        )
        if got.status >= 400:
            text = made[:_OF_AN_ERROR] if isinstance(made, str) else ""
            head = f"{got.url} answered {got.status} {got.reason}".rstrip()
            return ToolResult(f"{head}\n\n{text}".rstrip(), outcome="error")
        if isinstance(made, Image):
            if got.is_cut:
                raise ValueError(f"the image has more than {most_bytes:,} bytes")
            return ToolResult([f"{got.url}", made])
        return ToolResult(_piece(made, got, max(0, start)))

    return fetch


def _piece(text: str, got: Fetched, start: int) -> str:
    if start and start >= len(text):
        raise ValueError(f"the page has {len(text):,} characters; there is none at {start:,}")
    piece = text[start : start + _MOST_CHARACTERS]
    end = start + len(piece)
    lines = [str(got.url), "", piece]
    if end < len(text):
        lines.append(
            f"[characters {start:,} to {end:,} of {len(text):,}; read on with start={end}]"
        )
    elif got.is_cut:
        lines.append(f"[cut here: only the first {len(got.content):,} bytes of the page were read]")
    return "\n".join(lines)
