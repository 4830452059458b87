"""All that a server may do, in both eras of the protocol: what it gives, and what it asks for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.mcp.good_server import PNG, Log, good_server
from tests.mcp.running import called, result_of

from tether import Agent, Image, Limits, Text, ToolExecutionUpdate, UsageError, mcp
from tether.approvals import may_change
from tether.hooks import Invocation
from tether.mcp import Elicitation, Servers
from tether.testing import ScriptedModel, call

ERAS = pytest.mark.parametrize("legacy", [False, True], ids=["auto", "legacy"])


@asynccontextmanager
async def good(*, legacy: bool, log: Log | None = None, **settings: Any) -> AsyncIterator[Servers]:
    async with mcp.connected(
        mcp.in_process(good_server(log), legacy=legacy), **settings
    ) as servers:
        yield servers


@ERAS
async def test_results_come_through_as_blocks_and_details(legacy: bool) -> None:
    async with good(legacy=legacy) as servers:
        added, shown, failed, wrong = await called(
            servers,
            ("good_add", {"a": 1, "b": 2}),
            ("good_show", {}),
            ("good_fail", {}),
            ("good_add", {"a": "x"}),
        )
    assert (added.text, added.details, added.outcome) == ("3", {"result": 3}, "ok")
    assert shown.content == (Text("a picture:"), Image(PNG, "image/png"))
    assert (failed.outcome, failed.text) == ("error", "Error executing tool fail")
    assert wrong.outcome == "error"
    assert "a: 'x' is not of type 'integer'" in wrong.text


@ERAS
async def test_progress_becomes_updates_of_the_tool(legacy: bool) -> None:
    async with good(legacy=legacy) as servers:
        agent = Agent(ScriptedModel(call("good_count", to=3), "Done."), tools=servers.tools)
        async with agent.run("Count.") as run:
            updates = [event async for event in run if isinstance(event, ToolExecutionUpdate)]
    assert updates[-1].content == (Text("3/3 at 3"),)
    assert updates[-1].details == {"progress": 3.0, "total": 3.0}


@ERAS
async def test_cancelling_a_call_cancels_it_in_the_server(legacy: bool) -> None:
    log = Log()
    async with good(legacy=legacy, log=log) as servers:
        agent = Agent(ScriptedModel(call("good_wait"), "Done."), tools=servers.tools)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(agent.prompt, "Wait.")
            await log.begun.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(30):
            await log.cancelled.wait()
        assert (await result_of(servers, "good_add", a=1, b=1)).text == "2"


@ERAS
@pytest.mark.parametrize(
    ("answer", "text"),
    [({"name": "Ann", "age": 3}, "Hello Ann, 3."), (False, None), (None, None)],
)
async def test_a_person_is_asked_in_the_middle_of_a_call(
    legacy: bool, answer: Any, text: str | None
) -> None:
    asked: list[Elicitation] = []

    async def ask(question: Elicitation) -> Any:
        asked.append(question)
        if text:
            await anyio.sleep(3.2)  # the person thinks, which is no part of the call's time
        return answer

    async with good(legacy=legacy, ask=ask) as servers:
        result = await result_of_slow(servers, "good_greet")
    assert (result.outcome, result.text) == ("ok", text) if text else result.outcome == "error"
    [question] = asked
    assert (question.server, question.tool, question.message) == ("good", "greet", "Who are you?")
    assert question.fields.keys() == {"name", "age"}
    assert question.required == ("name",)


async def result_of_slow(servers: Servers, name: str) -> Any:
    [result] = await called(servers, (name, {}), tool_timeout=3)
    return result


@ERAS
async def test_what_asking_raises_is_the_error_of_the_call(legacy: bool) -> None:
    def ask(_: Elicitation) -> Any:
        raise RuntimeError("no terminal")

    async with good(legacy=legacy, ask=ask) as servers:
        result = await result_of(servers, "good_greet")
        assert result.outcome == "error"
        assert "no terminal" in result.text
        assert servers["good"].state == "ready"


@ERAS
async def test_a_question_ends_with_its_call(legacy: bool) -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def ask(_: Elicitation) -> Any:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with good(legacy=legacy, ask=ask) as servers, anyio.create_task_group() as tasks:
        tasks.start_soon(result_of, servers, "good_greet")
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert ended.is_set()


@ERAS
async def test_servers_ask_the_model_at_the_cost_of_the_run(legacy: bool) -> None:
    poet = ScriptedModel("Roses are red.")
    async with good(legacy=legacy, sample=poet) as servers:
        agent = Agent(ScriptedModel(call("good_recite", topic="tea"), "Done."), tools=servers.tools)
        result = await agent.prompt("Recite.")
    assert "Roses are red." in [message.text for message in result.messages]
    [request] = poet.requests
    assert request.system == "You are a poet."
    assert request.options.max_output_tokens == 100


@ERAS
async def test_servers_ask_the_model_of_the_agent_that_follows_and_within_its_limits(
    legacy: bool,
) -> None:
    async with good(legacy=legacy, sample=True) as servers:
        model = ScriptedModel(call("good_recite", topic="tea"), "Roses.", "Done.")
        agent = Agent(model)
        servers.follow(agent)
        result = await agent.prompt("Recite.")
        assert [message.text for message in result.messages][-2:] == ["Roses.", "Done."]
        agent = Agent(ScriptedModel(call("good_recite", topic="tea"), "Done."), tools=servers.tools)
        limited = await agent.prompt("Recite.", limits=Limits(turns=1))
        assert "limit of turns" in limited.messages[-1].text


@ERAS
async def test_servers_know_the_roots_and_nothing_of_a_person_or_a_model_that_are_not_there(
    legacy: bool, tmp_path: Path
) -> None:
    async with good(legacy=legacy, roots=[tmp_path]) as servers:
        where, greeted, recited = await called(
            servers, ("good_where", {}), ("good_greet", {}), ("good_recite", {"topic": "x"})
        )
    assert where.text == tmp_path.as_uri()
    assert (greeted.outcome, recited.outcome) == ("error", "error")


@ERAS
async def test_prompts_resources_and_instructions_are_offered(legacy: bool) -> None:
    async with good(legacy=legacy) as servers:
        server = servers["good"]
        assert server.instructions == "Add with add."
        assert [prompt.name for prompt in server.prompts] == ["review"]
        assert [str(resource.uri) for resource in server.resources] == ["note://today"]
        assert await servers.prompt("good:review", file="a.py") == (Text("Review a.py, please."),)
        assert await servers.read("good:note://today") == (Text("note://today:\nRain."),)
        for wrong in ("good:none", "nobody:review", "review"):
            with pytest.raises(UsageError):
                await servers.prompt(wrong)
        with pytest.raises(UsageError):
            await servers.read("good:note://tomorrow")


@ERAS
async def test_hints_of_servers_decide_about_approvals(legacy: bool) -> None:
    asked: list[str] = []

    def approve(invocation: Invocation) -> bool:
        asked.append(invocation.tool.name)
        return True

    async with good(legacy=legacy) as servers:
        agent = Agent(
            ScriptedModel([call("good_add", a=1, b=2), call("good_count", to=1)], "Done."),
            tools=servers.tools,
        )
        from tether.approvals import approval

        agent.around_tool(approval(approve, tools=may_change))
        await agent.prompt("Go.")
    assert asked == ["good_count"]


async def test_the_tools_of_an_agent_follow_those_of_the_servers() -> None:
    """In the era that tells changes, between turns; the agent's own tools keep their names."""

    def good_add() -> str:
        """Not the server's."""
        return "mine"

    async with good(legacy=False) as servers:
        model = ScriptedModel(
            call("good_learn", name="dance"), "Done.", call("good_dance"), "Done."
        )
        agent = Agent(model, tools=[good_add])
        unfollow = servers.follow(agent)
        names = {tool.name for tool in agent.tools}
        assert "good_add" in names
        assert any(name.startswith("good_add_") for name in names)
        await agent.prompt("Learn.")
        with anyio.fail_after(30):
            while "good_dance" not in {tool.name for tool in agent.tools}:
                await anyio.sleep(0.01)
        result = await agent.prompt("Dance.")
        unfollow()
        assert [tool.name for tool in agent.tools] == ["good_add"]
    assert "dance" in [message.text for message in result.messages]


async def test_a_server_that_tells_no_changes_is_asked_before_each_run() -> None:
    async with good(legacy=True) as servers:
        agent = Agent(
            ScriptedModel(call("good_learn", name="sing"), "Done.", call("good_sing"), "Done.")
        )
        servers.follow(agent)
        await agent.prompt("Learn.")
        result = await agent.prompt("Sing.")
        assert "sing" in [message.text for message in result.messages]
    assert agent.tools == ()
