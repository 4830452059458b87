"""`tether replay`, `tether diff` and `--record`: a run as a file, at the terminal."""

import io
import json
import os
from pathlib import Path

import pytest

from tether.cli.main import main
from tether.replay import read


@pytest.fixture
def recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "run.jsonl")
    assert main(["--model", "offline", "--no-init", "--record", path, "hello there"]) == 0
    capsys.readouterr()
    return path


def test_a_replay_prints_what_the_run_printed(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    events = read(recording).runs[0].events
    for backend in ("asyncio", "trio"):
        assert main(["replay", recording, "--json", "--backend", backend]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [json.loads(line)["type"] for line in lines] == [event.type for event in events]
    assert main(["replay", recording]) == 0
    assert "hello there" in capsys.readouterr().err


def test_stepping_goes_forward_and_back_and_shows_what_there_is(
    recording: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    last = len(read(recording).runs[0].events)
    keys = f"\nn\nb\n{last}\nt\nr\nw\np\n?\nn\n99999\nx\n{'9' * 5000}\nq\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(keys))
    assert main(["replay", recording, "--step"]) == 0
    out = capsys.readouterr().out
    assert f"0/{last}" in out
    assert f"1/{last}" in out
    assert "agent_end" in out
    assert '"role": "assistant"' in out
    assert '"system"' in out
    assert '"running": []' in out
    assert "the event before" in out
    assert out.count("there is nothing there") == 4


def test_keys_are_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROQ_API_KEY", "gsk-0123456789")
    monkeypatch.setenv("XAI_API_KEY", "text")  # no key
    words = ["--model", "offline", "--no-init", "--record", "run.jsonl", "it is gsk-0123456789"]
    assert main(words) == 0
    assert "gsk-" not in Path("run.jsonl").read_text()
    assert main(["replay", "run.jsonl"]) == 0
    assert "it is [secret]" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk")
def test_a_recording_that_ends_early_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    opened = os.open
    monkeypatch.setattr(
        "tether.replay.recorder.os.open",
        lambda path, *rest: (
            opened("/dev/full", os.O_WRONLY) if str(path) == "run.jsonl" else opened(path, *rest)
        ),
    )
    assert main(["--model", "offline", "--no-init", "--record", "run.jsonl", "hi"]) == 0
    assert "the recording run.jsonl ends early" in capsys.readouterr().err


def test_a_moment_is_shown_as_json(recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", recording, "--at", "3"]) == 0
    moment = json.loads(capsys.readouterr().out)
    assert moment["number"] == 3
    assert main(["replay", recording, "--at", "9999"]) == 2
    assert "there is no event 9999" in capsys.readouterr().err


def test_a_fork_goes_on_live_and_is_recorded(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    last = len(read(recording).runs[0].events)
    words = ["replay", recording, "--fork", str(last), "--say", "go on", "--model", "offline"]
    assert main(words) == 0
    assert main(words) == 0
    new = Path(recording).with_name(f"run.fork-{last}.jsonl")
    [run] = read(new).runs
    assert [message.text for message in run.prompts] == ["go on"]
    assert len(run.messages) == 2
    assert new.with_name(f"run.fork-{last}-2.jsonl").exists()
    capsys.readouterr()
    assert main(["diff", recording, str(new)]) == 0
    assert "run 1 is the same for" in capsys.readouterr().out
    assert main(["diff", recording, recording]) == 0
    assert capsys.readouterr().out == "they do the same\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--step", "--at", "1"], "not allowed with"),
        (["--say", "x"], "--say is for --fork"),
        (["--run", "2"], "there is no run 2"),
        (["--fork", "-1"], "there is no event -1"),
    ],
)
def test_wrong_usage_is_told(
    recording: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", recording, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_recording_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text("x\n")
    for words in (["replay", "x"], ["diff", "x", "x"]):
        assert main([words[0], *(str(tmp_path / name) for name in words[1:])]) == 2
        said = capsys.readouterr().err
        assert "not a recording" in said
        assert "--repair" not in said


def test_a_damaged_recording_is_told_apart_from_what_its_run_raised(
    recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(recording)
    path.write_text(path.read_text().replace('"ending":', '"ended":'))
    assert main(["replay", recording]) == 1
    assert "the recording is damaged" in capsys.readouterr().err
