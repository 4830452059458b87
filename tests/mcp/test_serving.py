"""An agent as a server, with the SDK's own client in both eras."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from tests.mcp.loopback import served
from tests.mcp.running import called, result_of

from mcp import Client
from tether import Agent, ToolContext, ToolExecutionUpdate, mcp, tool
from tether.approvals import may_change
from tether.mcp import Elicitation, Servers
from tether.testing import Pause, ScriptedModel, call

ERAS = pytest.mark.parametrize("legacy", [False, True], ids=["auto", "legacy"])

# As in test_http.py.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:Async generator '{library}.*:ResourceWarning")
    for library in ("httpx2", "httpcore2")
]


@tool
async def write(text: str, context: ToolContext[Any]) -> str:
    """Write a text."""
    await context.update("half of it")
    return f"wrote {text}"


@tool(read_only=True, title="Look")
def look(place: str) -> dict[str, str]:
    """Look at a place."""
    return {"seen": place}


def writer(*replies: Any) -> Agent:
    return Agent(ScriptedModel(*replies), tools=[write, look], name="writer")


@asynccontextmanager
async def connected(
    agent: Agent, *, legacy: bool, ask: Any = None, **how: Any
) -> AsyncIterator[Servers]:
    server = mcp.in_process(mcp.serve(agent, **how).server, legacy=legacy)
    async with mcp.connected(server, ask=ask) as servers:
        yield servers


@ERAS
async def test_a_session_has_one_conversation_and_progress_comes_from_events(legacy: bool) -> None:
    agent = writer([call("look", place="sky")], "Blue.", "I said: blue.")
    async with connected(agent, legacy=legacy) as servers:
        caller = Agent(
            ScriptedModel(
                call("writer_ask", request="What colour?"),
                call("writer_ask", request="What?"),
                "Done.",
            ),
            tools=servers.tools,
        )
        async with caller.run("Go.") as run:
            updates = [event async for event in run if isinstance(event, ToolExecutionUpdate)]
    first, second = (message for message in caller.messages if message.role == "tool")
    assert (first.text, second.text) == ("Blue.", "I said: blue.")
    assert first.details["stop_reason"] == "stop"
    assert 'look {"place": "sky"}' in "".join(str(update.content) for update in updates)
    assert agent.messages == ()  # each conversation is that of an agent like it
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert [message.role for message in model.requests[-1].messages][-3:] == [
        "tool",
        "assistant",
        "user",
    ]


@ERAS
@pytest.mark.parametrize("allow", ["once", "always", "no", None])
async def test_a_person_is_asked_through_the_client(legacy: bool, allow: str | None) -> None:
    asked: list[str] = []

    def ask(question: Elicitation) -> Any:
        asked.append(question.message)
        return {"allow": allow} if allow else None

    replies = (
        [call("write", text="a"), call("write", text="b")],
        [call("write", text="c")],
        "Done.",
    )
    agent = writer(*replies)
    async with connected(agent, legacy=legacy, ask=ask) as servers:
        result = await result_of(servers, "writer_ask", request="Write.")
    assert result.text == "Done."
    assert min(asked) == 'writer wants to run write {"text": "a"}'
    assert len(asked) == (2 if allow == "always" else 3)
    model = agent.model
    assert isinstance(model, ScriptedModel)
    results = [message.text for message in model.requests[-1].messages if message.role == "tool"]
    wanted = ["wrote a", "wrote b", "wrote c"] if allow in {"once", "always"} else []
    assert results == wanted or (not wanted and all("denied" in one for one in results))


@ERAS
async def test_a_client_that_cannot_ask_denies_and_what_only_reads_is_not_asked_about(
    legacy: bool,
) -> None:
    agent = writer([call("write", text="a"), call("look", place="x")], "Done.")
    async with connected(agent, legacy=legacy) as servers:
        assert (await result_of(servers, "writer_ask", request="Go.")).text == "Done."
    model = agent.model
    assert isinstance(model, ScriptedModel)
    denied, looked = (message for message in model.requests[-1].messages if message.role == "tool")
    assert "nobody can be asked" in denied.text
    assert looked.text == '{"seen":"x"}'
    agent = writer([call("write", text="a")], "Done.")
    async with connected(agent, legacy=legacy, ask_about=None) as servers:
        assert (await result_of(servers, "writer_ask", request="Go.")).text == "Done."
    model = agent.model
    assert isinstance(model, ScriptedModel)
    assert model.requests[-1].messages[-1].text == "wrote a"


@ERAS
async def test_a_call_that_is_cancelled_ends_its_run(legacy: bool) -> None:
    agent = writer([Pause()], "Again.")
    begun = anyio.Event()
    agent.subscribe(lambda _: begun.set())
    async with connected(agent, legacy=legacy) as servers:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(result_of, servers, "writer_ask")
            tasks.cancel_scope.cancel()
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                await result_of(servers, "writer_ask", request="Think.")

            tasks.start_soon(ask)
            await begun.wait()
            tasks.cancel_scope.cancel()
        assert (await result_of(servers, "writer_ask", request="Go on.")).text == "Again."


@ERAS
async def test_the_tools_of_an_agent_are_offered_themselves(legacy: bool) -> None:
    def ask(_: Elicitation) -> Any:
        return {"allow": "once"}

    async with connected(writer(), legacy=legacy, ask=ask, tools=True) as servers:
        assert {tool.name: tool.read_only for tool in servers.tools} == {
            "writer_write": False,
            "writer_look": True,
        }
        assert servers.tools[1].title == "Look"
        assert not may_change(servers.tools[1])
        wrote, looked, wrong = await called(
            servers,
            ("writer_write", {"text": "x"}),
            ("writer_look", {"place": "y"}),
            ("writer_look", {}),
        )
    assert (wrote.text, wrote.outcome) == ("wrote x", "ok")
    assert looked.text == '{"seen":"y"}'
    assert wrong.outcome == "error"


@ERAS
async def test_what_a_client_does_wrong_is_told(legacy: bool) -> None:
    server = mcp.serve(writer("Hello."))
    async with Client(server.server, mode="legacy" if legacy else "auto") as client:
        for arguments in (
            {},
            {"request": 3},
            {"request": " "},
            {"request": "x", "conversation": "y"},
        ):
            result = await client.call_tool("ask", arguments)
            assert result.is_error
        assert not (await client.call_tool("ask", {"request": "x"})).is_error


@ERAS
async def test_an_agent_is_an_asgi_application(legacy: bool) -> None:
    agent = writer([call("write", text="a")], "Done.", "Again.", "Other.")
    async with served(mcp.serve(agent)) as (url, _):
        web = mcp.http("web", url, legacy=legacy)
        async with mcp.connected(web, ask=lambda _: {"allow": "once"}) as servers:
            first = await result_of(servers, "web_ask", request="Write.")
            assert first.text == "Done."
            named = {"conversation": first.details["conversation"]}
            again = await result_of(servers, "web_ask", request="More.", **named)
            assert again.text == "Again."
            assert again.details["conversation"] == named["conversation"]
            other = await result_of(servers, "web_ask", request="Who?")
            same = other.details["conversation"] == named["conversation"]
            assert same == legacy  # the era of 2026 has no sessions over HTTP
