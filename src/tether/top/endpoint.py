"""Addresses of metrics: what a person types, to a URL and perhaps a socket. No I/O."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from attrs import frozen

from tether.errors import UsageError

__all__ = ("Endpoint", "endpoint", "headers_of")

_PATH: Final = "/metrics"
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-zA-Z-]+")
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@frozen
class Endpoint:
    """Where a server's metrics are."""

    name: str
    """As it is shown: without a password."""
    url: str
    socket: str | None = None
    """The path of a Unix domain socket, through which the server is reached."""


def endpoint(text: str) -> Endpoint:
    """Read an address.

    Args:
        text: a URL, such as `http://127.0.0.1:9100/metrics`; a host and a port, or `:9100`; or `unix:/run/app.sock`,
            with `:/path` behind it for another path than `/metrics`.

    Raises:
        UsageError: it is none of these.
    """
    if text.startswith("unix:"):
        return _at_socket(text)
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme[1].lower() not in {"http", "https"}:
        raise UsageError(f"{text!r} is not an address: it begins with http://, https:// or unix:")
    full = (
        text
        if scheme is not None
        else f"http://{'127.0.0.1' if text.startswith(':') else ''}{text}"
    )
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{text!r} is not an address: {error}") from None
    if not parts.hostname or _FORBIDDEN.search(text) or " " in text or port == 0:
        raise UsageError(f"{text!r} is not an address, such as http://127.0.0.1:9100/metrics")
    path = parts.path if parts.path not in {"", "/"} else _PATH
    url = urlunsplit(parts._replace(path=path, fragment=""))
    host = parts.netloc.rpartition("@")[2]
    return Endpoint(urlunsplit(parts._replace(path=path, netloc=host, fragment="")), url)


def _at_socket(text: str) -> Endpoint:
    socket, colon, path = text.removeprefix("unix:").partition(":")
    socket = f"/{socket.lstrip('/')}" if socket.startswith("//") else socket
    if not socket or (colon and not path.startswith("/")):
        raise UsageError(
            f"{text!r} is not an address, such as unix:/run/app.sock or unix:/run/app.sock:/metrics"
        )
    return Endpoint(text, f"http://localhost{path or _PATH}", socket)


def headers_of(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Read header lines.

    Args:
        lines: such as `X-Key: abc`.

    Raises:
        UsageError: one is no header line. What stands in it is not repeated: it may be a secret.
    """
    headers = []
    for line in lines:
        name, colon, text = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()) or _FORBIDDEN.search(text):
            raise UsageError("--header takes a line such as 'X-Key: abc'")
        headers.append((name.strip(), text.strip()))
    return headers
