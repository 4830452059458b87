"""What users of other libraries complain of, each with a server that misbehaves so."""

import json
from functools import partial
from pathlib import Path

import anyio
import pytest
from tests.mcp.running import called, result_of
from tests.mcp.stdio import connected, raw, tools_named

from tether import Agent, ToolExecutionStart, mcp
from tether.testing import ScriptedModel, call


async def test_servers_that_fail_in_every_way_end_no_run_and_hold_none_up() -> None:
    """A dead server stopped the agent; its error could not be read; its standard error was lost, or in the way."""
    async with connected(
        raw("dead", exit=3, stderr="no key\nset API_KEY\x1b[31m\n"),
        raw("hangs", mute=True, open_timeout=0.2),
        raw("hangs-later", mute_listing=True, open_timeout=0.2),
        raw("noisy", noise="Starting...\n", exit=0),
        mcp.stdio("absent", "/no/such/program"),
        mcp.http("unreachable", "http://127.0.0.1:9/mcp"),
        raw("good"),
    ) as servers:
        assert [tool.name for tool in servers.tools] == ["good_echo"]
        status = {name: server.status for name, server in servers.items()}
        assert (await result_of(servers, "good_echo", text="x")).text == '{"text": "x"}'
    ends = (
        "failed: the program has ended with exit code 3; its last words: no key | set API_KEY[31m"
    )
    assert status["dead"] == ends
    assert status["hangs"] == status["hangs-later"] == "failed: no answer within 0.2 seconds"
    noise = "failed: it wrote what is no message on its standard output: 'Starting...'"
    assert status["noisy"] == noise
    assert status["absent"] == "failed: there is no program or folder '/no/such/program'"
    assert status["unreachable"].startswith("failed: it cannot be reached")
    assert status["good"] == "ready: 1 tool"
    assert {server.status for server in servers.values()} == {"closed"}


async def test_entering_does_not_wait_for_a_slow_server() -> None:
    async with connected(raw("slow", mute=True, open_timeout=60), raw("good"), wait=0.5) as servers:
        assert servers["slow"].status == "connecting"
        assert servers["slow"].tools == ()


async def test_a_call_that_hangs_is_over_after_its_timeout_and_cancelled_in_the_server(
    tmp_path: Path,
) -> None:
    cancelled = tmp_path / "cancelled"
    server = raw(tools=tools_named("hang"), cancelled=str(cancelled), call_timeout=0.3)
    async with connected(server, raw("other")) as servers:
        hung, fine = await called(servers, ("raw_hang", {}), ("other_echo", {"a": 1}))
        assert (hung.outcome, fine.outcome) == ("timeout", "ok")
        with anyio.fail_after(30):
            while not cancelled.exists():  # noqa: ASYNC110 - another process writes it
                await anyio.sleep(0.01)
        assert servers["raw"].state == "ready"


async def test_a_server_that_dies_in_a_call_gives_an_error_and_is_opened_again(
    tmp_path: Path,
) -> None:
    started = tmp_path / "started"
    server = raw(tools=tools_named("die", "echo"), started=str(started))
    async with connected(server) as servers:
        died = await result_of(servers, "raw_die")
        assert died.outcome == "error"
        assert died.text.startswith("the server raw did not answer: ")
        again = await result_of(servers, "raw_echo", a=1)
        assert again.text == '{"a": 1}'
    assert started.read_text() == "xx"


@pytest.mark.parametrize(("hint", "calls"), [("readOnlyHint", 2), ("idempotentHint", 2), (None, 1)])
async def test_a_call_that_was_cut_off_is_made_again_only_if_it_may_be(
    tmp_path: Path, hint: str | None, calls: int
) -> None:
    called_file = tmp_path / "called"
    tools = tools_named("die_once", **({hint: True} if hint else {}))
    server = raw(tools=tools, once=str(tmp_path / "once"), called=str(called_file))
    async with connected(server) as servers:
        result = await result_of(servers, "raw_die_once")
    assert called_file.read_text() == "x" * calls
    assert result.outcome == ("ok" if calls == 2 else "error")


