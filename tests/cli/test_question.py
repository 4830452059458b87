"""What a question shows of a call: what will be done, as a person reads it."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tether import ToolCall
from tether.advice.rules import Rule
from tether.cli.door import BOLD, GREEN, PLAIN, RED, REVERSE, YELLOW, printable
from tether.cli.question import is_agreed, question_about


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(name: str, **arguments: Any) -> list[str]:
    """The lines above what asks."""
    drawn = printable(question_about(ToolCall("c1", name, arguments)).drawn)
    *lines, asks = drawn.split("\n")
    assert asks == f"Run it? y = once, a = always allow {name}, n = no, or type a reason: "
    return lines


def test_a_command_is_shown_as_text_with_what_hides_in_it() -> None:
    command = "ls # \x9b2K\u202e\x1b[1A\nrm\u00a0-rf build"
    assert shown("run_command", command=command, timeout=5) == [
        "run_command  (timeout=5)",
        "  | ls # \\x9b2K\\u202e\\x1b[1A",
        "  | rm\\xa0-rf build",
    ]


def test_what_asks_is_in_colour_and_what_was_hidden_in_reverse() -> None:
    question = question_about(ToolCall("c1", "run_command", {"command": "a\x9bb"}))
    assert f"{BOLD}{YELLOW}Run it?" in question.drawn
    assert f"a{REVERSE}\\x9b{PLAIN}b" in question.details


def test_a_new_file_is_shown_whole() -> None:
    assert shown("write_file", path="a.txt", content="one\ntwo\u200b\n") == [
        "write_file a.txt (a new file)",
        "  @@ -0,0 +1,2 @@",
        "  +one",
        "  +two\\u200b",
    ]


def test_a_file_that_is_written_anew_is_shown_as_a_diff(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"".join(b"%d\r\n" % n for n in range(9)))
    content = "".join(f"{n}\n" for n in range(9)).replace("5", "five")
    assert shown("write_file", path="a.txt", content=content) == [
        "write_file a.txt",
        "  @@ -3,7 +3,7 @@",
        "   2",
        "   3",
        "   4",
        "  -5",
        "  +five",
        "   6",
        "   7",
        "   8",
    ]
    drawn = question_about(ToolCall("c1", "write_file", {"path": "a.txt", "content": content}))
    assert f"{RED}  -5{PLAIN}" in drawn.details
    assert f"{GREEN}  +five{PLAIN}" in drawn.details


@pytest.mark.parametrize(
    ("all_places", "expected"),
    [(False, ["  -a", "  +b"]), (True, ["  -a", "  -a", "  +b", "  +b"])],
)
def test_an_edit_is_shown_as_a_diff_of_the_file(
    folder: Path, expected: list[str], *, all_places: bool
) -> None:
    (folder / "a.txt").write_text("a\na\n")
    lines = shown("edit_file", path="a.txt", old="a", new="b", all_places=all_places)
    assert sorted(line for line in lines if line[2:3] in {"+", "-"}) == sorted(expected)


def test_an_edit_of_what_is_not_there_says_so(folder: Path) -> None:
    (folder / "a.txt").write_text("a\n")
    assert shown("edit_file", path="a.txt", old="x\ny", new="z") == [
        "edit_file a.txt",
        "  (this text is not found there)",
        "  -x",
        "  -y",
        "  +z",
    ]


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/hostname", "fifo", "folder", "\x00"])
def test_what_cannot_be_read_is_not_waited_for(folder: Path, path: str) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    lines = shown("write_file", path=path, content="x")
    assert lines[-1] == "  +x"


def test_names_of_files_deceive_nobody() -> None:
    [first, *_] = shown("write_file", path="a\u202etxt.exe\x1b[2J\n", content="")
    assert first == "write_file a\\u202etxt.exe\\x1b[2J\\x0a (a new file)"


def test_another_tool_is_shown_with_its_arguments() -> None:
    assert shown("send", to="a\x9bb", text="x\ny", count=2, more=["\u202e"]) == [
        "send",
        "  to: a\\x9bb",
        "  text:",
        "  | x",
        "  | y",
        "  count: 2",
        "  more: ['\\u202e']",
    ]
    assert shown("run_command", command=3) == ["run_command", "  command: 3"]
    assert shown("send") == ["send"]


def test_a_long_change_is_folded_until_the_person_asks_for_all() -> None:
    lines = shown("write_file", path="a", content="x\n" * 10_000)
    assert len(lines) == 41
    assert lines[-1] == "... and 9,962 more lines; d shows all"
    call = ToolCall("c1", "write_file", {"path": "a", "content": "x\n" * 10_000})
    whole = printable(question_about(call, room=None).details).splitlines()
    assert len(whole) < 2_100
    assert "... and 8,002 more lines" in whole, "a text without an end has one on the screen"


def test_a_command_is_never_folded() -> None:
    lines = shown("run_command", command="x\n" * 100 + "rm -rf build")
    assert lines[-1] == "  | rm -rf build"


def test_what_a_rule_would_allow_is_offered() -> None:
    call = ToolCall("c1", "run_command", {"command": "git log"})
    asked = question_about(call, suggested=[Rule("allow", "run_command", "git *")])
    offer = "p = always allow `git *` in this folder (see /rules)"
    assert printable(asked.details).splitlines()[-1] == offer


def test_long_files_are_not_compared_line_by_line(folder: Path) -> None:
    (folder / "a").write_text("".join(f"{n}\n" for n in range(5_000)))
    lines = shown("write_file", path="a", content="x\ny\n" * 1_000)
    assert lines[:3] == ["write_file a", "  (in place of 5,000 lines)", "  +x"]


def test_ctrl_c_while_a_question_is_written_ends_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        signals = 1

        def flush(self) -> None:
            if self.signals:
                self.signals -= 1
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stderr", written := Terminal())
    with pytest.raises(KeyboardInterrupt):
        is_agreed("Sure? ")
    assert printable(written.getvalue()) == "Sure? \n"
