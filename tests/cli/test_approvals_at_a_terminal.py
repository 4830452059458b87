"""Questions at a real terminal: what is on the screen, and what answers."""

from pathlib import Path

import pytest
from tests.cli.screen import terminal

INIT = """\
import anyio
from pathlib import Path
from tether.testing import ScriptedModel, call

app.model("mine")(lambda: ScriptedModel(
    [call("write_file", path="a.txt", content="new\\n"), call("run_command", command="rm \\u202e-rf build")],
    "Done.",
))

@app.around_tool
async def held(invocation, proceed):
    print("ready to ask")
    while not Path("go").exists():
        await anyio.sleep(0.05)
    return await proceed(invocation)
"""
ABOUT_A_FILE = "Run it? y = once, a = always allow write_file, n = no, or type a reason:"
ABOUT_A_COMMAND = "Run it? y = once, a = always allow run_command, n = no, or type a reason:"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("old\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "init.py").write_text(INIT)
    return tmp_path


def test_in_a_conversation_the_question_is_the_prompt_and_a_half_typed_line_is_set_aside(
    folder: Path,
) -> None:
    with terminal(folder, "--model", "mine") as there:
        there.says("go")
        there.until("ready to ask")
        there.types("yes")
        there.until("> yes")
        (folder / "go").touch()
        there.until(ABOUT_A_FILE)
        lines = [line for line in there.lines() if line]
        asked = lines.index(ABOUT_A_FILE)
        assert lines[asked - 5 : asked] == [
            "write_file a.txt",
            "  @@ -1 +1 @@",
            "  -old",
            "  +new",
            "p = always allow `a.txt` in this folder (see /rules)",
        ]
        there.says("")
        there.until(r"  | rm \u202e-rf build")
        assert (folder / "a.txt").read_text() == "old\n", "an empty answer denies"
        there.until(ABOUT_A_COMMAND)
        there.says("not that")
        there.until("Done.")
        there.until("> yes")
        assert "\u202e" not in there.raw
    assert (folder / "build").exists()


def test_in_a_dumb_terminal_a_line_that_was_typed_before_is_no_answer(folder: Path) -> None:
    with terminal(folder, "--model", "mine", term="dumb", ready="") as there:
        there.says("go")
        there.until("ready to ask")
        there.types("y")
        (folder / "go").touch()
        there.until(ABOUT_A_FILE)
        there.says("")
        there.until(ABOUT_A_COMMAND)
        there.says("no")
        there.until("Done.")
    assert (folder / "a.txt").read_text() == "old\n"
    assert (folder / "build").exists()


def test_in_one_shot_what_was_typed_before_the_question_is_no_answer(folder: Path) -> None:
    with terminal(folder, "--model", "mine", "go", ready="ready to ask") as there:
        there.says("y")
        there.says("y")
        (folder / "go").touch()
        there.until(ABOUT_A_FILE)
        there.says("n")
        there.until(ABOUT_A_COMMAND)
        there.says("n")
        assert there.until_gone() == 0
        assert there.text().index("write_file a.txt") < there.text().index(r"rm \u202e-rf build")
    assert (folder / "a.txt").read_text() == "old\n"
    assert (folder / "build").exists()
