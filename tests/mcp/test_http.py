"""Servers at an address, in both eras: what they give, and how they are lost and found."""

from typing import Any

import anyio
import pytest
from tests.mcp.good_server import Log, good_server
from tests.mcp.loopback import Gate, served
from tests.mcp.running import called, result_of

from tether import Agent, ToolExecutionUpdate, mcp
from tether.testing import ScriptedModel, call

ERAS = pytest.mark.parametrize("legacy", [False, True], ids=["auto", "legacy"])

# The SDK's client stops in the middle of responses, and httpx2 and httpcore2 leave their generators to the garbage
# collector then: on trio, each is a warning.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:Async generator '{library}.*:ResourceWarning")
    for library in ("httpx2", "httpcore2")
]


@ERAS
async def test_a_server_at_an_address_does_all_that_others_do(legacy: bool) -> None:
    log = Log()
    async with served(good_server(log)) as (url, gate):
        web = mcp.http("web", url, headers={"authorization": "Bearer t"}, legacy=legacy)
        async with mcp.connected(
            web,
            mcp.http("other", url.replace("/mcp", "/other"), legacy=legacy),
            ask=lambda _: {"name": "Ann", "age": 3},
            sample=ScriptedModel("Roses."),
            wait=60,
        ) as servers:
            assert servers["other"].status.startswith("failed: it answered HTTP 404")
            model = ScriptedModel([call("web_count", to=2), call("web_greet")], "Done.")
            agent = Agent(model, tools=servers.tools)
            async with agent.run("Go.") as run:
                events = [event async for event in run]
            assert any(isinstance(event, ToolExecutionUpdate) for event in events)
            assert "Hello Ann, 3." in [message.text for message in agent.messages]
            assert (await result_of(servers, "web_recite", topic="x")).text == "Roses."
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(result_of, servers, "web_wait")
                await log.begun.wait()
                tasks.cancel_scope.cancel()
            with anyio.fail_after(30):
                await log.cancelled.wait()
    assert "Bearer t" in {one.get("authorization") for one in gate.headers}


@ERAS
async def test_a_refusal_is_told_with_its_status(legacy: bool) -> None:
    async with served(good_server()) as (url, gate):
        gate.refuse = lambda _: (401, {"www-authenticate": 'Bearer error="invalid_token"'})
        async with mcp.connected(mcp.http("web", url, legacy=legacy)) as servers:
            status = servers["web"].status
    assert status == 'failed: it answered HTTP 401 Unauthorized (Bearer error="invalid_token")'


async def test_a_call_that_was_refused_for_a_lost_session_is_made_once_more() -> None:
    """A server that was started again knows no session; the client went on with the old one for ever."""
    async with (
        served(good_server()) as (url, gate),
        mcp.connected(mcp.http("web", url, legacy=True)) as servers,
    ):
        lost = sessions(gate)

        def refuse(scope: Any) -> Any:
            return (404, {}) if dict(scope["headers"]).get(b"mcp-session-id") in lost else None

        gate.refuse = refuse
        result = await result_of(servers, "web_count", to=1)
        assert (result.outcome, result.text) == ("ok", "counted")
        gate.refuse = lambda scope: (404, {}) if "session" in str(scope["headers"]) else None
        never = await result_of(servers, "web_count", to=1)
        assert never.outcome == "error"


def sessions(gate: Gate) -> set[bytes]:
    return {one["mcp-session-id"].encode() for one in gate.headers if "mcp-session-id" in one}


@ERAS
async def test_a_server_that_refuses_for_a_while_is_asked_again(legacy: bool) -> None:
    async with served(good_server()) as (url, gate):
        gate.refuse = lambda _: (503, {})
        async with mcp.connected(mcp.http("web", url, legacy=legacy)) as servers:
            assert servers["web"].status == "failed: it answered HTTP 503 Service Unavailable"
            gate.refuse = lambda _: None
            with anyio.fail_after(60):
                while servers["web"].state != "ready":
                    await anyio.sleep(0.01)
            gate.refuse = lambda _: (503, {})
            result = await result_of(servers, "web_count", to=1)
            assert (result.outcome, result.text) == (
                "error",
                "it answered HTTP 503 Service Unavailable",
            )
            gate.refuse = lambda _: None
            assert (await result_of(servers, "web_count", to=1)).text == "counted"


async def test_calls_at_once_share_a_server() -> None:
    async with served(good_server()) as (url, _), mcp.connected(mcp.http("web", url)) as servers:
        results = await called(servers, *(("web_add", {"a": n, "b": 1}) for n in range(5)))
    assert [result.text for result in results] == ["1", "2", "3", "4", "5"]
