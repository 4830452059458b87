"""Find the addresses of a host, and tell those that are open to all from those of one's own network."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

import anyio

__all__ = ("PrivateAddressError", "Resolve", "addresses_of", "is_public", "public_addresses")

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Finds the addresses of a host and a port; raises OSError where there are none."""

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_WITH_ADDRESS_INSIDE: Final = (
    ipaddress.IPv6Network("2001::/32"),  # Teredo
    ipaddress.IPv6Network("2002::/16"),  # 6to4
)
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""Where networks without IPv4 reach it: the last four bytes are the IPv4 address."""


class PrivateAddressError(PermissionError):
    """A host is in a private network, on this machine, or nowhere that all can reach."""


async def addresses_of(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a host.

    Raises:
        OSError: there are none.

    Cancellation:
        At once; the thread that asks is left behind.
    """
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"{host} has no address: {error.strerror}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def public_addresses(host: str, port: int, resolve: Resolve) -> Sequence[str]:
    """Find the addresses of a host that is open to all. Whoever connects must use these, and not ask again.

    Args:
        host: a name, or an address.
        port: the port.
        resolve: finds the addresses.

    Returns:
        At least one address.

    Raises:
        PrivateAddressError: one of its addresses is not open to all.
        OSError: it has no address.

    Cancellation:
        While the addresses are asked for.
    """
    found = await resolve(host, port)
    if not found:
        raise OSError(f"{host} has no address")
    for address in found:
        if not is_public(address):
            raise PrivateAddressError(
                f"{host} is at {address}, which is private: only hosts in the public Internet are asked"
            )
    return found


def is_public(address: str) -> bool:
    """Say whether an address is open to all: not private, of this machine, of its link, shared, reserved or for many.

    Args:
        address: an IPv4 or IPv6 address, perhaps with a zone. Of one that has an IPv4 address inside, that is judged.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inside = _inside(found)
        if inside is None:
            return _is_public(found) and found in _GLOBAL_UNICAST and not _wraps(found)
        found = inside
    return _is_public(found)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inside(address: IPv6Address) -> IPv4Address | None:
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def _wraps(address: IPv6Address) -> bool:
    return any(address in network for network in _WITH_ADDRESS_INSIDE)
