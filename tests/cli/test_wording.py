"""What the command says of an error: nothing that only Python code can do, and no traceback unless it is asked for."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tether import Agent, AgentBusyError, BusyError, ModelError, Session, UsageError, UserMessage
from tether.cli.main import main
from tether.cli.wording import in_words
from tether.host.errors import LimitReachedError

PYTHON = re.compile(r"\b[a-z_]+=(?!=)[\w\"'(]|\bpass \w+|Session\.|await |Traceback|takeover=")
"""What a person at a terminal cannot write."""
SETTINGS = ("KEY", "TOKEN", "AWS_", "GOOGLE_", "GCLOUD_", "AZURE_", "TETHER_MODEL", "TETHER_DEBUG")


@pytest.fixture(autouse=True)
def at_nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own, with no keys."""
    for name in [name for name in os.environ if any(part in name for part in SETTINGS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("hi\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model", "openai:gpt-5", "hi"], 1, "set OPENAI_API_KEY, or keep one with `tether keys"),
        (["--model", "bedrock:m", "hi"], 2, "set AWS_REGION or AWS_DEFAULT_REGION"),
        (["--model", "azure:m", "hi"], 2, "set AZURE_OPENAI_ENDPOINT"),
        (["--model", "offline", "--schema", '{"type": 3}', "hi"], 2, "is not a JSON Schema"),
        (["serve", "--store", "mysql://x", "--port", "0"], 2, "write sqlite:///app.db"),
        (["map", "prompts.txt", "--store", "sqlite:///no/map.db"], 1, "No such file"),
        (["map", "prompts.txt", "--store", "sqlite:///prompts.txt"], 2, "not an SQLite database"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_words_of_the_command(
    words: Sequence[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert said in error
    assert not PYTHON.search(error), error


def test_answers_that_fail_are_told_in_words_of_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["map", "prompts.txt", "--model", "openai:gpt-5"]) == 1
    answer = capsys.readouterr().out
    assert "no key: set OPENAI_API_KEY, or keep one with `tether keys set`" in answer
    assert not PYTHON.search(answer), answer


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--model", "bedrock:m", "hi"], 2),
        (["--model", "openai:gpt-5", "hi"], 1),
        (["map", "prompts.txt", "--store", "sqlite:///no/map.db"], 1),
        (["--model", "offline", "--template", "broken", "hi"], 2),
    ],
    ids=str,
)
def test_an_error_is_shown_with_its_traceback_where_that_is_asked_for(
    words: Sequence[str],
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(words) == code
    plain = capsys.readouterr().err
    assert "Traceback" not in plain
    monkeypatch.setenv("TETHER_DEBUG", "1")
    assert main(words) == code
    said, _, trace = capsys.readouterr().err.partition("Traceback (most recent call last):")
    assert said in plain
    assert "line " in trace


def test_a_fault_in_a_run_can_be_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that says it is the person's, and is not."""

    def mistaken(agent: Agent, *_: object) -> None:
        raise UsageError("limits must be Limits, not 3")

    monkeypatch.setattr(Agent, "_begin", mistaken)
    monkeypatch.setenv("TETHER_DEBUG", "1")
    assert main(["--model", "offline", "hi"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tether: limits must be Limits, not 3\nTraceback")
    assert "in mistaken" in error


@pytest.mark.parametrize("words", [["--session", "s.jsonl", "hi"], ["resume", "s.jsonl", "hi"]])
def test_a_session_that_another_writes_to_is_busy(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Session.open("s.jsonl") as session:
        session.record(UserMessage("hi"))
        assert main([*words, "--model", "offline"]) == 2
    error = capsys.readouterr().err
    assert error == "tether: another session writes to s.jsonl: close it\n"


def test_a_server_that_is_not_there_is_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("psycopg_pool")
    store = "postgresql://ada:secret@127.0.0.1:1/app"
    assert main(["map", "prompts.txt", "--model", "offline", "--store", store]) == 2
    error = capsys.readouterr().err
    assert "tether: --store: connection" in error
    assert "secret" not in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "error",
    [
        BusyError("it is in use", hint=" (takeover=True)", retry_after=3),
        AgentBusyError("a run is going", hint=". Wait for it (`await agent.wait_idle()`)"),
        LimitReachedError("4 runs are going", limit="runs", hint=", or pass max_runs="),
        UsageError("no region: set REGION", hint=", or pass region="),
        ModelError("no key: set KEY, or pass api_key", kind="authentication"),
        ModelError("no token: set FILE, or pass token=", kind="authentication"),
    ],
    ids=str,
)
def test_hints_are_for_python_code(error: Exception) -> None:
    assert PYTHON.search(str(error)), str(error)
    assert not PYTHON.search(in_words(error)), in_words(error)
