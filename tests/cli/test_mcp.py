"""MCP servers in the command: `tether mcp`, `/mcp`, prompts behind a slash, resources behind an `@`, and trust."""

import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.mcp.good_server import good_server
from tests.mcp.raw_server import ECHO
from tests.mcp.stdio import raw

from tether import Agent, UsageError, mcp
from tether.cli.conversation import Conversation, Typed
from tether.cli.extensions import App
from tether.cli.input.completing import completions
from tether.cli.main import main
from tether.cli.mcp_servers import (
    ask_fields,
    connected_servers,
    described,
    servers_of,
    trust_question,
)
from tether.cli.question import Question
from tether.cli.slash_commands import slash_commands
from tether.mcp import Elicitation
from tether.testing import ScriptedModel


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder and a project, which is the working folder."""
    for name in ("config", "data", "project"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def written(file: Path, **servers: Any) -> Path:
    file.write_text(json.dumps({"mcpServers": servers}))
    return file


def entry(**manner: Any) -> dict[str, Any]:
    spec = raw(**manner)
    return {"command": spec.command, "args": list(spec.args)}


def test_servers_are_added_listed_and_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mcp"]) == 0
    assert "no servers" in capsys.readouterr().out
    assert main(["mcp", "add", "files", "npx", "-y", "server", "--env", "A=b"]) == 0
    assert (
        main(["mcp", "add", "web", "https://example.com/mcp", "--header", "X: ${Y}", "--project"])
        == 0
    )
    assert main(["mcp", "add", "odd", "cmd", "--", "--env", "--project"]) == 0
    capsys.readouterr()
    assert main(["mcp", "list"]) == 0
    listed = capsys.readouterr().out
    assert "npx -y server" in listed
    assert "https://example.com/mcp" in listed
    own = folder / "config" / "mcp.json"
    assert json.loads(own.read_text())["mcpServers"] == {
        "files": {"command": "npx", "args": ["-y", "server"], "env": {"A": "b"}},
        "odd": {"command": "cmd", "args": ["--env", "--project"]},
    }
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert main(["mcp", "add", "files", "x"]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["mcp", "remove", "files"]) == 0
    assert main(["mcp", "remove", "files"]) == 2
    assert main(["mcp", "remove", "web", "--project"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["add", "a b", "x"],
        ["add", "a", "https://x", "word"],
        ["add", "a", "x", "--header", "A: b"],
        ["add", "a", "x", "--env", "b"],
        ["try", "nobody"],
        ["login", "nobody"],
        ["nothing"],
    ],
)
def test_what_is_wrong_is_told(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mcp", *words]) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_servers_are_tried(folder: Path, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    servers = {"good": entry(), "bad": entry(exit=1, stderr="no\x1b[31m luck")}
    written(folder / "config" / "mcp.json", **servers)
    assert main(["mcp", "try", "--backend", backend]) == 1
    told = capsys.readouterr().err
    assert "good: ready: 1 tool" in told
    assert "  tool good_echo: Say it again." in told
    assert "bad: failed: the program has ended with exit code 1; its last words: no" in told
    assert "\x1b[31m" not in told


def test_the_tools_of_servers_are_those_of_a_request(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(folder / "config" / "mcp.json", files=entry(tools=[{**ECHO, "name": "read"}]))
    assert main(["--model", "offline", "hello"]) == 0
    (folder / "config" / "init.py").write_text(
        "from tether.testing import ScriptedModel\n"
        "app.model('mine')(lambda: ScriptedModel(lambda request: repr([t.name for t in request.tools])))\n"
    )
    assert main(["--model", "mine", "hello"]) == 0
    assert "'files_read'" in capsys.readouterr().out


def test_the_servers_of_a_project_are_used_once_a_person_has_allowed_them(folder: Path) -> None:
    project = written(folder / "project" / ".mcp.json", a={"command": "x", "args": ["\x1b[2J"]})
    app, asked, told = App(Agent("offline")), list[Path](), list[str]()

    def ask(file: Path) -> bool:
        asked.append(file)
        return len(asked) > 1

    def found() -> list[str]:
        specs = servers_of(
            app, folder=folder / "config", project=folder / "project", ask=ask, tell=told.append
        )
        return [spec.name for spec in specs]

    assert "\x1b" not in trust_question(project)
    assert '"command": "x"' in trust_question(project)
    assert found() == []
    assert found() == ["a"]
    assert found() == ["a"]
    assert len(asked) == 2
    written(project, a={"command": "y"}, b={"command": "z"})
    assert found() == ["a", "b"]
    assert len(asked) == 3  # the file has changed
    project.write_text("{")
    assert found() == []
    assert "is no JSON" in told[-1]


def test_without_a_terminal_the_servers_of_a_project_are_not_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = folder / "started"
    written(folder / "project" / ".mcp.json", a=entry(started=str(marker)))
    assert main(["--model", "offline", "hello"]) == 0
    assert "is not trusted yet and was not used" in capsys.readouterr().err
    assert not marker.exists()


@asynccontextmanager
async def conversing(model: ScriptedModel, told: list[str]) -> AsyncIterator[Conversation]:
    """A conversation with a server that has all."""

    class Shown:
        def show(self, event: object) -> None: ...

        def stop(self) -> None: ...

    app = App(Agent(model), slash_commands())
    conversation = Conversation(app, Shown(), tell=told.append)
    specs = [mcp.in_process(good_server())]
    async with connected_servers(app, specs, conversation.ask, wait=30):
        yield conversation


async def said(conversation: Conversation, *lines: str) -> None:
    """Say lines, each after the run before it."""
    send, receive = anyio.create_memory_object_stream[Any](10)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(conversation.hold, receive)
        for line in lines:
            await send.send(Typed(line))
            await anyio.wait_all_tasks_blocked()
            while conversation.busy:  # noqa: ASYNC110 - nothing says when a command is over
                await anyio.sleep(0.01)
        conversation.leave()
        send.close()
        tasks.cancel_scope.cancel()
    receive.close()


async def test_prompts_stand_behind_a_slash_and_resources_behind_an_at() -> None:
    model = ScriptedModel("One.", "Two.")
    told: list[str] = []
    async with conversing(model, told) as conversation:
        assert [*completions(conversation, "/good:")] == ["/good:review"]
        assert [*completions(conversation, "see @good:")] == ["@good:today"]
        await said(
            conversation,
            "/mcp",
            "/mcp good",
            "/good:review",
            "/good:review a.py",
            "What is in @good:today, and @good:tomorrow?",
            "/",
        )
    assert told[0] == "good: ready: 9 tools"
    assert "  @good:today: note://today" in told[1]
    assert "/good:review wants file" in told[2]
    assert "@good:tomorrow is not attached" in "".join(told[3:])
    assert "there is no command ''" in told[-1]
    prompted, attached = (request.messages[-1] for request in model.requests)
    assert prompted.text == "Review a.py, please."
    assert attached.text.endswith("note://today:\nRain.")


def test_without_servers_that_is_told() -> None:
    assert "tether mcp add" in described(None, None)


async def test_a_person_is_asked_field_by_field() -> None:
    answers = iter(["", "3", "no number", "yes", "a, b", "n"])
    shown: list[str] = []

    async def ask(question: Question) -> str:
        shown.append(str(question.drawn))
        return next(answers)

    fields: dict[str, Any] = {
        "text": {"type": "string"},
        "age": {"type": "integer"},
        "size": {"type": "number"},
        "sure": {"type": "boolean"},
        "tags": {"type": "array"},
    }
    given = await ask_fields(Elicitation("srv", "t", "Who\x1b[2J?", fields), ask)
    assert given == {"age": 3, "size": "no number", "sure": True, "tags": ["a", "b"]}
    assert "The server srv asks: Who" in shown[0]
    assert "\x1b[2J" not in "".join(shown)
    assert await ask_fields(Elicitation("srv", None, "Open", url="https://x"), ask) is False
    answers = iter([""])
    needed = Elicitation("srv", None, "Name?", {"name": {}}, ("name",))
    assert await ask_fields(needed, ask) is False


def test_a_server_that_is_not_there_cannot_be_described() -> None:
    class Named(dict[str, Any]):
        pass

    with pytest.raises(UsageError, match="no server is called 'x'; there are: a"):
        described(Named(a=1), "x")  # type: ignore[arg-type]  # it is asked for its names alone
