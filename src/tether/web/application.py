"""The application: a host, its routes, and what guards them."""

import math
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ForwardRef

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from tether import BusyError, Commands, UsageError
from tether import host as hosts_of_conversations
from tether.embedding.lifespan import GracefulStop
from tether.host import (
    EndedError,
    FolderStore,
    Host,
    LimitReachedError,
    MakeAgent,
    NotFoundError,
    Store,
    WhenUnwatched,
)
from tether.web import native, page
from tether.web.checks import host_names, site_origins
from tether.web.protocols import ag_ui, openai, vercel
from tether.web.refusals import Refusal, refused
from tether.web.security import Authorise, Bounds, Guard
from tether.web.site import Site
from tether.web.streaming import Streams
from tether.web.tokens import LinkDoor, Tokens

if TYPE_CHECKING:
    from tether.metrics import Metrics
else:  # `typing.get_type_hints` imports it
    Metrics = ForwardRef("import_module('tether.metrics').Metrics", module="importlib")

__all__ = ("app", "made_site", "mount", "site_application")

_ROUTES: Final[Sequence[Callable[[Site], Sequence[BaseRoute]]]] = (
    lambda _: page.routes(),
    native.routes,
    vercel.routes,
    ag_ui.routes,
    openai.routes,
    lambda site: site.further_routes,
)
"""What an application offers: the function `routes` of each module that adds some."""


def app(
    make_agent: MakeAgent,
    *,
    authorise: Authorise | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    when_unwatched: WhenUnwatched = "go_on",
    hosts: Collection[str] = (),
    origins: Collection[str] = (),
    bounds: Bounds | None = None,
    model: str = "",
    metrics: "Metrics | None" = None,
    record: str | os.PathLike[str] | None = None,
    secrets: Iterable[str] = (),
    commands: Commands | None = None,
    **limits: Any,
) -> Starlette:
    """Make an application that holds conversations: a page, and protocols for programs.

    Serve it by itself, or add it to another application with `mount`.

    Args:
        make_agent: makes the agent of a conversation, new for each; see `tether.host.open`.
        authorise: returns the name of the user that a request comes from, or None for nobody; plain or async. Users see
            their own conversations only. `Tokens()` is for one user with a link. None lets in everybody on this
            machine, and nobody else.
        store: where conversations are kept, or the path of a folder; without one they last as long as the application.
        when_unwatched: what becomes of a run that nobody follows; see `tether.host.open`.
        hosts: the names by which the server goes, such as `chat.example.com`, in addition to `localhost`.
        origins: pages elsewhere whose scripts may use it, such as `http://localhost:3000`.
        bounds: how large and how many requests may be.
        model: the name of the model, for those who have no conversation yet.
        metrics: where runs, viewers and the event loop are measured. They are answered at `/metrics`, to this machine
            and to everybody whom `authorise` lets in.
        record: a folder in which all runs are recorded; see `tether.host.open`. Users see those of their own
            conversations on the page.
        secrets: what is taken out of the recordings, such as keys.
        commands: what is called by what a person says that begins with `/name`; see `tether.host.expand`. The page and
            `tether attach` offer them. Without any, such a text is said as it is.
        **limits: those of `tether.host.open`: `max_conversations`, `max_runs`, `max_log_bytes`, `rest_after`.

    Returns:
        The application. Its lifespan opens the host; as it ends, all runs are cancelled and have cleaned up.

    Raises:
        UsageError: something that is given is not what it must be.
    """
    if hosts and authorise is None:
        raise UsageError("hosts= lets others in: say who may use what, with authorise=")
    site = made_site(
        make_agent,
        store=store,
        when_unwatched=when_unwatched,
        bounds=bounds,
        model=model,
        metrics=metrics,
        record=record,
        secrets=secrets,
        commands=commands,
        **limits,
    )
    return site_application(
        site,
        authorise=authorise,
        hosts=hosts,
        origins=origins,
        around=[Middleware(GracefulStop, grace=1.0)],
    )


