"""`tether models`, `tether sessions` and `tether config`; see `test_guides` for `tether help`."""

import os
from pathlib import Path

import pytest

from tether import Session, UserMessage
from tether.cli.main import main
from tether.models.catalogue import provider_keys


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, with no key and nothing of the person's own."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.endswith("_API_KEY") or name == "TETHER_MODEL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))


def test_providers_are_listed_with_their_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "k")
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "groq             GROQ_API_KEY is set" in lines
    assert "google           GEMINI_API_KEY or GOOGLE_API_KEY is not set" in lines
    assert "ollama           none needed" in lines
    assert len(lines) == len(provider_keys()) + 3


def test_the_models_of_a_provider_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("genai_prices", reason="genai-prices is not installed")
    assert main(["models", "anthropic"]) == 0
    assert "anthropic:claude-sonnet-4-5" in capsys.readouterr().out


def test_a_provider_that_nobody_knows_gives_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "nobody"]) == 2
    out, err = capsys.readouterr()
    known = ", ".join(provider_keys())
    assert (out, err) == (
        "",
        f"tether: no provider is called 'nobody'; the providers are: {known}\n",
    )


def test_sessions_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sessions"]) == 0
    assert (
        capsys.readouterr().out == f"no conversation is kept for {tmp_path}; `tether` starts one\n"
    )
    with Session.open(tmp_path / "s.jsonl") as session:
        session.record(UserMessage("list src"))
    assert main(["sessions", "."]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("s.jsonl  ")
    assert line.endswith("  list src")


def test_the_configuration_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"init file                 {tmp_path / 'config' / 'init.py'}  (not there)" in lines
    assert lines[-1].endswith("chosen by the first API key that is set, else offline")
