"""What the environment says about how to reach a server: proxies, and the certificates that are trusted.

The variables are those that curl and others read. One that cannot be used is an error that names it.
"""

import functools
import importlib.util
import ipaddress
import os
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from tether.errors import ModelError
from tether.models._http.secrets import printable_url
from tether.opening import open_regular

__all__ = ("proxy_for", "proxy_url", "tls_context")

_PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")


def proxy_url(url: str) -> str | None:
    """Return the address of the proxy for a server, as the environment or the system has it.

    Args:
        url: the server's address.

    Returns:
        The address; None if there is no proxy, or NO_PROXY names the server.
    """
    return _setting_for(url)[1]


def proxy_for(url: str) -> httpx.Proxy | None:
    """Make the proxy for a server, as the environment or the system has it.

    Args:
        url: the server's address.

    Returns:
        The proxy; None if there is none, or NO_PROXY names the server.

    Raises:
        ModelError: it cannot be used. The message names the variable, and its value without credentials.
    """
    variable, value = _setting_for(url)
    if value is None:
        return None
    try:
        proxy = httpx.Proxy(value)
    except (ValueError, httpx.InvalidURL, UnicodeError):
        proxy = None
    if proxy is None or not proxy.url.host or (proxy.url.port or 0) >= 2**16:
        schemes = ", ".join(_PROXY_SCHEMES)
        raise _unusable(variable, value, f"a proxy is a URL that begins with one of {schemes}")
    if proxy.url.scheme.startswith("socks"):
        _require_socks(variable, value)
    return proxy


def _require_socks(variable: str, value: str) -> None:
    if importlib.util.find_spec("socksio") is None:
        raise _unusable(variable, value, "this kind of proxy needs: pip install 'httpx[socks]'")


def _unusable(variable: str, value: str, reason: str) -> ModelError:
    return ModelError(
        f"{variable}={printable_url(value)} cannot be used: {reason}", kind="invalid_request"
    )


def _setting_for(url: str) -> tuple[str, str | None]:
    """Find the variable that names the proxy for a server, and its value."""
    settings = getproxies()
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        return "", None
    kind = next((kind for kind in (scheme, "all") if settings.get(kind)), None)
    if kind is None or _is_excepted(host, port or _default_port(scheme), settings):
        return "", None
    value = settings[kind].strip()
    return _variable(kind), value if "://" in value else f"http://{value}"


def _variable(kind: str) -> str:
    lower, upper = f"{kind}_proxy", f"{kind.upper()}_PROXY"
    return lower if os.environ.get(lower) or not os.environ.get(upper) else upper


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _is_excepted(host: str, port: int, settings: Mapping[str, str]) -> bool:
    entries = (entry.strip() for entry in settings.get("no", "").split(","))
    return any(_matches(entry.lower(), host, port) for entry in entries if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    """Say whether an entry of NO_PROXY names a host; one that cannot be read names none."""
    if entry == "*":
        return True
    try:
        if "/" in entry and "://" not in entry:
            return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
        parts = urlsplit(entry if "://" in entry else f"//{_bracketed(entry)}")
        name, its_port = (parts.hostname or "").lstrip("*"), parts.port
        if parts.scheme not in {"", "all"} and _default_port(parts.scheme) != port and not its_port:
            return False
    except ValueError:
        return False
    if not name or its_port not in {None, port}:
        return False
    domain = name.lstrip(".")
    return host.endswith(f".{domain}") or (host == domain and not name.startswith("."))


def _bracketed(entry: str) -> str:
    return f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry


def tls_context(url: str) -> ssl.SSLContext:
    """Return the TLS context for a server.

    Args:
        url: the server's address; one without TLS needs no certificates.

    Raises:
        ModelError: the certificates that the environment names cannot be read; the message names the variable.
    """
    if not url.startswith("https"):
        return _default(checked=False)
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if place := os.environ.get(variable):
            return _trusting(variable, place)
    return _default(checked=True)


@functools.cache
def _default(*, checked: bool) -> ssl.SSLContext:
    """A context that depends on no variable: to build one takes longer than a whole turn."""
    return httpx.create_ssl_context(verify=checked, trust_env=False)


@functools.lru_cache(maxsize=4)
def _trusting(variable: str, place: str) -> ssl.SSLContext:
    try:
        if variable != "SSL_CERT_DIR":
            open_regular(place, place).close()
            return ssl.create_default_context(cafile=place)
        os.listdir(place)
        return ssl.create_default_context(capath=place)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or str(error)
    raise ModelError(
        f"{variable}={place} cannot be used: no certificates can be read from it ({reason})",
        kind="invalid_request",
    )
