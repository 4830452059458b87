"""The client, over real connections: what it does on a server, and how it goes on when they are lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from tests.web.servers import GUARD, hypercorn, uvicorn
from tests.web.test_native import PNG, talking, texts

import tether
from tether.errors import DecodeError
from tether.testing import Pause, call, check_events
from tether.web import Follower, Remote, RemoteError, Snapshot, Tokens, connect
from tether.web.sse import COMMENT, Reader, Received, frame


@asynccontextmanager
async def connected(site: Starlette, **options: Any) -> AsyncIterator[Remote]:
    async with hypercorn(site) as url, connect(url, **options) as remote:
        yield remote


async def until_end(events: Follower, seen: list[tether.Event], runs: int = 1) -> None:
    """Follow until so many runs are over."""
    with anyio.fail_after(GUARD):
        async for event in events:
            if not isinstance(event, tether.web.Snapshot | tether.web.Changed):
                seen.append(event)
            if isinstance(event, tether.AgentEnd):
                runs -= 1
            if not runs:
                return


async def test_a_conversation_is_held_from_another_program() -> None:
    seen: list[tether.Event] = []
    async with connected(talking([call("look", at="it")], "Fine.")) as remote:
        talk = await remote.conversation(title="Looking")
        upload = await talk.upload("dot.png", PNG, "image/png")
        id = await talk.say("look", uploads=[upload])
        async with talk.follow() as events:
            with anyio.fail_after(GUARD):
                async for event in events:
                    if not isinstance(event, tether.web.Snapshot | tether.web.Changed):
                        seen.append(event)
                    if isinstance(event, tether.ApprovalRequested):
                        await talk.answer(event.call_id, "once")
                    if isinstance(event, tether.AgentEnd):
                        break
        check_events(seen)
        assert texts(seen) == "Fine."
        snapshot = await talk.snapshot()
        assert snapshot.title == "Looking"
        assert [message.role for _, message in snapshot.messages] == [
            "user",
            "assistant",
            "tool",
            "assistant",
        ]
        assert snapshot.messages[0][0] == id
        fork = await talk.fork(id, edit=True)
        assert (await fork.snapshot()).messages == ()
        await fork.delete()
        assert [one.title for one in await remote.conversations(search="looking")] == ["Looking"]
        assert "Fine." in await talk.export("markdown")


async def test_what_is_refused_is_an_error_with_its_kind() -> None:
    async with connected(talking("Hello.")) as remote:
        with pytest.raises(RemoteError, match="HTTP 404") as raised:
            await remote.conversation("nonsense")
        assert (raised.value.kind, raised.value.status) == ("not_found", 404)
        talk = await remote.conversation()
        for wrong in (talk.answer("x", True), talk.cancel_tool("x"), talk.say(" ")):
            with pytest.raises(RemoteError):
                await wrong
        gone = await remote.conversation()
        await gone.delete()
        async with gone.follow() as events:
            with pytest.raises(RemoteError, match="404"):
                await anext(events)


async def test_no_server_and_another_server_are_told_apart() -> None:
    async with connect("127.0.0.1:1") as remote:
        with pytest.raises(RemoteError, match="cannot be reached") as raised:
            await remote.info()
        assert raised.value.kind == "unreachable"
    with pytest.raises(tether.UsageError, match="address"):
        async with connect("ftp://x"):
            pass


async def test_a_link_lets_a_client_in_once_and_a_token_always() -> None:
    tokens = Tokens()
    async with hypercorn(talking("Hello.", authorise=tokens)) as url:
        link = f"{url}/?token={tokens.link()}"
        async with connect(link) as remote:
            assert (await remote.info())["version"]
        with pytest.raises(RemoteError, match="used before"):
            async with connect(link):
                pass
        async with connect(url, token=tokens.bearer) as remote:
            assert (await remote.info())["version"]
        async with connect(url) as remote:
            with pytest.raises(RemoteError, match="HTTP 401"):
                await remote.info()


async def test_a_conversation_that_is_deleted_ends_its_followers() -> None:
    async with connected(talking(["Well", Pause()])) as remote:
        talk = await remote.conversation()
        await talk.say("go")
        async with talk.follow() as events:
            with anyio.fail_after(GUARD):
                await anext(events)
                await talk.delete()
                async for _ in events:
                    pass


async def test_a_follower_that_is_cancelled_goes_on_where_it_was() -> None:
    seen: list[tether.Event] = []
    gate = anyio.Event()
    async with connected(talking(["One ", Pause(gate), "two"])) as remote:
        talk = await remote.conversation()
        await talk.say("go")
        async with talk.follow() as events:
            with anyio.fail_after(GUARD):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(until_end, events, seen)
                    while texts(seen) != "One ":
                        await anyio.sleep(0.01)
                    tasks.cancel_scope.cancel()
            gate.set()
            await until_end(events, seen)
    assert texts(seen) == "One two"
    check_events(seen)


async def test_a_server_that_is_started_again_goes_on_with_a_snapshot(tmp_path: Path) -> None:
    """The follower waits for it, and tells why."""
    lost: list[str] = []
    seen: list[tether.Event] = []
    swapped = Swapped()
    async with hypercorn(swapped) as url, connect(url) as remote:
        first = talking("Hello.", store=tmp_path)
        async with first.router.lifespan_context(first):
            swapped.app = first
            talk = await remote.conversation()
            events = talk.follow()
            events.lost = lost.append
            await talk.say("hi")
            await until_end(events, seen)
        swapped.app = None
        second = talking("Again.", store=tmp_path)
        async with anyio.create_task_group() as tasks, events:
            snapshot: Any = None

            async def follow() -> None:
                nonlocal snapshot
                # What changed as the run ended may still be there to be read.
                while not isinstance(snapshot, Snapshot):
                    snapshot = await anext(events)

            tasks.start_soon(follow)
            with anyio.fail_after(GUARD):
                while len(lost) < 2:
                    await anyio.sleep(0.01)
            async with second.router.lifespan_context(second):
                swapped.app = second
                with anyio.fail_after(GUARD):
                    while not isinstance(snapshot, Snapshot):
                        await anyio.sleep(0.01)
                assert [m.role for _, m in snapshot.messages] == ["user", "assistant"]
                await talk.say("again")
                await until_end(events, seen)
                await events.aclose()
    assert texts(seen) == "Hello.Again."


class Swapped:
    """An application that may be away."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for what in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{what}.complete"})
        elif self.app is None:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.app(scope, receive, send)


