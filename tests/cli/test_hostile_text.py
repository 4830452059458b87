"""A text that commands the terminal, planted wherever the command shows what others wrote."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.screen import terminal
from tests.cli.test_door import HOSTILE, harmless

from tether import Session, UserMessage
from tether.cli.main import main

NAME = HOSTILE.replace("/", "").replace("\x00", "").replace("\ud800", "")
"""What a file can be called."""


WORDS: list[list[str]] = [
    ["sessions"],
    ["sessions", "."],
    ["sessions", NAME],
    ["models", NAME],
    ["config"],
    ["help", NAME],
    ["resume", NAME],
    [f"--{NAME}"],
    ["--backend", NAME, "hi"],
    ["--model", NAME, "hi"],
    ["--model", "openai-chat:x", "--base-url", NAME, "hi"],
    ["--session", "not-a-session.txt", "hi"],
    ["--session", f"{NAME}.jsonl", "hi"],
    ["--session", f"{NAME}/{NAME}", "hi"],
    [f"look at @{NAME} and @missing{NAME}"],
    [f"read {NAME}"],
    ["list ."],
    ["search evil in ."],
    [f"run echo '{NAME}'"],
    ["--yes", "run ls"],
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody else's, with a conversation that was held in it."""
    there = tmp_path / NAME
    there.mkdir()
    monkeypatch.chdir(there)
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / f"config{NAME}"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / f"data{NAME}"))
    (there / NAME).write_text(f"{HOSTILE.replace(chr(0xD800), '')}\n")
    (there / "not-a-session.txt").write_text(HOSTILE.replace(chr(0xD800), ""))
    with Session(there / f"{NAME}.jsonl") as session:
        session.record(UserMessage(HOSTILE.replace(chr(0xD800), ""), id="u1"))
    (there / ".tether").mkdir()
    (there / ".tether" / "init.py").write_text("")
    return there


@pytest.mark.parametrize("words", WORDS, ids=map(str, range(len(WORDS))))
def test_the_command_shows_it_as_text(
    folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.suppress(SystemExit):
        main(words)
    told = capsys.readouterr()
    assert told.out + told.err
    assert harmless(told.out)
    assert harmless(told.err)


INIT = """\
from pathlib import Path
import tether
from tether.cli import Conversation
from tether.testing import ScriptedModel, call

hostile = Path("hostile").read_text()


def shout(text: str) -> str:
    return hostile


shout.__doc__ = hostile
app.tool(shout)

app.prompt(hostile.split()[0], hostile)
class Hostile(ScriptedModel):
    name = hostile


model = Hostile(
    ["# " + hostile, call("shout", text=hostile)], hostile, tether.ModelError(hostile, kind="server")
)
app.model("mine")(lambda: model)


@app.command(help=hostile)
def bad() -> str:
    raise tether.UsageError(hostile)


@app.command(help="Ask.")
async def question(conversation: Conversation) -> str:
    return "asked: " + await conversation.ask(hostile)


@app.command(help="Say.")
def say() -> None:
    print(hostile)
"""


def test_a_conversation_shows_it_as_text(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    hostile = "evil\u202e\x1b]0;title\x07\x9b2J\x1b[8mtext"
    (tmp_path / "hostile").write_text(hostile)
    (tmp_path / f"long{hostile}").write_text("")
    (tmp_path / "config" / "init.py").write_text(INIT)
    with terminal(tmp_path, "--model", "mine") as there:
        steps: list[tuple[str, str | Callable[[], bool]]] = [
            ("go", "* shout"),
            ("/bad", "! evil"),
            ("/tools", "shout:"),
            ("/help", "/bad"),
            ("/tree", "you: go"),
            ("/model", "Use which model?"),
            ("", lambda: "filter:" not in there.text()),
            ("/describe shout", "wrapped by"),
            ("/say", "eviltext"),
            ("/question", lambda: there.lines().count("eviltext") == 3),
            ("yes", "asked: yes"),
            ("again", "! evil"),
        ]
        for said, seen in steps:
            there.says(said)
            there.until(seen)
        there.types("see @long\t")
        there.until("see @longevil")
        raw = there.raw.replace("\x1b]11;?\x1b\\", "")  # asks for the background
    assert "\u202e" not in raw
    assert "\x9b" not in raw
    assert "\x1b]" not in raw
    assert "\x1b[8m" not in raw
