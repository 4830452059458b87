"""A client of the native protocol: follow conversations on a server from another program, and take part in them."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import httpx
import msgspec
from attrs import frozen

from tether import Deny, UsageError, Verdict
from tether.transport import StreamingTransport
from tether.web.remote.errors import RemoteError, refusal
from tether.web.remote.follower import Changed, Followed, Follower, Snapshot, snapshot_from

__all__ = (
    "Changed",
    "Followed",
    "Follower",
    "Listed",
    "ListedCommand",
    "Remote",
    "RemoteConversation",
    "RemoteError",
    "Snapshot",
    "connect",
)

_Form = TypeVar("_Form")

_TIMEOUT: Final = httpx.Timeout(30.0)


@frozen
class Listed:
    """A conversation in a list."""

    id: str
    title: str
    updated: float
    """When something was last said in it; seconds since the epoch."""
    state: str
    model: str
    messages: int


@frozen
class ListedCommand:
    """A command of a server."""

    name: str
    description: str
    hint: str
    """How the words behind its name are shown; empty where it takes none."""


@frozen
class _Conversations:
    conversations: list[Listed]


@frozen
class _Commands:
    commands: list[ListedCommand]


@asynccontextmanager
async def connect(
    url: str, *, token: str | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator["Remote"]:
    """Connect to a server that `tether serve` or `tether.web.app` runs.

    Args:
        url: its address, with the path that the application is mounted at; or a link that works once.
        token: what `tether serve` prints for terminals.
        headers: to send with each request, such as those that `authorise` of the server looks at.

    Returns:
        A context manager that gives the server.

    Raises:
        RemoteError: the link was used before, or there is no server.
        UsageError: that is no address.

    Cancellation:
        Closes the connections, and passes on.
    """
    base, link = _split(url)
    given = {**(headers or {}), **({"authorization": f"Bearer {token}"} if token else {})}
    transport = StreamingTransport(limits=httpx.Limits(max_connections=None))
    async with httpx.AsyncClient(
        base_url=base, headers=given, timeout=_TIMEOUT, transport=transport
    ) as http:
        remote = Remote(http)
        if link is not None:
            await remote.open_link(link)
        yield remote


def _split(url: str) -> tuple[str, str | None]:
    """Split a link into the address of the server and the token."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url!r} is no address of a server; write http://HOST:PORT")
    link = parse_qs(parts.query).get("token", [None])[0]
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + "/", "", "")), link


