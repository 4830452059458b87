"""The conversation at a real terminal."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest

BACKENDS = ["asyncio", "trio"]

INIT = '''\
from tether.testing import Pause, ScriptedModel, call

@app.model("mine")
def mine():
    return ScriptedModel(call("shout", text="hi"), "Done.", ["Never", Pause()], "Gone on.")

@app.tool
def shout(text: str) -> str:
    """Shout."""
    return text.upper()

app.hook("before_tool")(lambda invocation: print("hooked"))

@app.around_tool
async def twice(invocation, proceed):
    return (await proceed(invocation)).content[0].text * 2

@app.command()
def greet(name: str) -> str:
    """Greet."""
    return f"Hello, {name}!"
'''


@contextmanager
def terminal(folder: Path, *arguments: str, term: str = "xterm") -> Iterator[Any]:
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    told = {
        "TETHER_CONFIG_HOME": str(folder / "config"),
        "TERM": term,
        "PROMPT_TOOLKIT_NO_CPR": "1",
    }
    child = pexpect.spawn(
        sys.executable,
        ["-m", "tether.cli", *arguments],
        cwd=str(folder),
        env={**kept, **told},
        timeout=20,
        encoding="utf-8",
        dimensions=(40, 120),
    )
    try:
        child.expect(">" if term != "dumb" else "offline model")
        yield child
    finally:
        child.close(force=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    return tmp_path


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_conversation_is_held(folder: Path, backend: str) -> None:
    with terminal(folder, "--backend", backend) as child:
        child.sendline("read a.txt")
        child.expect(r"\* read_file")
        child.expect("2 turns")
        child.sendline("/eval 6 * 7")
        child.expect("42")
        child.sendline("/mod\t")
        child.expect("offline")
        child.sendline("write hello to b.txt")
        child.expect("run it")
        child.sendline("y")
        child.expect(r"\* write_file")
        child.expect("2 turns")
        child.sendline("/quit")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0
    assert (folder / "b.txt").read_text().strip() == "hello"


@pytest.mark.skipif(shutil.which("sleep") is None, reason="there is no command `sleep`")
@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_cuts_off_what_runs_and_asks_before_it_leaves(folder: Path, backend: str) -> None:
    with terminal(folder, "--backend", backend, "--yes") as child:
        child.sendline("run echo begun; sleep 1000")
        child.expect(r"\| begun")
        child.sendintr()
        child.expect("interrupted")
        child.expect("2 turns")
        child.sendintr()
        child.expect("once more")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0


def test_an_init_file_of_fifteen_lines_makes_it_ones_own(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config" / "init.py").write_text(INIT)
    assert len([line for line in INIT.splitlines() if line.strip()]) <= 18
    with terminal(folder, "--model", "mine") as child:
        child.sendline("go")
        child.expect("hooked")
        child.expect(r"\* shout")
        child.expect("Done.")
        child.sendline("/greet Ada")
        child.expect("Hello, Ada!")
        child.sendline("/eval agent.messages[2].text")
        child.expect("HIHI")
        child.sendline("stop me")
        child.expect("Never")
        child.sendline("/steer Go on.")
        child.expect("Gone on.")
        (folder / "config" / "init.py").write_text("1 / 0")
        child.sendline("/reload")
        child.expect("ZeroDivisionError")
        child.sendline("/greet Ada")
        child.expect("no command 'greet'")
        child.sendline("/eval len(agent.messages)")
        child.expect("8")


def test_a_dumb_terminal_will_do(folder: Path) -> None:
    with terminal(folder, term="dumb") as child:
        child.sendline("list .")
        child.expect("a.txt")
        child.expect("2 turns")
        child.sendeof()
        child.expect(pexpect.EOF)
        assert not re.search(r"\x1b\[", child.before or "")
