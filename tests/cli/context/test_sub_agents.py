"""Agents that are files, as tools of the agent."""

import io
from pathlib import Path
from typing import Any

import pytest
from tests.cli.context.files import app_of, written

from tether import Deny, Invocation, Limits, ModelRequest, ToolResultMessage
from tether.approvals import approval
from tether.cli.display import Screen
from tether.cli.extensions import App
from tether.cli.permission.asking import is_asked_about
from tether.testing import ScriptedModel, call

FINDER = """---
name: finder
description: Finds places in the code
tools: read_file, list_*
---
You find things."""


def results(app: App) -> list[ToolResultMessage]:
    return [m for m in app.agent.messages if isinstance(m, ToolResultMessage)]


def script(*replies: Any) -> ScriptedModel:
    return ScriptedModel(*replies)


async def test_it_has_its_prompt_and_tools_and_the_model_of_the_caller(project: Path) -> None:
    written(project / ".tether" / "agents" / "finder.md", FINDER)
    written(project / "a.txt", "a")
    app = app_of()
    tools = {made.name: made for made in app.agent.tools}
    assert tools["finder"].description == "Finds places in the code"

    def child(request: ModelRequest) -> object:
        assert request.system == "You find things."
        assert [one.name for one in request.tools] == ["read_file", "list_files"]
        return call("read_file", path="a.txt")

    app.agent.model = script(call("finder", request="find a"), child, "a.txt:1", "Found.")
    screen = io.StringIO()
    shown = Screen(screen)
    async with app.agent.run("where is a?") as run:
        async for event in run:
            shown.show(event)
    assert results(app)[0].text == "a.txt:1"
    assert "finder: read_file(path='a.txt')" in screen.getvalue()
    app.forget()
    assert "finder" not in [made.name for made in app.agent.tools]


async def test_its_calls_are_asked_about_as_those_of_the_caller(project: Path) -> None:
    written(
        project / ".tether" / "agents" / "doer.md", "---\ndescription: Does it\n---\nYou do things."
    )
    app = app_of()
    asked: list[str] = []

    def ask(invocation: Invocation) -> Deny:
        asked.append(invocation.call.name)
        return Deny("not now")

    app.agent.hooks.add("around_tool", approval(ask, tools=is_asked_about))
    app.agent.model = script(
        call("doer", request="write"), call("write_file", path="b", content="b"), "no", "no"
    )
    await app.agent.prompt("go")
    assert asked == ["write_file"]
    assert not (project / "b").exists()


async def test_it_spends_what_is_left_to_the_caller(project: Path) -> None:
    written(project / ".tether" / "agents" / "finder.md", FINDER)
    app = app_of()
    app.agent.limits = Limits(turns=2)
    app.agent.model = script(
        call("finder", request="find"), call("list_files"), call("list_files"), "x", "y"
    )
    result = await app.agent.prompt("go")
    assert result.stop_reason == "limit"


async def test_another_model_may_be_named(project: Path) -> None:
    written(
        project / ".tether" / "agents" / "finder.md",
        FINDER.replace("tools: read_file, list_*", "model: small"),
    )
    app = app_of()
    app.model("small")(lambda: script("by the small one"))
    app.agent.model = script(call("finder", request="find"), "done")
    await app.agent.prompt("go")
    assert results(app)[0].text == "by the small one"


async def test_a_tool_that_is_not_there_is_named_when_it_is_called(project: Path) -> None:
    written(project / ".tether" / "agents" / "finder.md", FINDER.replace("list_*", "grep"))
    app = app_of()
    app.agent.model = script(call("finder", request="find"), "done")
    await app.agent.prompt("go")
    assert "finder.md wants the tools grep, which are not there; there are: read_file" in (
        results(app)[0].text
    )


async def test_a_python_file_makes_its_agent(project: Path) -> None:
    written(
        project / ".tether" / "agents" / "poet.py",
        '"""Writes a verse."""\nimport tether\nagent = tether.Agent(system="You are a poet.")\n',
    )
    app = app_of()

    def child(request: ModelRequest) -> str:
        assert request.system == "You are a poet."
        return "A verse."

    app.agent.model = script(call("poet", request="write"), child, "done")
    await app.agent.prompt("go")
    assert results(app)[0].text == "A verse."


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.md", "You help.", "it has no description"),
        ("a.md", "---\ndescription: d\n---\n", "it has no text"),
        ("a b.md", "---\ndescription: d\n---\nx", "cannot be the name of an agent"),
        ("a.md", "---\ndescription: d\ntools: {a: b}\n---\nx", "its tools must be a list of names"),
        ("read_file.md", "---\ndescription: d\n---\nx", "there is a tool read_file already"),
        ("a.py", "agent = 1", "it has no description"),
        ("a.py", '"""D."""\nagent = 1', "it makes no Agent called `agent`"),
        ("a.py", '"""D."""\n1 / 0', "ZeroDivisionError"),
        ("a.py", "def", "it is no Python"),
    ],
)
def test_what_is_malformed_is_told(project: Path, name: str, text: str, why: str) -> None:
    before = {made.name for made in app_of().agent.tools}
    written(project / ".tether" / "agents" / name, text)
    app = app_of()
    assert app.context is not None
    assert why in "\n".join(app.context.problems)
    assert {made.name for made in app.agent.tools} == before


def test_nothing_of_a_project_runs_before_it_is_allowed(project: Path) -> None:
    written(project / ".tether" / "agents" / "a.py", '"""D."""\nraise SystemExit(3)')
    app = app_of(is_allowed=False)
    assert app.context is not None
    assert list(app.context.problems) == []
    assert list(app.context.agents) == []
