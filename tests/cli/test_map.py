"""`tether map`: a run for each line of a file."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tether.cli.main import main
from tether.stores import SqliteStore

PROMPTS = '{"prompt": "list files"}\n\nlist files again\n'


def _map(
    *words: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, object]], str]:
    code = main(["map", *words, "--model", "offline"])
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_line_is_answered_and_not_asked_again(
    backend: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.jsonl").write_text(PROMPTS)
    for kept in (["--results", "answers.jsonl"], ["--store", "sqlite:///map.db"]):
        words = ["prompts.jsonl", "--at-once", "50", "--backend", backend, *kept]
        code, answers, error = _map(*words, capsys=capsys)
        assert (code, sorted(str(one["place"]) for one in answers)) == (0, ["0", "1"]), error
        assert all(one["ok"] and one["text"] for one in answers)
        assert "2 answered" in error
        code, answers, error = _map(*words, capsys=capsys)
        assert (code, answers) == (0, [])
        assert "0 answered, 2 before" in error


def test_what_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.jsonl").write_text('fine\n{"text": 1}\n')
    for words, message in {
        ("nope.jsonl",): "nope.jsonl: ",
        ("prompts.jsonl",): 'prompts.jsonl: line 2 has no prompt: write {"prompt": "..."}',
    }.items():
        code, _, error = _map(*words, capsys=capsys)
        assert code == 2
        assert message in error
    Path("prompts.jsonl").write_text("fine\n")
    code, _, error = _map("prompts.jsonl", "--store", "mysql://x", capsys=capsys)
    assert code == 2
    assert "names no database: write sqlite:///app.db or postgresql://host/database" in error


def test_what_a_killed_process_had_is_waited_for_or_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.jsonl").write_text(PROMPTS)
    words = ["prompts.jsonl", "--store", "sqlite:///map.db"]
    said: list[str] = []  # time goes on as something is said
    monkeypatch.setattr("tether.cli.map_command.warn", said.append)
    clock = SimpleNamespace(time=lambda: 1000.0 + len(said))
    monkeypatch.setattr("tether.stores.sqlite.time", clock)
    killed = [SqliteStore("map.db", f"prompts-{place}", lease=0.2) for place in range(2)]
    code, answers, error = _map(*words, capsys=capsys)
    assert (code, len(answers)) == (0, 2), error
    assert [line.partition(",")[0] for line in said] == [
        "another process has a conversation for 0 s more"
    ]
    assert said[0].endswith("waiting. If it was killed, --takeover need not wait")
    Path("prompts.jsonl").write_text("another\n")
    killed.append(SqliteStore("map.db", "prompts-0", lease=600))
    code, answers, error = _map(*words, "--takeover", capsys=capsys)
    assert (code, len(answers), len(said)) == (0, 1, 1), error
    for store in killed:
        store._database.close()


def test_there_is_something_to_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prompts.jsonl").write_text(PROMPTS)
    for words in (["map", "prompts.jsonl"], ["serve"], ["serve", "--store", "folder"]):
        assert main([*words, "--takeover"]) == 2
        assert "--takeover needs --store with a database" in capsys.readouterr().err


def test_lines_end_with_newlines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = ["a\u2028b", "c\x85d", "e\x0cf"]
    lines = [
        json.dumps(said[0], ensure_ascii=False),
        json.dumps({"prompt": said[1]}, ensure_ascii=False),
        said[2],
    ]
    Path("prompts.jsonl").write_bytes("\r\n".join(lines).encode())
    code, answers, _ = _map("prompts.jsonl", capsys=capsys)
    assert code == 0
    prompts = {one["place"]: one["prompt"] for one in answers}
    assert prompts == dict(enumerate(said))


def test_prompts_may_be_piped(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tether.cli", "map", "-", "--model", "offline"],
        input=PROMPTS,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 2