async def test_connections_that_break_off_lose_nothing_and_double_nothing() -> None:
    """A server that closes the connection after every fourth piece."""
    seen: list[tether.Event] = []
    text = "One two three four five six seven eight nine ten eleven twelve."
    site = talking(text)
    async with hypercorn(breaking(site, after=4)) as url, connect(url) as remote:
        talk = await remote.conversation()
        async with talk.follow() as events:
            await talk.say("count")
            await until_end(events, seen)
    assert texts(seen) == text
    check_events(seen)


def breaking(site: Starlette, *, after: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pieces = 0

        async def counted(message: Any) -> None:
            nonlocal pieces
            pieces += message["type"] == "http.response.body"
            if pieces > after and scope["path"].endswith("/events"):
                raise OSError("broken off")
            await send(message)

        await site(scope, receive, counted)

    return app


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_is_the_same_on_uvicorn() -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    seen: list[tether.Event] = []
    async with uvicorn(talking("Hello.")) as url, connect(url) as remote:
        talk = await remote.conversation()
        await talk.say("hi")
        async with talk.follow() as events:
            await until_end(events, seen)
    assert texts(seen) == "Hello."


# Server-sent events.


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_characters="\r\n")), st.sampled_from(["", "snapshot"])
        ),
        max_size=5,
    ),
    st.integers(1, 9),
)
def test_events_that_are_written_are_read_however_they_are_cut(
    sent: list[tuple[str, str]], size: int
) -> None:
    sent = [
        (data, event) for data, event in sent if data.encode("utf-8", "ignore").decode() == data
    ]
    body = COMMENT.join(
        frame(data.encode(), event=event, id=str(n)) for n, (data, event) in enumerate(sent)
    )
    reader = Reader()
    got = [e for at in range(0, len(body), size) for e in reader.feed(body[at : at + size])]
    assert got == [
        Received(event or "message", data, str(n)) for n, (data, event) in enumerate(sent)
    ]


def test_lines_may_end_in_each_of_the_three_ways_and_data_may_have_several() -> None:
    reader = Reader()
    got = reader.feed(b"id: 1\r\ndata: a\r\ndata:b\r\n\r\nevent: x\rdata:  c\r\r:\n\ndata: d\n\n\n")
    assert got == [
        Received("message", "a\nb", "1"),
        Received("x", " c", "1"),
        Received("message", "d", "1"),
    ]


def test_what_is_no_text_or_without_end_is_an_error() -> None:
    with pytest.raises(DecodeError, match="UTF-8"):
        Reader().feed(b"data: \xff\n\n")
    with pytest.raises(DecodeError, match="more than"):
        Reader(longest=10).feed(b"data: " + b"x" * 10)
