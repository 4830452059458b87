"""What the guide uses in web applications, on each backend: the ends of requests, connections and programs."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import anyio
import pytest
from attrs import define, field
from tests.waiting import until_blocked

import tether
from tether.embedding.disconnect import until_disconnect
from tether.embedding.lifespan import GracefulStop
from tether.embedding.request_tasks import RequestTasks, tasks_of
from tether.embedding.stop import until_signal
from tether.testing import Pause, ScriptedModel

Message = dict[str, Any]


@define
class Client:
    """The other side of an application: what it sends, and what it was sent."""

    sent: list[Message] = field(factory=list)
    gone: anyio.Event = field(factory=anyio.Event)
    asked: bool = False

    async def receive(self) -> Message:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b""}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


@define
class Lifespan:
    """A server's side of a lifespan."""

    stopping: anyio.Event = field(factory=anyio.Event)
    sent: list[str] = field(factory=list)
    started: bool = False

    async def receive(self) -> Message:
        if not self.started:
            self.started = True
            return {"type": "lifespan.startup"}
        await self.stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Any) -> None:
        self.sent.append(message["type"])


async def answer_lifespan(receive: Any, send: Any) -> None:
    for what in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{what}"
        await send({"type": f"lifespan.{what}.complete"})


# until_disconnect


async def test_a_block_is_cancelled_when_the_client_goes_away() -> None:
    client = Client()
    agent = tether.Agent(ScriptedModel(["Hm", Pause()]))
    async with anyio.create_task_group() as tasks:

        async def answer() -> None:
            async with until_disconnect(client.receive) as scope:
                await agent.prompt("think")
            assert scope.cancelled_caught
            assert agent.messages[-1].text == "Hm"

        tasks.start_soon(answer)
        await until_blocked()
        client.gone.set()


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    error = ExceptionGroup("of the block", [ValueError("no")])
    with pytest.raises(ExceptionGroup) as raised:
        async with until_disconnect(Client().receive):
            raise error
    assert raised.value is error


async def test_what_receiving_raises_comes_out_plain() -> None:
    async def receive() -> Message:
        raise ConnectionError("no")

    with pytest.raises(ConnectionError):
        async with until_disconnect(receive):
            await anyio.sleep_forever()


async def test_a_block_that_ends_first_reads_no_more() -> None:
    async with until_disconnect(Client().receive) as scope:
        await until_blocked()
    assert not scope.cancelled_caught


# RequestTasks


async def test_a_run_of_a_request_ends_with_it() -> None:
    agent = tether.Agent(ScriptedModel(["Hm", Pause()]))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async for text in agent.stream_text("think", tasks_of(scope)):
            await send({"type": "http.response.body", "body": text.encode()})
            return

    client = Client()
    await RequestTasks(app)({"type": "http"}, client.receive, client.send)
    assert client.sent == [{"type": "http.response.body", "body": b"Hm"}]
    assert not agent.state.running


def test_a_request_without_a_task_group_is_told_what_to_write() -> None:
    with pytest.raises(tether.UsageError, match=r"app = RequestTasks\(app\)"):
        tasks_of({"type": "http"})


async def test_the_lifespan_passes_through_without_a_task_group() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope == {"type": "lifespan"}

    await RequestTasks(app)({"type": "lifespan"}, Lifespan().receive, Lifespan().send)


async def test_what_an_application_raises_comes_out_plain() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise tether.AgentBusyError("no")

    client = Client()
    with pytest.raises(tether.AgentBusyError):
        await RequestTasks(app)({"type": "http"}, client.receive, client.send)


# GracefulStop


@define
class Served:
    """An application with a request that is going, and takes until it is allowed to clean up."""

    allowed: anyio.Event = field(factory=anyio.Event)
    ended: bool = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(60, shield=True):
                await self.allowed.wait()
            self.ended = True


@pytest.mark.parametrize("protocol", ["http", "websocket"])
async def test_a_lifespan_ends_when_its_requests_have_ended(protocol: str) -> None:
    served, lifespan, client = Served(), Lifespan(), Client()
    app = GracefulStop(served)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, lifespan.receive, lifespan.send)
        tasks.start_soon(app, {"type": protocol}, client.receive, client.send)
        await until_blocked()
        lifespan.stopping.set()
        await until_blocked()
        assert lifespan.sent == ["lifespan.startup.complete"]
        served.allowed.set()
    assert served.ended
    assert lifespan.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_it_waits_no_longer_than_its_deadline(caplog: pytest.LogCaptureFixture) -> None:
    served, lifespan, client = Served(), Lifespan(), Client()
    app = GracefulStop(served, deadline=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "http"}, client.receive, client.send)
        await until_blocked()
        lifespan.stopping.set()
        with caplog.at_level(logging.WARNING, "tether"):
            await app({"type": "lifespan"}, lifespan.receive, lifespan.send)
        assert lifespan.sent[-1] == "lifespan.shutdown.complete"
        served.allowed.set()
    logged = [record.getMessage() for record in caplog.records if record.name == "tether"]
    assert logged == ["1 requests have not ended within 0 s after they were cancelled"]


