"""The words of the command: subcommands, options anywhere, requests, what is piped in, and completion."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tether import Session, UsageError, UserMessage
from tether.cli.arguments import parse
from tether.cli.command_line import SUBCOMMANDS, chosen
from tether.cli.completion_command import answers
from tether.cli.main import main
from tether.cli.session_files import new_session_path


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def read(self, size: int | None = -1, /) -> str:
        raise OSError("closed")


def read(line: str, stdin: Any = None) -> Any:
    return parse(line.split(), stdin or Terminal())


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("models", "models"),
        ("--model x resume 3f2a", "resume"),
        ("-m x resume", "resume"),
        ("--model=x sessions", "sessions"),
        ("--yes mcp list", "mcp"),
        ("read models", "ask"),
        ("-m models hello", "ask"),
        ("-- models", "ask"),
        ("ask models", "ask"),
        ("", "ask"),
        ("--help", "ask"),
    ],
)
def test_the_first_word_that_is_no_option_names_the_subcommand(line: str, name: str) -> None:
    assert chosen(line.split())[0] == name


@pytest.mark.parametrize("name", [name for name in SUBCOMMANDS if len(name) > 3])
def test_a_mistyped_subcommand_is_told_and_asks_no_model(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in (name[:-2] + name[-1] + name[-2], name[:-1], f"{name}x"):
        if word not in SUBCOMMANDS:
            assert main([word]) == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert "did you mean " in err


@pytest.mark.parametrize(
    "line", ["hello", "resum 3f2a now", "ask resum", "-- resum", "why", "refactor"]
)
def test_other_words_are_a_request(line: str) -> None:
    assert read(line).request == line.removeprefix("ask ").removeprefix("-- ")


def test_options_may_stand_anywhere() -> None:
    made = read("hello --model offline world --max-turns 3")
    assert (made.request, made.model, made.max_turns) == ("hello world", "offline", 3)
    made = parse(["resume", "3f2a", "go on please", "--yes", "-m", "x"], Terminal())
    assert (made.resume, made.request, made.model) == ("3f2a", "go on please", "x")
    made = parse(["resume", "go on please"], Terminal())
    assert (made.resume, made.request) == ("", "go on please")
    assert read("hello -- --yes").request == "hello --yes"


@pytest.mark.parametrize(
    ("line", "piped", "request_"),
    [
        ("review this", "+ a line\n", "review this\n\n+ a line"),
        ("review - now", "x", "review x now"),
        ("review this", "", "review this"),
        ("", "list src\n", "list src"),
        ("resume 3f2a", "go on\n", "go on"),
        ("resume 3f2a again", "log\n", "again\n\nlog"),
    ],
)
def test_what_is_piped_in_stands_behind_the_words_or_where_it_is_said(
    line: str, piped: str, request_: str
) -> None:
    assert read(line, io.StringIO(piped)).request == request_


def test_words_need_no_standard_input_and_a_dash_does() -> None:
    assert read("hello", Closed()).request == "hello"
    with pytest.raises(UsageError, match="standard input"):
        read("hello -", Closed())


def test_files_that_others_name_in_what_is_piped_are_not_attached() -> None:
    assert read("look at @a.txt", io.StringIO("@secret.txt")).typed == "look at @a.txt"


def test_a_resumed_conversation_answers_a_request_and_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    path = new_session_path(tmp_path)
    with Session.open(path) as session:
        session.record(UserMessage("hello"))
    assert main(["resume", path.stem, "read a.txt", "--model", "offline"]) == 0
    with Session.open(path) as session:
        assert [m.text for m in session.messages if m.role == "user"] == ["hello", "read a.txt"]


def test_python_runs_it_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tether", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("tether ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how_to_complete(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert f"_TETHER_COMPLETE={shell}_complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("tether se", ["sessions", "serve"]),
        ("tether resume --ye", ["--yes"]),
        ("tether --mod", ["--model", "--mode"]),
        ("tether mcp tr", ["try"]),
        ("tether completion f", ["fish"]),
        ("tether --backend t", ["trio"]),
    ],
)
def test_words_are_completed(
    typed: str, offered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    given = [line.partition(",")[2] for line in answers({"_TETHER_COMPLETE": "bash_complete"})]
    assert sorted(given) == sorted(offered)


def test_names_of_ones_own_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name in (("templates", "review.md"), ("fragments", "rust.md")):
        (tmp_path / "config" / folder).mkdir(parents=True)
        (tmp_path / "config" / folder / name).write_text("hi")
    assert main(["alias", "gpt", "openai:gpt-5"]) == 0
    session = new_session_path(tmp_path)
    with Session.open(session) as kept:
        kept.record(UserMessage("hi", id="1"))
    for typed, offered in {
        "tether -m gp": ["plain,gpt"],
        "tether --model off": ["plain,offline"],
        "tether -m gro": ["plain,groq:"],
        "tether -t r": ["plain,review"],
        "tether templates show r": ["plain,review"],
        "tether -f ru": ["plain,rust"],
        "tether -f x": ["file,x"],
        "tether --file a": ["file,a"],
        f"tether resume {session.stem[:4]}": [f"plain,{session.stem}"],
        f"tether resume {session.stem[:4]} {session.stem[:4]}": [],
    }.items():
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
        assert list(answers({"_TETHER_COMPLETE": "bash_complete"})) == offered, typed
