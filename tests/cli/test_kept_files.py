"""What the command keeps: damaged conversations, folders that cannot be written, a full disk, the rights of files."""

import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from tether import Agent, Session, UserMessage, sessions
from tether.cli.extensions import App, load_extensions
from tether.cli.main import main
from tether.cli.session_files import new_session_path, session_folder


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    for name in [*os.environ]:
        if name.endswith("_API_KEY") or name == "TETHER_MODEL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("TETHER_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TETHER_DATA_HOME", str(tmp_path / "data"))


def tether(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tether.cli", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def damaged_conversation() -> Path:
    path = new_session_path(Path.cwd())
    with Session.open(path) as session:
        for text in ("one", "two", "three"):
            session.record(UserMessage(text))
    lines = path.read_bytes().split(b"\n")
    lines[2] = b"\0" * 30
    path.write_bytes(b"\n".join(lines))
    return path


def test_a_damaged_conversation_is_listed_named_and_repaired() -> None:
    older = new_session_path(Path.cwd()).with_name("19990101-000000-aaaa.jsonl")
    with Session.open(older) as session:
        session.record(UserMessage("older"))
    path = damaged_conversation()
    listed = tether("sessions").stdout
    assert f"{path.stem}  " in listed
    assert "(damaged) one" in listed
    assert "--repair" in listed
    before = path.read_bytes()
    refused = tether("resume", path.stem, "hi")
    assert refused.returncode == 2
    assert "line 3: " in refused.stderr
    assert str(path) in refused.stderr
    assert "--repair" in refused.stderr
    assert path.read_bytes() == before
    os.utime(older, (1, 1))
    assert tether("resume").returncode == 2  # and not the older one
    repaired = tether("resume", path.stem, "--repair", "hi")
    assert repaired.returncode == 0, repaired.stderr
    assert f"moved to {path}.damaged" in repaired.stderr
    said = [m.text for m in Session.read(path).messages if m.role == "user"]
    assert said == ["one", "three", "hi"]
    assert path.with_name(f"{path.name}.damaged").read_bytes() == b"\0" * 30 + b"\n"
    assert not any(info.damaged for info in sessions(session_folder(Path.cwd())))


def test_repair_needs_a_session() -> None:
    done = tether("--repair", "hi")
    assert done.returncode == 2
    assert "--repair" in done.stderr


@pytest.mark.parametrize("name", ["notes.txt", "package.json"])
def test_a_file_that_is_no_session_is_left_alone(name: str) -> None:
    path = Path(name)
    path.write_bytes(b'{\n  "name": "x"\n}\nhalf a line')
    before = path.read_bytes()
    for more in ([], ["--repair"]):
        done = tether("--session", name, *more, "hi")
        assert done.returncode == 2
        assert "line 1" in done.stderr
        assert path.read_bytes() == before
    assert [*Path.cwd().iterdir()] == [path.absolute()]


def test_a_device_is_refused_as_a_session() -> None:
    done = tether("--session", "/dev/full", "hi")
    assert done.returncode == 2
    assert "/dev/full" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_full_disk_is_told_once_and_the_conversation_goes_on(backend: str) -> None:
    path = Path("s.jsonl").absolute()
    program = (
        "import resource, sys; from tether.cli.main import main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (400, {resource.RLIM_INFINITY}));"
        f"sys.exit(main(['--backend', {backend!r}, '--session', 's.jsonl', 'hi']))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    told = [line for line in done.stderr.splitlines() if "unkept" in line]
    assert told == ["tether: s.jsonl: File too large; the conversation goes on unkept"]
    assert "Traceback" not in done.stderr
    Session.read(path)


def test_a_data_folder_that_cannot_be_made_leaves_the_conversation_unkept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    monkeypatch.setenv("TERM", "dumb")
    with _terminal(b"/quit\n") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        code = main(["--no-init"])
    err = capsys.readouterr().err
    assert code == 0
    assert [line for line in err.splitlines() if "is not kept" in line].__len__() == 1


@contextmanager
def _terminal(typed: bytes) -> Iterator[TextIO]:
    """A terminal at which somebody types a line, and then nothing until it is closed."""
    ours, theirs = os.openpty()
    others = set(threading.enumerate())
    with open(theirs, encoding="utf-8") as terminal:
        os.write(ours, typed)
        yield terminal
        os.close(ours)
        for reader in set(threading.enumerate()) - others:
            reader.join(30)


def test_what_is_kept_is_its_owners_alone(tmp_path: Path) -> None:
    path = new_session_path(Path.cwd())
    for folder in (path.parent, path.parent.parent, tmp_path / "data"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    path.parent.chmod(0o755)
    new_session_path(Path.cwd())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def _project_init(tmp_path: Path) -> None:
    own = tmp_path / "project" / ".tether" / "init.py"
    own.parent.mkdir()
    own.write_text("def setup(app):\n    pass\n")


def test_trust_is_its_owners_alone(tmp_path: Path) -> None:
    _project_init(tmp_path)
    told: list[str] = []
    asked: list[Path] = []

    def ask(files: Sequence[Path]) -> bool:
        asked.extend(files)
        return True

    config = tmp_path / "config"
    app = App(Agent("offline"))
    load_extensions(app, folder=config, project=Path.cwd(), ask=ask, tell=told.append)
    assert stat.S_IMODE((config / "trusted.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    load_extensions(app, folder=config, project=Path.cwd(), ask=ask, tell=told.append)
    assert len(asked) == 1
    assert told == []


def test_trust_that_cannot_be_written_is_remembered_in_memory(tmp_path: Path) -> None:
    _project_init(tmp_path)
    (tmp_path / "config").write_text("a file where the folder should be")
    told: list[str] = []
    asked: list[Path] = []

    def ask(files: Sequence[Path]) -> bool:
        asked.extend(files)
        return True

    app = App(Agent("offline"))
    for _ in range(2):
        load_extensions(
            app, folder=tmp_path / "config", project=Path.cwd(), ask=ask, tell=told.append
        )
    assert len(asked) == 1
    assert len(told) == 1
    assert "trusted until you leave" in told[0]