async def test_it_is_the_lifespan_of_an_application_without_one() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("only HTTP here")

    lifespan = Lifespan()
    lifespan.stopping.set()
    await GracefulStop(app)({"type": "lifespan"}, lifespan.receive, lifespan.send)
    assert lifespan.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_lifespan_that_fails_is_reported() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("no database")

    lifespan = Lifespan()
    with pytest.raises(ValueError, match="no database"):
        await GracefulStop(app)({"type": "lifespan"}, lifespan.receive, lifespan.send)
    assert lifespan.sent == []


@contextmanager
def handling(heard: list[int]) -> Iterator[Callable[[int, FrameType | None], None]]:
    """Handle SIGTERM as a server does."""

    def handler(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield handler
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("grace", [0, 3600])
async def test_a_signal_ends_the_requests_after_their_grace(grace: float) -> None:
    """A second one ends them at once. The server's own handler is called as well, and stands there again."""
    heard: list[int] = []
    served, lifespan, client = Served(), Lifespan(), Client()
    served.allowed.set()
    app = GracefulStop(served, grace=grace)
    with handling(heard) as handler:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, {"type": "lifespan"}, lifespan.receive, lifespan.send)

            async def request() -> None:
                await app({"type": "http"}, client.receive, client.send)
                lifespan.stopping.set()

            tasks.start_soon(request)
            await until_blocked()
            signal.raise_signal(signal.SIGTERM)
            if grace:
                await until_blocked()
                assert not served.ended
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is handler
    assert served.ended
    assert heard == [signal.SIGTERM] * len(heard)
    assert lifespan.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_signal_that_nobody_handles_is_left_alone() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    lifespan = Lifespan()
    async with anyio.create_task_group() as tasks:
        app = GracefulStop(Served())
        tasks.start_soon(app, {"type": "lifespan"}, lifespan.receive, lifespan.send)
        await until_blocked()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        lifespan.stopping.set()


# until_signal


async def test_a_signal_cancels_a_block() -> None:
    agent = tether.Agent(ScriptedModel(["Hm", Pause()]))
    async with until_signal() as scope, anyio.create_task_group() as tasks:
        tasks.start_soon(agent.prompt, "think")
        await until_blocked()
        signal.raise_signal(signal.SIGTERM)
    assert scope.cancelled_caught
    assert agent.messages[-1].text == "Hm"


async def test_a_block_that_ends_before_a_signal_goes_on() -> None:
    async with until_signal(signal.SIGTERM, signal.SIGINT) as scope:
        pass
    assert not scope.cancelled_caught


# Applications, through a test client


@pytest.fixture(params=["fastapi", "starlette"])
def application(request: pytest.FixtureRequest) -> Any:
    module = pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    assert module
    if request.param == "fastapi":
        from tests.embedding.fastapi_app import app

        return app
    from tests.embedding import starlette_app

    return starlette_app.app


@contextmanager
def client_of(application: Any, backend: str) -> Iterator[Any]:
    testclient = pytest.importorskip("starlette.testclient")
    with testclient.TestClient(application, backend=backend) as client:
        yield client


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_an_application_streams_and_answers(application: Any, backend: str) -> None:
    with client_of(application, backend) as client:
        streamed = client.get("/chat", params={"prompt": "hi"})
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.text.startswith('id: 1\ndata: {"type":"agent_start"')
        assert client.get("/ask", params={"prompt": "hi"}).json() == {"text": "Hello, browser."}


@BACKENDS
def test_a_second_request_to_one_agent_is_a_conflict(application: Any, backend: str) -> None:
    """And a third, when the first has ended, is not."""
    with client_of(application, backend) as client:
        held = getattr(application.state, "agent", None) or client.app_state["agent"]
        first = client.portal.start_task_soon(held.prompt, "think")
        while not held.state.running:
            client.portal.call(anyio.sleep, 0)
        second = client.get("/shared", params={"prompt": "hi"})
        assert second.status_code == 409
        assert "a run of this agent is going" in second.json()["error"]["message"]
        client.portal.call(held.abort)
        first.result(60)
        assert client.get("/shared", params={"prompt": "hi"}).status_code == 200


@BACKENDS
def test_a_websocket_hears_while_it_streams(application: Any, backend: str) -> None:
    with client_of(application, backend) as client, client.websocket_connect("/talk") as socket:
        socket.send_text("think")
        while socket.receive_json()["type"] != "message_update":
            pass
        socket.send_text("hi")
        seen: list[Any] = []
        while not seen or seen[-1]["type"] != "agent_end":
            seen.append(socket.receive_json())
        texts = [e["delta"].get("text", "") for e in seen if e["type"] == "message_update"]
        assert "".join(texts) == "Hello, browser."


@BACKENDS
def test_a_websocket_that_is_closed_ends_its_run(application: Any, backend: str) -> None:
    """Also where nothing is sent that could fail."""
    with client_of(application, backend) as client, client.websocket_connect("/talk") as socket:
        socket.send_text("think")
        while socket.receive_json()["type"] != "message_update":
            pass
        # Leaving waits for the application's side.


async def test_a_plain_answer_ends_with_its_client(application: Any) -> None:
    client = Client()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/ask",
        "query_string": b"prompt=think",
        "headers": [],
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(application, scope, client.receive, client.send)
        await until_blocked()
        assert client.sent == []
        client.gone.set()
    assert client.sent[0]["status"] == 499
