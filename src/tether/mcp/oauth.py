"""Signing in to a server at an address, with a browser (OAuth 2.1): a loopback redirect, tokens in a private file."""

import hashlib
import json
import os
import webbrowser
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import anyio
import anyio.abc
import anyio.to_thread
from attrs import define, evolve, field
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl, BaseModel, ValidationError

from tether.errors import UsageError
from tether.mcp.connecting import connected
from tether.mcp.printable import one_line
from tether.mcp.specs import Http, ServerSpec

__all__ = ("sign_in", "signed_in")

_PERSON_HAS: Final = 300.0
"""Seconds to sign in."""
_LONGEST_REQUEST: Final = 16 * 1024
_ANSWER: Final = (
    "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n"
    "Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\n\r\n"
    "<!doctype html><title>tether</title><p>{text}</p>"
)


def signed_in(spec: ServerSpec, folder: Path) -> ServerSpec:
    """Let a server at an address have the tokens that are kept for it.

    Args:
        spec: any server.
        folder: where tokens are kept.

    Returns:
        The server, with the tokens if there are any and it has no `auth` of its own. They are renewed where that needs
        no person.
    """
    if not isinstance(spec, Http) or spec.auth is not None:
        return spec
    store = _Store(_file_for(spec, folder))
    if not store.path.is_file():
        return spec

    async def refuse(_: str) -> None:
        raise UsageError(
            f"its tokens are no longer good; sign in again: tether mcp login {spec.name}"
        )

    return evolve(spec, auth=_provider(spec, store, "http://127.0.0.1/callback", refuse, None))


async def sign_in(
    spec: ServerSpec,
    folder: Path,
    *,
    tell: Callable[[str], None],
    open_url: Callable[[str], object] = webbrowser.open,
) -> str:
    """Sign in to a server, with a person and a browser on this machine.

    Args:
        spec: a server at an address.
        folder: where its tokens are kept afterwards, in a file that nobody else may read.
        tell: prints the address to open.
        open_url: opens the address in a browser; a plain function, which runs in a thread.

    Returns:
        The status of the server afterwards: it begins with `ready` if the person has signed in.

    Raises:
        UsageError: the server is not one at an address.
        OSError: the tokens cannot be kept.

    Cancellation:
        Gives up, and passes on.
    """
    if not isinstance(spec, Http):
        raise UsageError(f"{spec.name} is no server at an address: there is nothing to sign in to")
    store = _Store(_file_for(spec, folder))
    store.forget()
    async with _redirects() as (address, redirect):

        async def show(url: str) -> None:
            if not url.startswith(("https://", "http://")):
                raise UsageError(
                    f"the server wants {one_line(url, 100)!r} opened, which is no web page"
                )
            redirect.expect(url)
            tell(f"Open this page to sign in to {spec.name}:\n{one_line(url, 4000)}")
            await anyio.to_thread.run_sync(open_url, url, abandon_on_cancel=True)

        auth = _provider(spec, store, address, show, redirect.wait)
        asked = evolve(spec, auth=auth, open_timeout=_PERSON_HAS)
        async with connected(asked, wait=_PERSON_HAS) as servers:
            return servers[spec.name].status


def _provider(
    spec: Http,
    store: "_Store",
    address: str,
    show: Callable[[str], Any],
    redirected: Callable[[], Any] | None,
) -> OAuthClientProvider:
    async def nobody() -> AuthorizationCodeResult:
        raise UsageError("there is nobody to sign in")

    metadata = OAuthClientMetadata(client_name="tether", redirect_uris=[AnyUrl(address)])
    return OAuthClientProvider(
        spec.url,
        metadata,
        store,
        redirect_handler=show,
        callback_handler=redirected or nobody,
    )


def _file_for(spec: Http, folder: Path) -> Path:
    """The file of a server's tokens: by its address, so that tokens never go to another."""
    return folder / f"{hashlib.sha256(spec.url.encode()).hexdigest()[:32]}.json"


@define
class _Store:
    """Tokens in a file that nobody else may read, as the SDK's client keeps them."""

    path: Path
    _kept: dict[str, Any] | None = None

    async def get_tokens(self) -> OAuthToken | None:
        tokens: OAuthToken | None = self._found("tokens", OAuthToken)
        return tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._keep("tokens", tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        client: OAuthClientInformationFull | None = self._found(
            "client", OAuthClientInformationFull
        )
        return client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._keep("client", client_info)

    def forget(self) -> None:
        """Begin anew: the redirect has another port, with which the client is not registered."""
        self._kept = {}

    def _all(self) -> dict[str, Any]:
        if self._kept is None:
            try:
                found = json.loads(self.path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                found = {}
            self._kept = found if isinstance(found, dict) else {}
        return self._kept

    def _found(self, key: str, kind: "type[Any]") -> Any:
        with suppress(ValidationError):
            if key in self._all():
                return kind.model_validate(self._all()[key])
        return None

    def _keep(self, key: str, value: BaseModel) -> None:
        self._all()[key] = value.model_dump(mode="json", exclude_none=True)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_suffix(f".{os.getpid()}.new")
        with suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._all(), file)
        new.replace(self.path)


@define(eq=False)
class _Redirect:
    """The redirect that comes back from signing in."""

    state: str | None = ""
    """What it is known by. Any page may find the port, and send something of its own there."""
    found: Mapping[str, list[str]] | None = None
    came: anyio.Event = field(factory=anyio.Event)

    def expect(self, url: str) -> None:
        """Expect what answers a request to sign in."""
        self.state = _first(parse_qs(url.partition("?")[2]), "state")

    async def wait(self) -> AuthorizationCodeResult:
        """Wait for it."""
        with anyio.fail_after(_PERSON_HAS):
            await self.came.wait()
        return _as_result(self.found or {})


@asynccontextmanager
async def _redirects() -> AsyncIterator[tuple[str, _Redirect]]:
    """Listen on a loopback port for the time of a block; give the address, and what comes there."""
    redirect = _Redirect()

    async def answer(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with anyio.move_on_after(10), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await _answer(stream, redirect)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, answer)
        try:
            yield f"http://127.0.0.1:{port}/callback", redirect
        finally:
            tasks.cancel_scope.cancel()


async def _answer(stream: anyio.abc.SocketStream, redirect: _Redirect) -> None:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_REQUEST:
        head += await stream.receive()
    target = head.split(b" ", 2)[1].decode("ascii", "replace") if head.startswith(b"GET ") else ""
    path, _, query = target.partition("?")
    found = parse_qs(query)
    expected = path == "/callback" and _first(found, "state") == redirect.state
    if not expected or redirect.came.is_set():
        await stream.send(_ANSWER.format(status="404 Not Found", text="Nothing here.").encode())
        return
    redirect.found = found
    text = "You can close this page." if "code" in redirect.found else "Signing in failed."
    await stream.send(_ANSWER.format(status="200 OK", text=text).encode())
    redirect.came.set()


def _as_result(found: Mapping[str, list[str]]) -> AuthorizationCodeResult:
    code = _first(found, "code")
    if code is None:
        why = _first(found, "error_description") or _first(found, "error") or "no code came back"
        raise UsageError(f"signing in failed: {one_line(why, 300)}")
    return AuthorizationCodeResult(
        code=code, state=_first(found, "state"), iss=_first(found, "iss")
    )


def _first(found: Mapping[str, list[str]], name: str) -> str | None:
    return found[name][0] if found.get(name) else None
