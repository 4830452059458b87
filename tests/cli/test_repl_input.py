"""Modes, changes of files and own commands at a real terminal, seen and typed as by a person."""

from pathlib import Path

import pytest
from tests.cli.screen import terminal

INIT = """\
from tether.testing import ScriptedModel, call
app.model("mine")(lambda: ScriptedModel(
    call("edit_file", path="a.txt", old="two", new="three"),
    call("run_command", command="echo ran"), "Done.", "Seen.",
))
"""


def test_from_a_mode_to_a_file_that_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "my shot.png").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "init.py").write_text(INIT)
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with terminal(tmp_path, "--model", "mine", columns=80, lines=24) as there:
        there.until("ask")
        there.types("\x1b[Z")
        there.until("edits")
        there.says("go")
        there.until("* edit_file")
        there.until("  +three")
        there.until("p = always allow `echo *` in this folder")
        there.says("p")
        there.until("Done.")
        there.says("/rules")
        there.until("1 allow run_command: echo *")
        there.says("!cat a.txt")
        there.until("the agent reads the output with your next message")
        there.types("look at @atx\t")
        there.until("look at @a.txt")
        there.says("")
        there.until("- 1 turn,")
        there.until_at_rest()
        there.types(f"\x1b[200~'{tmp_path}/my shot.png'\x1b[201~")
        there.until('shot.png"')
        there.types("\x03\x16")
        there.until("this terminal has no clipboard that can be read")
        there.says("#be brief")
        there.until("AGENTS.md, a new file)")
        there.says("/diff")
        there.until("a.txt\n  @@ -1,2 +1,2 @@")
        there.says("/undo --files")
        there.says("/undo --files")
        there.until("a.txt is as it was")
        there.says("/quit")
        assert there.until_gone() == 0
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\n"
    assert "- be brief" in (tmp_path / "AGENTS.md").read_text()
    [rules] = (tmp_path / "config" / "projects").glob("*/rules")
    assert rules.read_text() == "allow run_command: echo *\n"
