"""The events of a conversation on a server, over as many connections as it takes."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import anyio
import httpx
import msgspec
from attrs import frozen

from tether import ApprovalRequested, Event, Message, Usage, UserMessage, from_json
from tether.errors import DecodeError
from tether.serialize import from_builtins
from tether.web.remote.errors import refusal
from tether.web.sse import Reader, Received

__all__ = ("Changed", "Followed", "Follower", "Snapshot", "snapshot_from")

_SILENCE: Final = 45.0
"""Seconds without a byte, three comments of the server's, after which a connection counts as lost."""
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 10.0
_CLOSING_TIME: Final = 2.0


@frozen(kw_only=True)
class Snapshot:
    """A conversation as it was when the server was asked, or no longer knew how far we were."""

    id: str
    title: str
    state: str
    model: str
    place: str
    """Behind which its events go on."""
    messages: tuple[tuple[str, Message], ...]
    """Those that have ended, each with the id that `fork` takes."""
    waiting: tuple[ApprovalRequested, ...]
    queued: tuple[UserMessage, ...]
    """What was said and is not in the conversation yet."""
    usage: Usage
    cost: float | None
    """None where it is not known."""


@frozen(kw_only=True)
class Changed:
    """What a conversation is called and does, when that is different."""

    title: str
    state: str
    model: str
    usage: Usage
    cost: float | None


Followed: TypeAlias = Event | Snapshot | Changed


class Follower(AsyncIterator[Followed]):
    """An iterator over what happens in a conversation on a server. Made by `RemoteConversation.follow`.

    When the connection is lost it connects again, sooner at first and then every ten seconds, and goes on where it was:
    no event comes twice, and none is missed. Where the server does not know the place any more, as it was started
    again, it gives a `Snapshot`, and the events after it. It ends when the conversation is deleted.

    Use it with `async with`, by one task at a time.

    Args:
        http: the client.
        path: that of the events.
        after: the place to begin at.
    """

    def __init__(self, http: httpx.AsyncClient, path: str, after: str) -> None:
        self._http = http
        self._path = path
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._reader = Reader()
        self._ready: list[Received] = []
        self._wait = 0.0
        self.place: str = after
        """That of the last event."""
        self.lost: Callable[[str], object] = lambda _: None
        """Called when the connection is lost, with the reason."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection; the iterator may be taken up again.

        Cancellation:
            Once it is closed.
        """
        response, chunks = self._response, self._chunks
        self._response = self._chunks = None
        self._reader, self._ready = Reader(), []
        if response is None:
            return
        with anyio.move_on_after(_CLOSING_TIME, shield=True):
            await response.aclose()
            if chunks is not None:
                # What is closed raises in the innermost of httpx's generators, which ends them all; else they would
                # end whenever they are collected, which trio complains of.
                with suppress(httpx.HTTPError, httpx.StreamError, StopAsyncIteration):
                    await anext(chunks)

    async def __anext__(self) -> Followed:
        """Wait for what happens next.

        Raises:
            RemoteError: the server refuses: there is no such conversation, or the token is not known.
            DecodeError: the server sends something else than events.
            StopAsyncIteration: the conversation was deleted.

        Cancellation:
            At once; no event is lost.
        """
        while True:
            while self._ready:
                received = self._ready.pop(0)
                if (followed := self._followed(received)) is not None:
                    return followed
            try:
                await self._read()
            except (httpx.HTTPError, httpx.StreamError, _Ended) as error:
                await self.aclose()
                self.lost(str(error) or type(error).__name__)
                await anyio.sleep(self._wait)
                self._wait = min(_LONGEST_WAIT, max(_FIRST_WAIT, 2 * self._wait))

    def _followed(self, received: Received) -> Followed | None:
        match received.event:
            case "message":
                event: Event = from_json(received.data, Event)
                self.place = received.id
                return event
            case "snapshot":
                snapshot = snapshot_from(_decoded(received.data))
                self.place = snapshot.place
                return snapshot
            case "changed":
                return _changed(_decoded(received.data))
            case "deleted":
                raise StopAsyncIteration
            case _:  # hello, and what later servers may have to say
                return None

    async def _read(self) -> None:
        if self._chunks is None:
            await self._connect()
            return
        try:
            piece = await anext(self._chunks)
        except StopAsyncIteration:
            raise _Ended("the server has closed the connection") from None
        self._wait = 0.0
        self._ready = self._reader.feed(piece)

    async def _connect(self) -> None:
        timeout = httpx.Timeout(10.0, read=_SILENCE)
        headers = {"accept": "text/event-stream"}
        request = self._http.build_request(
            "GET", self._path, params={"after": self.place}, headers=headers, timeout=timeout
        )
        response = self._response = await self._http.send(request, stream=True)
        if response.status_code in {408, 429} or response.status_code >= 500:
            raise _Ended(f"HTTP {response.status_code}")
        if response.status_code != 200:
            await response.aread()
            raise refusal(response)
        self._chunks = response.aiter_raw()


class _Ended(Exception):  # noqa: N818 - it never leaves this module
    """A connection ended although the conversation has not."""


def _decoded(data: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise DecodeError(f"not an object: {error}") from None


def _changed(data: dict[str, Any]) -> Changed:
    usage = from_builtins(data.get("usage"), Usage, path="$.usage")
    return Changed(
        title=str(data.get("title", "")),
        state=str(data.get("state", "")),
        model=str(data.get("model", "")),
        usage=usage,
        cost=data.get("cost"),
    )


def snapshot_from(data: dict[str, Any]) -> Snapshot:
    """Read what the server says of a conversation.

    Raises:
        DecodeError: it is something else; the text names the path.
    """
    changed = _changed(data)
    messages = tuple(
        (str(one["entry"]), from_builtins(one["message"], Message, path=f"$.messages[{n}]"))
        for n, one in enumerate(data.get("messages", ()))
    )
    waiting = (from_builtins(one, ApprovalRequested) for one in data.get("waiting", ()))
    queued = (from_builtins(one, UserMessage) for one in data.get("queued", ()))
    return Snapshot(
        id=str(data.get("id", "")),
        title=changed.title,
        state=changed.state,
        model=changed.model,
        place=f"{data.get('epoch')}-{data.get('number')}",
        messages=messages,
        waiting=tuple(waiting),
        queued=tuple(queued),
        usage=changed.usage,
        cost=changed.cost,
    )
