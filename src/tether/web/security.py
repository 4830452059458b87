"""The checks that a request must pass before it reaches the application.

A server on this machine is reached by every page that its user's browser shows: by a name that leads here (DNS
rebinding), by a form or a `fetch` without asking first (cross-site requests), and from other ports of this machine,
which browsers take for the same site. So each request is checked in this order:

    421  the Host is one that this server goes by: loopback, its own address, or one of `hosts`
    403  Origin and Sec-Fetch-Site, which browsers add, say that the page is one of this server, or of `origins`
    401  `authorise` knows the user; without one, only this machine is let in
    429  the user's rate, and the rate of failures of an address
    415  a body is JSON, but for uploads: a page elsewhere cannot send JSON without asking
    413  the body is not too large

The page itself and its files are open: there is no secret in them. So are the metrics, to this machine alone.
Everything that is answered gets the headers that keep browsers from running, framing, sniffing or leaking anything.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, TypeAlias

import anyio
from attrs import field, frozen
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from tether import UsageError
from tether.web.checks import (
    bounded,
    check_body,
    check_host,
    check_origin,
    is_local,
    is_local_scrape,
    is_open,
    is_upload,
    with_headers,
)
from tether.web.rates import Rate, Rates
from tether.web.refusals import Refusal, refused

__all__ = ("Authorise", "Bounds", "Guard", "owner_of")

Authorise: TypeAlias = Callable[[HTTPConnection], Awaitable[str | None] | str | None]
"""Returns the name of the user that a request comes from; None for nobody."""

_OWNER: Final = "tether.owner"


@frozen(kw_only=True)
class Bounds:
    """How much a server takes."""

    body: int = 16 * 1024 * 1024
    """Bytes of a request."""
    upload: int = 32 * 1024 * 1024
    """Bytes of a file."""
    requests: Rate = field(factory=lambda: Rate(50, 500))
    """Of each user."""
    failures: Rate = field(factory=lambda: Rate(1, 60))
    """Requests of each address that `authorise` refuses."""


class Guard:
    """An ASGI application around another, which checks requests.

    Args:
        app: the application.
        authorise: who a request comes from; None lets in everybody on this machine.
        hosts: names by which the server goes, in addition to those of this machine.
        origins: pages elsewhere that may send requests, such as `https://example.com`.
        bounds: how much is taken.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        authorise: Authorise | None,
        hosts: Collection[str],
        origins: Collection[str],
        bounds: Bounds,
    ) -> None:
        self._app = app
        self._authorise = authorise
        self._hosts = hosts
        self._origins = origins
        self._bounds = bounds
        self._requests = Rates(bounds.requests)
        self._failures = Rates(bounds.failures)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and pass it on, with its user in its scope.

        Raises:
            Exception: what the application raises.

        Cancellation:
            Passes through to the application and on.
        """
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = with_headers(send)
        try:
            owner = await self._checked(scope)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
            return
        await self._app({**scope, _OWNER: owner}, bounded(receive, self._room(scope)), send)

    async def _checked(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        check_host(headers, scope, self._hosts)
        if is_open(scope):
            return ""
        check_origin(headers, self._origins)
        if is_local_scrape(headers, scope, _address(scope)):
            return ""
        owner = await self._owner(scope)
        self._count(self._requests, f"user {owner}")
        check_body(headers, scope, self._room(scope))
        return owner

    def _room(self, scope: Scope) -> int:
        return self._bounds.upload if is_upload(scope) else self._bounds.body

    async def _owner(self, scope: Scope) -> str:
        address = _address(scope)
        if self._authorise is None:
            if not is_local(Headers(scope=scope), address):
                raise Refusal(
                    403, "forbidden", "this server is for its own machine; give it authorise="
                )
            return ""
        self._refuse_above(self._failures, address)
        owner = await _answered(self._authorise, HTTPConnection(scope))
        if owner is None:
            self._failures.take(address, anyio.current_time())
            raise Refusal(
                401,
                "unauthorised",
                "show who you are: open a link of the server, or send its token",
                {"www-authenticate": 'Bearer realm="tether"'},
            )
        return owner

    def _count(self, rates: Rates, who: str) -> None:
        self._refuse_above(rates, who)
        rates.take(who, anyio.current_time())

    def _refuse_above(self, rates: Rates, who: str) -> None:
        if wait := rates.wait(who, anyio.current_time()):
            seconds = str(int(wait) + 1)
            message = f"too many requests; try again in {seconds} s"
            raise Refusal(429, "too_many_requests", message, {"retry-after": seconds})


def owner_of(scope: Scope) -> str:
    """Return the user that a request comes from.

    Raises:
        UsageError: there is no `Guard` around the application.
    """
    owner = scope.get(_OWNER)
    if not isinstance(owner, str):
        raise UsageError(
            "this request has not been checked: there is no Guard around the application"
        )
    return owner


async def _answered(authorise: Authorise, connection: HTTPConnection) -> str | None:
    try:
        answer = authorise(connection)
        owner: Any = await answer if inspect.isawaitable(answer) else answer
    except HTTPException as error:
        raise Refusal(error.status_code, "unauthorised", error.detail, error.headers) from error
    if owner is not None and not isinstance(owner, str):
        raise UsageError(f"authorise= returns the name of a user, or None; not {owner!r}")
    return owner


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