async def test_a_server_that_dies_at_once_each_time_is_tried_ever_less_often(
    tmp_path: Path,
) -> None:
    started = tmp_path / "started"
    async with connected(raw(exit=1, started=str(started))) as servers:
        await anyio.sleep(1)
        assert servers["raw"].state == "failed"
    assert 1 <= len(started.read_text()) <= 3


async def test_the_block_is_cancelled_from_outside_at_once_whatever_its_servers_do() -> None:
    """`Attempted to exit cancel scope in a different task`, and cancellations that leaked into the run."""
    with anyio.CancelScope() as scope:
        async with connected(
            raw("hangs", mute=True), raw("good", tools=tools_named("hang")), wait=0
        ) as servers:
            await servers["good"].settled()
            agent = Agent(ScriptedModel(call("good_hang")), tools=servers.tools)
            async with agent.run("Go.") as run:
                async for event in run:
                    if isinstance(event, ToolExecutionStart):
                        scope.cancel()
    assert scope.cancelled_caught


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError) as caught:
        async with connected(raw()):
            raise KeyError("mine")
    assert caught.value.args == ("mine",)


async def test_servers_are_left_in_another_task_than_they_are_used_in() -> None:
    async with connected(raw()) as servers, anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(partial(result_of, servers, "raw_echo", a=number))


async def test_a_server_gets_no_keys_but_those_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.setenv("PLAIN", "plain")
    async with connected(raw(tools=tools_named("environment"), env={"MY_KEY": "given"})) as servers:
        environment = json.loads((await result_of(servers, "raw_environment")).text)
    assert "OPENAI_API_KEY" not in environment
    assert "GITHUB_TOKEN" not in environment
    assert (environment["PLAIN"], environment["MY_KEY"]) == ("plain", "given")


async def test_a_message_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tether.mcp.process.LARGEST_MESSAGE", 4 * 1024 * 1024)
    async with connected(raw(tools=tools_named("endless", "large"))) as servers:
        large = await result_of(servers, "raw_large", size=1024 * 1024)
        assert large.outcome == "ok"
        assert "characters were cut" in large.text
        endless = await result_of(servers, "raw_endless")
    assert endless.outcome == "error"


async def test_a_server_that_ignores_the_end_of_its_input_is_ended(tmp_path: Path) -> None:
    """On the way out it has a second, is asked, and is killed."""
    async with connected(raw(ignores_the_end=True)) as servers:
        assert servers["raw"].state == "ready"


async def test_schemas_that_cannot_be_used_leave_out_their_tools_and_nothing_else() -> None:
    tools = [
        {"name": "boolean", "inputSchema": True},
        {"name": "untyped", "inputSchema": {"properties": {"a": {"$ref": "#"}}}},
        {"name": "none"},
        {"name": "false", "inputSchema": False},
        {"name": "array", "inputSchema": {"type": "array"}},
        {"name": "huge", "inputSchema": {"description": "LARGE"}},
        {
            "name": "elsewhere",
            "inputSchema": {"properties": {"a": {"$ref": "http://127.0.0.1:9/"}}},
        },
        {"name": "odd", "inputSchema": {"properties": {"a": None}}},
        {"name": "output", "inputSchema": {}, "outputSchema": {"type": "string", "$ref": "#/x"}},
    ]
    async with connected(raw(tools=tools)) as servers:
        names = [tool.name for tool in servers.tools]
        assert names == ["raw_boolean", "raw_untyped", "raw_none", "raw_output"]
        assert servers["raw"].refused.keys() == {"false", "array", "huge", "elsewhere", "odd"}
        assert servers["raw"].status == "ready: 4 tools, 5 left out"
        assert (await result_of(servers, "raw_output", a=1)).outcome == "ok"
