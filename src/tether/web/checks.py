"""The single checks of a request, before it reaches the application. No I/O.

See `tether.web.security` for the order and the reasons.
"""

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from tether import UsageError
from tether.web.refusals import Refusal

__all__ = (
    "HEADERS",
    "bounded",
    "check_body",
    "check_host",
    "check_origin",
    "host_names",
    "is_local",
    "is_local_scrape",
    "is_open",
    "is_upload",
    "site_origins",
    "with_headers",
)

_BODIES: Final = frozenset({"POST", "PUT", "PATCH"})
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
"""What proxies say of whom a request comes from."""

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types dompurify"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Of every answer that has no other."""


def _path(scope: Scope) -> str:
    """Return the path below where the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def is_open(scope: Scope) -> bool:
    """Say whether a request is for the page or its files, which need no login."""
    path = _path(scope)
    return scope.get("method") in {"GET", "HEAD"} and (
        path in {"", "/"} or path.startswith("/static/")
    )


def host_names(hosts: Collection[str]) -> Collection[str]:
    """Check the names that a server is given, and return them as they stand in requests.

    Raises:
        UsageError: one of them is none that a request can be for.
    """
    for name in _listed("hosts", hosts):
        if _host_name(name) != name.lower() and not _is_address(name):
            raise UsageError(
                f"hosts= lists names such as 'chat.example.com', without scheme and port; not {name!r}"
            )
    return frozenset(name.lower() for name in hosts)


def site_origins(origins: Collection[str]) -> Collection[str]:
    """Check the origins that a server is given, and return them as browsers send them.

    Raises:
        UsageError: one of them is none that a browser sends.
    """
    for origin in _listed("origins", origins):
        scheme, _, host = origin.partition("://")
        if not scheme or _host_name(host) is None:
            raise UsageError(
                f"origins= lists sites such as 'http://localhost:3000', without a path; not {origin!r}"
            )
    return frozenset(origin.lower() for origin in origins)


def _listed(what: str, given: Any) -> Collection[str]:
    if isinstance(given, str) or not all(isinstance(one, str) for one in given):
        raise UsageError(f"{what}= must be a list of texts, not {given!r}")
    listed: Collection[str] = given
    return listed


def is_local_scrape(headers: Headers, scope: Scope, address: str) -> bool:
    """Say whether this machine itself asks for the metrics, which hold no secret: not by way of a proxy on it."""
    by_proxy = any(name in headers for name in (*_FORWARDED, "via"))
    name = _host_name(headers.get("host", ""))
    return (
        _path(scope) == "/metrics"
        and scope.get("method") in {"GET", "HEAD"}
        and _is_loopback(address)
        and name is not None
        and _is_loopback(name)
        and not by_proxy
    )


def is_upload(scope: Scope) -> bool:
    """Say whether the body of a request is a file."""
    return _path(scope).endswith("/uploads")


def check_host(headers: Headers, scope: Scope, hosts: Collection[str]) -> None:
    """Check that a request names this server as its host, against DNS rebinding.

    Raises:
        Refusal: it is not.
    """
    name = _host_name(headers.get("host", ""))
    server = scope.get("server") or ("", None)
    if name is None or not (
        _is_loopback(name) or name in hosts or (_is_address(name) and name == server[0])
    ):
        shown = headers.get("host", "")[:100]
        message = f"this server does not go by the name {shown!r}; if it should, name it in hosts="
        raise Refusal(421, "wrong_host", message)


def check_origin(headers: Headers, origins: Collection[str]) -> None:
    """Check that a request comes from a page of this server, or from no page.

    Raises:
        Refusal: it comes from another page.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin in origins:
        return
    # The scheme may be that of a proxy.
    foreign = origin is not None and origin.partition("://")[2] != headers.get("host")
    if foreign or site not in {None, "same-origin", "none"}:
        message = (
            "requests of other sites are refused; if they should not be, name the site in origins="
        )
        raise Refusal(403, "cross_site", message)


def check_body(headers: Headers, scope: Scope, room: int) -> None:
    """Check what the headers say of a body.

    Raises:
        Refusal: it is not JSON, or too large.
    """
    if scope["method"] not in _BODIES:
        return
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not is_upload(scope):
        raise Refusal(415, "not_json", "the content type of a request is application/json")
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdecimal() or int(length[:20]) > room:
        raise _too_large(room)


def bounded(receive: Receive, room: int) -> Receive:
    """Receive a body, of so many bytes at most; more raise a `Refusal`."""
    received = 0

    async def bounded_receive() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > room:
            raise _too_large(room)
        return message

    return bounded_receive


def with_headers(send: Send) -> Send:
    """Send answers with `HEADERS`."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


def _too_large(room: int) -> Refusal:
    return Refusal(413, "too_large", f"a request here has at most {room:,} bytes")


def _host_name(host: str) -> str | None:
    """Return the name in a Host header, without its port; None where there is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(headers: Headers, address: str) -> bool:
    """Say whether a request comes from this machine: also by way of a proxy on it, as far as that says so."""
    if not _is_loopback(address) or "forwarded" in headers:
        return False
    told = ",".join(headers.getlist("x-forwarded-for") + headers.getlist("x-real-ip"))
    return all(_is_loopback(one.strip()) for one in told.split(",") if one.strip())


def _is_loopback(name: str) -> bool:
    """Say whether a name is one of this machine, and of no other."""
    name = name.lower().removeprefix("::ffff:")  # an address of IPv4, as sockets of IPv6 have it
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)
