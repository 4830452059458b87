"""A run as a response: what is sent, when it ends, and what is answered instead."""

import json
from typing import Any

import anyio
import pytest
from tests.waiting import until_blocked
from tests.web.asgi import Client, scope_of
from tests.web.servers import GUARD, client_of, hypercorn, reading, uvicorn

import tether
from tether.testing import Pause, ScriptedModel, check_transcript, virtual_clock
from tether.web import EventStreamResponse

pytest.importorskip("starlette", reason="starlette is not installed")


def events_in(body: str) -> list[tether.Event]:
    """Read events as `from_json` has them; comments are left out."""
    frames = [part for part in body.split("\n\n") if part and not part.startswith(":")]
    ids = [frame.splitlines()[0] for frame in frames]
    assert ids == [f"id: {n}" for n in range(1, len(ids) + 1)]
    return [tether.from_json(f.split("data: ", 1)[1], tether.Event) for f in frames]


async def test_the_events_of_a_run_are_the_body() -> None:
    client, agent = Client(), tether.Agent(ScriptedModel("Hello."))
    await EventStreamResponse(agent, "hi")(scope_of(), client.receive, client.send)
    assert client.status == 200
    headers = dict(client.messages[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store, no-transform"
    events = events_in(client.body)
    assert isinstance(events[0], tether.AgentStart)
    assert isinstance(events[-1], tether.AgentEnd)
    assert client.is_complete
    assert agent.messages[-1].text == "Hello."


async def test_a_busy_agent_is_a_conflict() -> None:
    client, agent = Client(), tether.Agent(ScriptedModel(["Hm", Pause()]))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(agent.prompt, "think")
        await until_blocked()
        await EventStreamResponse(agent, "hi")(scope_of(), client.receive, client.send)
        agent.abort()
    assert client.status == 409
    assert json.loads(client.body)["error"]["kind"] == "busy"
    assert "a run of this agent is going" in json.loads(client.body)["error"]["message"]


async def test_nothing_to_continue_is_a_conflict_too() -> None:
    client = Client()
    response = EventStreamResponse(tether.Agent(ScriptedModel("Hello.")))
    await response(scope_of(), client.receive, client.send)
    assert client.status == 409
    assert json.loads(client.body)["error"]["kind"] == "nothing_to_continue"


@pytest.mark.parametrize("way", ["disconnect", "broken"])
async def test_the_run_ends_when_its_reader_goes(way: str) -> None:
    """Also where the server says so only when something is sent."""
    client, agent = Client(), tether.Agent(ScriptedModel(["Hm", Pause(), "so"]))
    async with anyio.create_task_group() as tasks:

        async def answer() -> None:
            response = EventStreamResponse(agent, "think", keep_alive=0.01)
            await response(scope_of(), client.receive, client.send)

        tasks.start_soon(answer)
        await until_blocked()
        assert agent.state.running
        if way == "disconnect":
            client.gone.set()
        else:
            client.broken = True
    assert not agent.state.running
    check_transcript(agent.messages)
    assert agent.messages[-1].text == "Hm"


async def test_a_model_error_is_an_event_and_the_body_is_complete() -> None:
    client = Client()
    error = tether.ModelError("no such model", kind="not_found", status=404)
    agent = tether.Agent(ScriptedModel(["Well,", error]))
    await EventStreamResponse(agent, "hi")(scope_of(), client.receive, client.send)
    last = events_in(client.body)[-1]
    assert isinstance(last, tether.AgentEnd)
    assert last.stop_reason == "error"
    assert last.error == error.failure
    assert client.is_complete


async def test_another_error_is_an_event_too_and_goes_on_to_the_server() -> None:
    def hook(_: Any) -> None:
        raise ValueError("no")

    client, agent = Client(), tether.Agent(ScriptedModel("Hello."), should_stop=hook)
    with pytest.raises(ValueError, match="no"):
        await EventStreamResponse(agent, "hi")(scope_of(), client.receive, client.send)
    last = events_in(client.body)[-1]
    assert isinstance(last, tether.AgentEnd)
    assert last.stop_reason == "error"
    assert client.is_complete


async def test_a_browser_that_asks_again_is_told_to_stop() -> None:
    client, agent = Client(), tether.Agent(ScriptedModel("Hello."))
    scope = scope_of(last_event_id="12")
    await EventStreamResponse(agent, "hi")(scope, client.receive, client.send)
    assert (client.status, client.body) == (204, "")
    assert agent.messages == ()


async def test_head_starts_no_run() -> None:
    client, agent = Client(), tether.Agent(ScriptedModel("Hello."))
    response = EventStreamResponse(agent, "hi")
    await response(scope_of(method="HEAD"), client.receive, client.send)
    assert (client.status, client.body) == (200, "")
    assert agent.messages == ()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_comments_keep_a_silent_connection_open(backend: Any) -> None:
    client, agent = Client(), tether.Agent(ScriptedModel(["Hm", Pause(seconds=50), "so"]))

    async def main() -> None:
        await EventStreamResponse(agent, "hi")(scope_of(), client.receive, client.send)

    name, options = virtual_clock(backend)
    anyio.run(main, backend=name, backend_options=options)
    assert client.body.count(":\n\n") == 3
    assert isinstance(events_in(client.body)[-1], tether.AgentEnd)


def chatting(reply: Any) -> Any:
    """A FastAPI application that answers with a run, and the agent."""
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    agent = tether.Agent(ScriptedModel(reply, "Again."))
    app: Any = fastapi.FastAPI()

    @app.get("/chat")
    async def chat(prompt: str) -> EventStreamResponse:
        return EventStreamResponse(agent, prompt)

    return app, agent


async def check_on(served: Any) -> None:
    """Read a run whole, and leave one in the middle."""
    app, agent = chatting("Hello.")
    async with served(app) as url, client_of(url) as client:
        answer = await client.get("/chat", params={"prompt": "hi"})
        assert isinstance(events_in(answer.text)[-1], tether.AgentEnd)
    app, agent = chatting(["Hm", Pause()])
    async with served(app) as url, client_of(url) as client:
        async with reading(client, "/chat", params={"prompt": "think"}) as reader:
            await reader.until("Hm")
            assert agent.state.running
            busy = await client.get("/chat", params={"prompt": "hi"})
            assert busy.status_code == 409
        with anyio.fail_after(GUARD):
            await agent.wait_idle()
    assert agent.messages[-1].text == "Hm"


async def test_it_streams_and_ends_under_fastapi_on_hypercorn() -> None:
    await check_on(hypercorn)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_streams_and_ends_under_fastapi_on_uvicorn() -> None:
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    await check_on(uvicorn)