def made_site(
    make_agent: MakeAgent,
    *,
    store: Store | str | os.PathLike[str] | None = None,
    when_unwatched: WhenUnwatched = "go_on",
    bounds: Bounds | None = None,
    model: str = "",
    metrics: "Metrics | None" = None,
    secrets: Iterable[str] = (),
    commands: Commands | None = None,
    **limits: Any,
) -> Site:
    """Make the site of an application; see `app` for what is given."""
    kept = FolderStore(store) if isinstance(store, str | os.PathLike) else store
    # The host is opened each time that the application starts.
    masked = secrets if isinstance(secrets, str | bytes) else tuple(secrets)

    def open_with(make_agent: MakeAgent) -> AbstractAsyncContextManager[Host]:
        return hosts_of_conversations.open(
            make_agent, store=kept, when_unwatched=when_unwatched, secrets=masked, **limits
        )

    open_with(
        make_agent
    )  # an option that there is not, or that is not what it must be, is refused here
    open_host: Callable[[], AbstractAsyncContextManager[Host]] = partial(open_with, make_agent)
    routes: Sequence[BaseRoute] = ()
    if metrics is not None:
        from tether.web.scrape import measured_site  # noqa: PLC0415 - needs the extra `metrics`

        open_host, routes = measured_site(make_agent, open_with, metrics)
    return Site(
        open_host, bounds or Bounds(), model, further_routes=routes, commands=commands or Commands()
    )


def site_application(
    site: Site,
    *,
    authorise: Authorise | None,
    hosts: Collection[str] = (),
    origins: Collection[str] = (),
    around: Sequence[Middleware] = (),
    has_lifespan: bool = True,
) -> Starlette:
    """Make the application of a site; see `app`.

    Args:
        site: the site.
        authorise: as for `app`.
        hosts: as for `app`.
        origins: as for `app`.
        around: what stands around everything else.
        has_lifespan: whether it opens the site; else whoever serves it does.

    Raises:
        UsageError: a name or an origin cannot be one.
    """
    hosts, origins = host_names(hosts), site_origins(origins)
    middleware = [*around]
    if origins:
        middleware.append(_cors(origins))
    guard = partial(Guard, authorise=authorise, hosts=hosts, origins=origins, bounds=site.bounds)
    middleware.append(Middleware(guard))
    if isinstance(authorise, Tokens):
        middleware.append(Middleware(LinkDoor, authorise))
    middleware.append(Middleware(_WithStreams, site))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with site.opened():
            yield

    made = Starlette(
        routes=[route for routes in _ROUTES for route in routes(site)],
        middleware=middleware,
        exception_handlers=_HANDLERS,
        lifespan=lifespan if has_lifespan else None,
    )
    made.state.site = site
    return made


def mount(parent: Starlette, path: str, child: Starlette) -> None:
    """Add an application to another one, of Starlette or FastAPI, below a path.

    In place of `parent.mount(path, child)`, with which the lifespan of `child` would not run, and its host not open.
    That of the parent is entered before it, and left after it.

    Args:
        parent: the application that is served.
        path: such as `/agent`.
        child: what `app` has made.
    """
    outer = parent.router.lifespan_context

    @asynccontextmanager
    async def both(application: Any) -> AsyncIterator[Any]:
        async with outer(application) as state, child.router.lifespan_context(child):
            yield state

    parent.router.lifespan_context = both
    parent.mount(path, child)


class _WithStreams:
    """Lets responses that go on for ever know of the end of the server."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, Streams.KEY: self._site.streams}, receive, send)


def _cors(origins: Collection[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["authorization", "content-type", "last-event-id"],
        allow_credentials=True,
    )


# Errors.


def _refused(_: Request, error: Exception) -> Response:
    match error:
        case Refusal():
            return refused(error)
        case NotFoundError():
            return refused(Refusal(404, "not_found", str(error)))
        case EndedError():
            return refused(Refusal(409, "ended", str(error)))
        case BusyError():
            return refused(Refusal(409, "busy", error.message, _retry_after(error)))
        case LimitReachedError(limit=limit):
            return refused(Refusal(429, f"limit_{limit}", error.message))
        case UsageError(message=message):
            return refused(Refusal(400, "bad_request", message))
        case _:
            return refused(Refusal(400, "bad_request", str(error)))


def _retry_after(error: BusyError) -> Mapping[str, str] | None:
    seconds = error.retry_after
    return None if seconds is None else {"retry-after": f"{math.ceil(seconds)}"}


def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_request")
    message = f"{request.method} {request.url.path}: {error.detail}"
    return refused(Refusal(error.status_code, kind, message, error.headers))


def _failed(_: Request, error: Exception) -> JSONResponse:
    return refused(Refusal(500, "internal", "the server has failed; its log says why"))


_HANDLERS: Final[Any] = {
    Refusal: _refused,
    UsageError: _refused,
    HTTPException: _not_served,
    Exception: _failed,
}
