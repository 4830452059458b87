"""`tether resume` goes on with the calls in whose middle a conversation was cut off, and says what became of each."""

import io
from pathlib import Path

import pytest
from tests.cli.screen import terminal

from tether import (
    Agent,
    AssistantMessage,
    Session,
    Text,
    ToolCall,
    ToolResultMessage,
    UserMessage,
)
from tether.calls import CallBegun, CallEnded
from tether.cli.display import said_line
from tether.cli.main import main
from tether.cli.resuming import last_messages


def test_a_person_is_reminded_of_their_words_and_not_of_what_was_attached() -> None:
    said = UserMessage([Text("read @a.txt"), Text("a.txt:\n" + "long\n" * 1000)])
    agent = Agent("offline", messages=[UserMessage("hi"), AssistantMessage("Hello."), said])
    assert last_messages(agent).splitlines() == [
        "(3 messages; the last ones:)",
        "Hello.",
        "> read @a.txt",
    ]


def test_what_was_said_at_length_is_shown_by_its_first_lines() -> None:
    lines = "\n".join(map(str, range(1, 10_001)))
    agent = Agent("offline", messages=[UserMessage(lines), AssistantMessage(lines)])
    shown = last_messages(agent).splitlines()
    assert shown[1:3] == ["> 1", "  2"]
    assert shown[20:23] == ["  20", "  ... 9,980 more lines", "1"]
    assert shown[41:] == ["20", "... 9,980 more lines"]
    assert said_line(UserMessage("a\n" * 20 + "b")).endswith("a\n  b"), "one line more is shown"


def left(path: Path) -> None:
    """Leave a conversation as a process leaves it that is killed."""
    (path.parent / "a.txt").write_text("one\n")
    calls = [
        ToolCall("new", "read_file", {"path": "a.txt"}),
        ToolCall("kept", "run", {"command": "echo kept"}),
        ToolCall("cut", "run", {"command": "echo cut >> cut.txt"}),
        ToolCall("again", "list_files", {"path": "."}),
    ]
    with Session(path) as session:
        session.record(UserMessage("go"))
        session.record(AssistantMessage(calls, stop_reason="tool_calls", id="reply"))
        for id_ in ("kept", "cut", "again"):
            session.note_call(CallBegun(id_))
        session.note_call(CallEnded(ToolResultMessage("kept", "run", "kept", id="reply.2")))


def outcomes(path: Path) -> list[str]:
    messages = Session.read(path).messages
    return [one.outcome for one in messages if isinstance(one, ToolResultMessage)]


def test_it_goes_on_by_itself_and_says_what_it_does_with_each_call(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    left(path)
    with terminal(tmp_path, "resume", "s.jsonl", "--model", "offline") as there:
        there.until("  run now     read_file(path='a.txt')")
        there.until("  kept        run(command='echo kept')")
        there.until("  interrupted run(command='echo cut >> cut.txt')")
        there.until("  run again   list_files(path='.')")
        there.until("1 turn")
        there.says("/quit")
        assert there.until_gone() == 0
    assert outcomes(path) == ["ok", "ok", "interrupted", "ok"]
    assert not (tmp_path / "cut.txt").exists()


def test_with_a_request_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s.jsonl"
    left(path)
    assert main(["resume", "s.jsonl", "--model", "offline", "--no-init", "hello"]) == 0
    told = capfd.readouterr().err
    assert "  not run     read_file" in told
    assert "  interrupted list_files" in told
    assert outcomes(path) == ["skipped", "ok", "interrupted", "interrupted"]


def test_it_goes_on_where_nobody_is_there_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    path = tmp_path / "s.jsonl"
    left(path)
    assert main(["resume", "s.jsonl", "--model", "offline", "--no-init"]) == 0
    assert "  run again   list_files" in capfd.readouterr().err
    assert outcomes(path) == ["ok", "ok", "interrupted", "ok"]
    assert main(["resume", "s.jsonl", "--model", "offline", "--no-init"]) == 2
    assert "no call was cut off: say what to do next" in capfd.readouterr().err