class Remote:
    """A server. Made by `connect`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def open_link(self, token: str) -> None:
        """Exchange the token of a link for a cookie."""
        await self.request("GET", "", params={"token": token})

    async def info(self) -> dict[str, Any]:
        """Ask what the server is: its version, model, user, and what it takes."""
        answer: dict[str, Any] = await self.json("GET", "api/info")
        return answer

    async def commands(self) -> Sequence[ListedCommand]:
        """List what `/name words` may call on the server.

        Raises:
            RemoteError: the server refuses, or cannot be reached.

        Cancellation:
            Stops waiting; nothing has changed.
        """
        answer = await self.json("GET", "api/commands")
        return self._read(answer, _Commands).commands

    async def conversations(self, *, search: str = "", limit: int = 50) -> Sequence[Listed]:
        """List the user's conversations, those in which something was said last first.

        Args:
            search: what the title or a message contains.
            limit: how many at most; up to 200.

        Raises:
            RemoteError: the server refuses, or cannot be reached.

        Cancellation:
            Stops waiting; nothing has changed.
        """
        params = {"search": search, "limit": str(limit)}
        answer = await self.json("GET", "api/conversations", params=params)
        return self._read(answer, _Conversations).conversations

    async def conversation(
        self, id: str | None = None, *, title: str | None = None
    ) -> "RemoteConversation":
        """Get a conversation.

        Args:
            id: which; a new one if None.
            title: that of a new one.

        Raises:
            RemoteError: the user has none of that id.

        Cancellation:
            Stops waiting; a new one may have been made.
        """
        if id is None:
            body = {} if title is None else {"title": title}
            made = await self.json("POST", "api/conversations", json=body)
            return RemoteConversation(self, made["id"])
        talk = RemoteConversation(self, id)
        await talk.snapshot()
        return talk

    def follow(self, path: str, after: str) -> Follower:
        """Make the iterator of `RemoteConversation.follow`."""
        return Follower(self._http, path, after)

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, and read its answer as JSON.

        Raises:
            RemoteError: the server refuses it, or cannot be reached.
        """
        response = await self.request(method, path, **options)
        try:
            return msgspec.json.decode(response.content)
        except msgspec.DecodeError as error:
            raise self._no_tether("no JSON") from error

    def _read(self, answer: Any, form: type[_Form]) -> _Form:
        """Check an answer; what a newer server says in addition is left out."""
        try:
            return msgspec.convert(answer, form)
        except msgspec.ValidationError as error:
            raise self._no_tether(f"what cannot be read ({error})") from error

    def _no_tether(self, answers: str) -> RemoteError:
        return RemoteError(
            f"{self._http.base_url} answers {answers}: it is no server of tether",
            status=None,
            kind="no_tether",
        )

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request.

        Raises:
            RemoteError: the server refuses it, or cannot be reached.
        """
        try:
            response = await self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise RemoteError(
                f"{self._http.base_url} cannot be reached: {what}", status=None, kind="unreachable"
            ) from error
        if response.status_code >= 400:
            raise refusal(response)
        return response


class RemoteConversation:
    """A conversation on a server."""

    def __init__(self, remote: Remote, id: str) -> None:
        self.remote: Final = remote
        self._path = f"api/conversations/{quote(id, safe='')}"
        self.id: Final = id

    def follow(self, after: str = "0") -> Follower:
        """Follow its events: `async with talk.follow() as events: async for event in events: ...`.

        Args:
            after: the `place` of the last event that is known already; `0` for all; `now` for a snapshot and what
                comes after it.

        Returns:
            The iterator; it reconnects when the connection is lost.
        """
        return self.remote.follow(f"{self._path}/events", after)

    async def snapshot(self) -> Snapshot:
        """Ask for the conversation as it is now.

        Raises:
            RemoteError: there is none.
        """
        return snapshot_from(await self.remote.json("GET", self._path))

    async def say(
        self,
        text: str,
        *,
        uploads: Iterable[str] = (),
        when: Literal["steer", "interrupt", "follow_up"] = "steer",
        told: Callable[[str], object] | None = None,
    ) -> str:
        """Say something: that starts a run, or goes to the one that is going.

        Args:
            text: what to say; if it begins with `/name`, the server runs that command and sends its result.
            uploads: the ids of files, from `upload`.
            when: when a run that is going takes it up.
            told: called with the answer of a command that sends nothing to the agent.

        Returns:
            The id of the message; empty where nothing was said to the agent.

        Raises:
            RemoteError: the server refuses, or cannot be reached.

        Cancellation:
            Stops waiting; the server may have taken it.
        """
        body = {"text": text, "uploads": list(uploads), "when": when}
        answer = await self._post("say", body)
        if told is not None and answer.get("told"):
            told(answer["told"])
        return str(answer.get("id", ""))

    async def upload(
        self, name: str, data: bytes, media_type: str = "application/octet-stream"
    ) -> str:
        """Send a file, to be said.

        Returns:
            Its id, for `say`.

        Raises:
            RemoteError: the server refuses it, or cannot be reached.

        Cancellation:
            Stops waiting; the server may have taken it.
        """
        sent = await self.remote.json(
            "POST",
            f"{self._path}/uploads",
            params={"name": name},
            content=data,
            headers={"content-type": media_type},
        )
        return str(sent["id"])

    async def answer(self, call_id: str, verdict: Verdict) -> None:
        """Answer for a call that waits for an approval.

        Raises:
            RemoteError: no such call waits; it may have been answered by somebody else.
        """
        body: dict[str, str] = {"call_id": call_id}
        match verdict:
            case Deny(reason):
                body |= {"verdict": "denied", "reason": reason}
            case False:
                body["verdict"] = "denied"
            case True:
                body["verdict"] = "once"
            case word:
                body["verdict"] = word
        await self._post("answer", body)

    async def abort(self) -> None:
        """End the run that is going, in order."""
        await self._post("abort", {})

    async def interrupt(self) -> None:
        """Interrupt what is in flight; the run goes on."""
        await self._post("interrupt", {})

    async def cancel_tool(self, call_id: str) -> None:
        """Cancel one running call.

        Raises:
            RemoteError: no such call is running.
        """
        await self._post("cancel", {"call_id": call_id})

    async def rename(self, title: str) -> None:
        """Give it a title."""
        await self._post("rename", {"title": title})

    async def fork(self, entry: str, *, edit: bool = False) -> "RemoteConversation":
        """Make a conversation with a copy of the messages up to one; with `edit`, without that one.

        Raises:
            RemoteError: there is no such message.
        """
        made = await self._post("fork", {"entry": entry, "edit": edit})
        return RemoteConversation(self.remote, made["id"])

    async def delete(self) -> None:
        """End its run, and forget it."""
        await self.remote.request("DELETE", self._path)

    async def export(self, format: Literal["html", "markdown", "jsonl"] = "html") -> str:
        """Write it as a document."""
        path, params = f"{self._path}/export", {"format": format}
        return (await self.remote.request("GET", path, params=params)).text

    async def _post(self, what: str, body: Mapping[str, Any]) -> Any:
        return await self.remote.json("POST", f"{self._path}/{what}", json=body)
