"""Every signal that ends a process is a cancellation, with an exit code of its own."""

import os
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from tests.cli.screen import terminal
from tests.cli.test_main import TETHER, environment

from tether.cli.main import main

ENDING = ["TERM", "HUP", "QUIT"]
BACKENDS = ["asyncio", "trio"]


def hang(name: str, pid: int) -> str:
    """Have a command that sends a signal to the process, and goes on."""
    return f"run echo $$ > pid; kill -{name} {pid}; sleep 1000"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TETHER_MODEL", "offline")
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    return tmp_path


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Have handlers as an embedding program has them, and look whether they are put back."""
    numbers = [signal.SIGINT, *(signal.Signals[f"SIG{name}"] for name in ENDING)]
    before = {number: signal.getsignal(number) for number in numbers}
    own = {number: lambda *_: pytest.fail("the command has not taken it") for number in numbers[1:]}
    for number, handler in own.items():
        signal.signal(number, handler)
    yield
    try:
        assert {number: signal.getsignal(number) for number in own} == own
        assert signal.getsignal(signal.SIGINT) == before[signal.SIGINT]
    finally:
        for number, there in before.items():
            signal.signal(number, there)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ENDING)
def test_a_signal_cancels_a_request_and_ends_its_command(
    name: str, backend: str, folder: Path
) -> None:
    code = main(["--no-init", "--yes", "--backend", backend, hang(name, os.getpid())])
    assert code == 128 + signal.Signals[f"SIG{name}"]
    assert not is_alive(int((folder / "pid").read_text()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_signal_decides_and_the_second_lets_cleaning_up_go_on(
    backend: str, folder: Path
) -> None:
    (folder / "config" / "init.py").write_text(
        "import anyio, os, signal\n"
        "from tether.testing import ScriptedModel, call\n"
        "app.model('mine')(lambda: ScriptedModel(call('hang')))\n"
        "@app.tool\n"
        "async def hang() -> None:\n"
        "    '''Hang.'''\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        await anyio.sleep_forever()\n"
        "    finally:\n"
        "        with anyio.CancelScope(shield=True):\n"
        "            os.kill(os.getpid(), signal.SIGHUP)\n"
        "            await anyio.lowlevel.checkpoint()\n"
        "            open('cleaned', 'w').close()\n"
    )
    assert main(["--backend", backend, "--model", "mine", "go"]) == 143
    assert (folder / "cleaned").exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_ends_a_request(backend: str) -> None:
    assert main(["--no-init", "--yes", "--backend", backend, hang("INT", os.getpid())]) == 130


def test_a_signal_while_extensions_are_loaded_ends_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = folder / "config" / "init.py"
    init.write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\n")
    assert main(["--session", "talk.jsonl", "hi"]) == 143
    assert capsys.readouterr() == ("", "")
    assert not (folder / "talk.jsonl").exists()


def test_hang_up_stays_ignored_where_it_was(handlers: None) -> None:
    del handlers
    there = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["--no-init", "--yes", f"run kill -HUP {os.getpid()}"]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, there)


def test_the_command_runs_in_any_thread() -> None:
    """Signals are for the main thread alone."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["--no-init", "list ."])))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize(("backend", "name"), [("asyncio", "TERM"), ("trio", "QUIT")])
def test_a_signal_ends_a_conversation_and_gives_the_terminal_back(
    backend: str, name: str, folder: Path
) -> None:
    with terminal(folder, "--backend", backend, "--yes") as there:
        there.says(hang(name, there.child.pid))
        there.child.expect(pexpect.EOF)
        modes = termios.tcgetattr(there.child.child_fd)[3]
        assert modes & termios.ECHO
        assert modes & termios.ICANON
        assert modes & termios.ISIG
        there.child.close()
        assert there.child.exitstatus == 128 + signal.Signals[f"SIG{name}"]
        assert "Traceback" not in there.raw + there.child.before
    assert not is_alive(int((folder / "pid").read_text()))
    [kept] = (folder / "data").rglob("*.jsonl")
    assert "interrupted" in kept.read_text()


@pytest.mark.parametrize(("backend", "term"), [("asyncio", "xterm"), ("trio", "dumb")])
def test_a_terminal_that_is_closed_ends_a_conversation_and_its_command(
    backend: str, term: str, folder: Path
) -> None:
    ready, enter = (">", "\r") if term == "xterm" else ("", "\n")
    with terminal(folder, "--backend", backend, "--yes", term=term, ready=ready) as there:
        there.child.send(f"run echo $$ > pid; echo begun; sleep 1000{enter}")
        there.until("| begun")
        there.child.ptyproc.fileobj.close()
        there.child.closed = True
        _, status = os.waitpid(there.child.pid, 0)
        there.child.terminated = there.child.ptyproc.terminated = True
        assert os.waitstatus_to_exitcode(status) == 129
    assert not is_alive(int((folder / "pid").read_text()))


def test_a_changed_init_file_is_asked_about_by_the_conversation_and_a_signal_ends_that(
    folder: Path,
) -> None:
    init = folder / ".tether" / "init.py"
    init.parent.mkdir()
    init.write_text("print('loaded one')")
    with terminal(folder, ready="Use them,", columns=300) as there:
        there.child.send("y\n")
        there.until("loaded one")
        there.until(" | offline")
        init.write_text("print('loaded two')")
        there.says("/reload")
        there.until("/reload")
        there.until(lambda: there.text().count("Use them,") == 2)
        there.says("y")
        there.until("loaded two")
        init.write_text("print('loaded three')")
        there.says("/reload")
        there.until(lambda: there.text().count("Use them,") == 3)
        there.child.kill(signal.SIGTERM)
        assert there.until_gone() == 143
        assert "loaded three" not in there.text()


def test_ctrl_c_at_the_question_whether_to_trust_ends_the_command(folder: Path) -> None:
    (folder / ".tether").mkdir()
    (folder / ".tether" / "init.py").write_text("1 / 0")
    child = pexpect.spawn(TETHER, ["hi"], cwd=str(folder), env=environment(), timeout=60)
    child.expect("Use them, now and later")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert b"Traceback" not in child.before
    assert child.before.endswith(b"\r\n"), "what the shell writes begins a line"


if sys.platform == "win32":
    pytest.skip("there are no such signals", allow_module_level=True)
