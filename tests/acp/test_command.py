"""`tether acp`: its options, the agents that it makes, and its commands."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tether.host
from tether import Agent, UsageError
from tether.cli.acp_command import _commands, parse, run
from tether.cli.assembly import agent_of_conversation
from tether.host import Conversation
from tether.testing import ScriptedModel

OPTIONS = ["--model", "offline", "--no-init"]


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("words", [["hello"], ["--max-turns", "0"], ["--approve", "some"]])
def test_options_that_cannot_be_are_wrong_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(words)
    assert caught.value.code == 2


@pytest.mark.parametrize(("approve", "asks"), [("changes", True), ("all", True), ("none", False)])
async def test_each_session_has_an_agent_with_tools_in_its_folder(
    approve: str, asks: bool, tmp_path: Path
) -> None:
    arguments = parse([*OPTIONS, "--approve", approve, "--system", "Be brief."])
    made: list[Agent] = []

    def make(talk: Conversation) -> Agent:
        made.append(agent_of_conversation(arguments.app, arguments.approve, talk, tmp_path))
        return made[-1]

    async with tether.host.open(make) as host:
        await host.conversation()
        await host.conversation()
    one, two = made
    assert one.system == two.system == "Be brief."
    assert [tool.name for tool in one.tools] == [tool.name for tool in two.tools]
    assert not {id(tool) for tool in one.tools} & {id(tool) for tool in two.tools}
    assert bool(one.hooks.at("around_tool")) == asks


@pytest.fixture
def _no_input() -> Iterator[None]:
    """The null device for standard input, which no selector takes."""
    before, null = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    yield
    os.dup2(before, 0)
    os.close(before)
    os.close(null)


@pytest.mark.usefixtures("_no_input")
async def test_input_that_has_ended_ends_the_command(anyio_backend_name: str) -> None:
    arguments = parse([*OPTIONS, "--backend", anyio_backend_name])
    assert await run(arguments) == 0


async def test_the_commands_that_the_editor_offers() -> None:
    def make(_talk: Conversation) -> Agent:
        return Agent(ScriptedModel(), tools=[look])

    def look() -> str:
        """Look."""
        return ""

    commands: Any = _commands()
    async with tether.host.open(make) as host:
        talk = await host.conversation()
        assert await commands.run("title  it's this ", talk) == "The title is now: it's this"
        assert talk.title == "it's this"
        assert await commands.run("usage", talk) == "0 tokens in, 0 out, $0.0000"
        assert await commands.run("tools", talk) == "- look: "
        with pytest.raises(UsageError):
            await commands.run("title", talk)
