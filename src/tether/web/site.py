"""What the routes of an application share: the host, who asks, and what they may see.

A module that adds routes has a function `routes(site)`. The guard has checked a request before it gets there.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import msgspec
from attrs import define, field
from starlette.requests import Request
from starlette.routing import BaseRoute

from tether import Commands
from tether.host import Conversation, Host
from tether.web.refusals import Refusal
from tether.web.security import Bounds, owner_of
from tether.web.streaming import Streams
from tether.web.uploads import Uploads

__all__ = ("Site",)

T = TypeVar("T")

_NOT_OPEN = (
    "the host of this application is not open, as its lifespan has not run; where the application is mounted, write "
    "`tether.web.mount(parent, path, app)` in place of `parent.mount(path, app)`"
)


@define(eq=False)
class Site:
    """An application's own things.

    Args:
        open_host: makes the context manager of the host, each time that the application is started.
        bounds: how much is taken.
        model: the name of the model, for those who have no conversation yet.
        further_routes: routes beside those of the application's own modules.
        commands: what is called by what a person says that begins with `/name`.
    """

    open_host: Callable[[], AbstractAsyncContextManager[Host]]
    bounds: Bounds = field(factory=Bounds)
    model: str = ""
    further_routes: Sequence[BaseRoute] = ()
    commands: Commands = field(factory=Commands)
    uploads: Uploads = field(factory=Uploads)
    streams: Streams = field(factory=Streams)
    _host: Host | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the host while a block runs: the lifespan.

        Raises:
            Exception: what opening the host raises.

        Cancellation:
            Cancels all runs, waits for them, and passes on.
        """
        async with self.open_host() as self._host:
            self.streams = Streams()
            try:
                yield
            finally:
                self.streams.close()
                self._host = None

    @property
    def host(self) -> Host:
        """The host.

        Raises:
            Refusal: it is not open.
        """
        if self._host is None:
            raise Refusal(503, "not_open", _NOT_OPEN)
        return self._host

    def owner(self, request: Request) -> str:
        """Return the user that a request comes from."""
        return owner_of(request.scope)

    async def conversation(
        self, request: Request, id: str | None = None, *, create: bool = False
    ) -> Conversation:
        """Return a conversation of the user that a request comes from.

        Args:
            request: the request.
            id: which; a new one if None.
            create: whether it is made, where the user has none of that id.

        Raises:
            NotFoundError: the user has none; somebody else may.
            Refusal: the host is not open.
            Exception: what `Host.conversation` raises.

        Cancellation:
            As of `Host.conversation`.
        """
        create = create or id is None
        return await self.host.conversation(id, owner=self.owner(request), create=create)

    async def json(self, request: Request, expected: type[T]) -> T:
        """Read the body of a request.

        Args:
            request: the request.
            expected: a msgspec Struct, or another type that msgspec reads.

        Raises:
            Refusal: it is something else; the text names the path.

        Cancellation:
            At once.
        """
        try:
            return msgspec.json.decode(await request.body(), type=expected)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Refusal(400, "bad_request", f"the body cannot be read: {error}") from error
