"""What a person meets first."""

from pathlib import Path

import pytest

from tether.cli.first_run import greeting, is_first_run
from tether.cli.main import main


@pytest.mark.parametrize(
    ("model", "environ", "said"),
    [
        ("offline", {}, "offline answers, since no API key is set."),
        ("openai:gpt-5", {"OPENAI_API_KEY": "k"}, "since OPENAI_API_KEY is set."),
        ("x:y", {"TETHER_MODEL": "x:y"}, "x:y answers, since TETHER_MODEL names it."),
        ("x:y", {}, "x:y answers."),
    ],
)
def test_it_says_which_model_answers_and_why(
    model: str, environ: dict[str, str], said: str
) -> None:
    lines = greeting(model, environ).splitlines()
    assert said in lines[1]
    assert len([line for line in lines if line.startswith("  ")]) == 3
    assert max(map(len, lines)) < 80


def test_it_is_said_only_where_nothing_is_kept_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    assert is_first_run()
    (tmp_path / "config").mkdir()
    assert not is_first_run()


def test_one_request_ends_with_what_a_person_understands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    assert main(["--model", "offline", "list the files"]) == 0
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == "- 2 turns, no tokens: the offline model follows rules"
