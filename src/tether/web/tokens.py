"""Who may use a server that has one user: whoever has its link, its cookie or its token.

A link holds a token that works once. Opening it in a browser gives the browser a cookie, so that the token is in no
history and no log from then on. Programs send another token, which works as long as the key stays the same.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ("LinkDoor", "Tokens")

_COOKIE_LIFE: Final = 30 * 24 * 3600
_LINKS: Final = 16
"""Links that wait to be opened; the oldest is forgotten for a further one."""


class Tokens:
    """The links, the cookie and the token of a server. Give it as `authorise=`.

    Args:
        key: what cookies and the token are made of; a server that is started again with the same key knows them again.
            A new one, if None.
        owner: the name of the user.
        link_used: called when a link was opened, such as to make another.
    """

    def __init__(
        self,
        key: bytes | None = None,
        *,
        owner: str = "",
        link_used: Callable[[], object] = lambda: None,
    ) -> None:
        self._link_used = link_used
        key = secrets.token_bytes(32) if key is None else key
        self._links: dict[str, None] = {}
        self._owner = owner
        self._cookie = _derived(key, "cookie")
        self.cookie_name: str = f"tether_{_derived(key, 'name')[:8]}"
        """The browser sends all cookies of a host to all its ports: each server has a name of its own."""
        self.bearer: str = _derived(key, "bearer")
        """What programs send as `Authorization: Bearer ...`."""

    def __call__(self, request: HTTPConnection) -> str | None:
        """Return the user, if a request shows the cookie or the token."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        cookie = request.cookies.get(self.cookie_name, "")
        shown = (scheme.lower() == "bearer" and _same(bearer.strip(), self.bearer)) or _same(
            cookie, self._cookie
        )
        return self._owner if shown else None

    def link(self) -> str:
        """Make a token that works once, for a link such as `http://127.0.0.1:8765/?token=...`."""
        while len(self._links) >= _LINKS:
            del self._links[next(iter(self._links))]
        token = secrets.token_urlsafe(24)
        self._links[token] = None
        return token

    def spend(self, token: str) -> bool:
        """Use up the token of a link, and say whether there was one."""
        found = next((known for known in self._links if _same(known, token)), None)
        if found is not None:
            del self._links[found]
            self._link_used()
        return found is not None

    def give_cookie(self, response: Response, scope: Scope) -> None:
        """Give a browser a cookie, with which it is let in from now on."""
        response.set_cookie(
            self.cookie_name,
            self._cookie,
            max_age=_COOKIE_LIFE,
            path=f"{scope.get('root_path', '')}/",
            secure=scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )


class LinkDoor:
    """An ASGI application around another, which exchanges the token of a link for a cookie.

    Args:
        app: the application.
        tokens: whose links they are.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a link; pass on everything else.

        Raises:
            Exception: what the application raises.

        Cancellation:
            Passes through to the application and on.
        """
        answer = self._answer(Request(scope)) if scope["type"] == "http" else None
        await (self._app if answer is None else answer)(scope, receive, send)

    def _answer(self, request: Request) -> Response | None:
        token = request.query_params.get("token")
        if token is None or request.method != "GET":
            return None
        if self._tokens.spend(token):
            # Without the token in its address. Relative: a proxy may have put the application anywhere.
            response: Response = RedirectResponse("./", 303)
            self._tokens.give_cookie(response, request.scope)
            return response
        if self._tokens(request) is not None:
            return RedirectResponse("./", 303)
        return PlainTextResponse(
            "This link was used before, or is not one of this server. Ask the server for a new one.\n",
            401,
        )


def _derived(key: bytes, purpose: str) -> str:
    return hmac.new(key, purpose.encode(), hashlib.sha256).hexdigest()[:32]


def _same(one: str, other: str) -> bool:
    """Compare in a time that says nothing about where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
