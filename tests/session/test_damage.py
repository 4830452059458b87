"""What is not a session is left alone; a session with damaged lines is refused with the line, or mended."""

import json
import os
import socket
import stat
from pathlib import Path
from typing import Literal

import pytest

from tether import UsageError, UserMessage
from tether.errors import DecodeError
from tether.session import Session, sessions


def write(path: Path, texts: list[str] | None = None) -> list[bytes]:
    """Make a session; return its lines."""
    with Session.open(path) as session:
        for text in texts or ["one", "two", "three"]:
            session.record(UserMessage(text, id=text))
    return path.read_bytes().splitlines(keepends=True)


def texts(session: Session) -> list[str]:
    return [message.text for message in session.messages]


@pytest.mark.parametrize(
    "content",
    [
        b"not a session",
        b"not a session\nand half a line",
        b'{"name": "x"}',
        b'{\n  "name": "x"\n}',
        b'{"format": 99}\nhalf',
        b'{"format": true}\nhalf',
        b'{"format": 1.5}\nhalf',
        b'{"format": 1, "name": "x"}\nhalf',
        b"[1]\nhalf",
        b"\n\nhalf",
        b"\0" * 100,
        b"\0" * 200_000,
        b"\xff\xfe\n{",
        b"[" * 5000 + b"]" * 5000 + b"\nhalf",
        b'{"a":' * 50_000 + b"\nhalf",
    ],
)
def test_what_is_no_session_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    path.chmod(0o644)
    choices: tuple[Literal["refuse"], Literal["skip"]] = ("refuse", "skip")
    for damaged in choices:
        with pytest.raises(DecodeError, match=r"line 1.*notes\.jsonl"):
            Session.open(path, damaged=damaged)
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [*tmp_path.iterdir()] == [path]
    assert sessions(tmp_path) == []


@pytest.mark.parametrize("kept", [1, 5, 20, 40, 60])
def test_a_header_that_a_crash_cut_off_is_set_aside(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "s.jsonl"
    start = write(path)[0][:kept]
    path.write_bytes(start)
    with Session.open(path) as session:
        assert session.torn == start
        session.record(UserMessage("one"))
    assert texts(Session.read(path)) == ["one"]


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jsonl")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s.jsonl"))
        (tmp_path / "d.jsonl").mkdir()
        (tmp_path / "l.jsonl").symlink_to("l.jsonl")
        for name in ("x.jsonl", "s.jsonl", "d.jsonl", "l.jsonl"):
            for method in (Session.open, Session.read):
                with pytest.raises((UsageError, OSError)):
                    method(tmp_path / name)
        assert sessions(tmp_path) == []


@pytest.mark.parametrize("device", ["/dev/full", "/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str) -> None:
    for method in (Session.open, Session.read):
        with pytest.raises(UsageError, match=f"regular file; {device} is none"):
            method(device)


DAMAGE = {
    "zeros": b"\0" * 40 + b"\n",
    "half": b'{"id": "x", "par\n',
    "empty": b"\n",
    "list": b"[]\n",
    "shape": b'{"id": 1}\n',
    "no message": b'{"id":"q","parent":null,"kind":"message","data":{"role":"bot"}}\n',
    "deep": b"[" * 5000 + b"]" * 5000 + b"\n",
    "deep object": b'{"a":' * 50_000 + b"\n",
    "latin-1": b'{"id":"\xe9"}\n',
    "huge number": b'{"id":' + b"9" * 5000 + b"}\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_is_refused_with_its_number_and_mended_on_request(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "s.jsonl"
    lines = write(path)
    lines[2] = DAMAGE[damage]
    content = b"".join(lines)
    path.write_bytes(content)
    for method in (Session.open, Session.read):
        with pytest.raises(DecodeError, match=r"^line 3: .*s\.jsonl"):
            method(path)
    assert path.read_bytes() == content
    [info] = sessions(tmp_path)
    assert (info.damaged, info.messages, info.title) == (True, 2, "one")

    with Session.open(path, damaged="skip") as session:
        assert session.damaged_lines == 1
        assert texts(session) == ["one", "three"]
        session.record(UserMessage("four"))
        with pytest.raises(UsageError, match="another session writes to"):
            Session.open(path)
    assert (tmp_path / "s.jsonl.damaged").read_bytes() == DAMAGE[damage]
    assert stat.S_IMODE((tmp_path / "s.jsonl.damaged").stat().st_mode) == 0o600
    assert texts(Session.read(path)) == ["one", "three", "four"]
    [info] = sessions(tmp_path)
    assert not info.damaged
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.jsonl", "s.jsonl.damaged"]


def test_a_mended_log_loses_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    lines = write(path)
    extra = json.loads(lines[1]) | {"more": [1]}
    lines[1] = json.dumps(extra).encode() + b"\n"
    path.write_bytes(b"".join([*lines[:2], b"\n", *lines[2:], b'{"half']))
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    with Session.open(link, damaged="skip") as session:
        assert texts(session) == ["one", "two", "three"]
        assert session.torn == b'{"half'
        assert next(iter(session.entries.values())).extra == {"more": [1]}
    assert link.is_symlink()
    assert texts(Session.read(path)) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['"id":"a","parent":null', '"id":"a","parent":"a"'], "line 3: there is an entry 'a' alr"),
        (['"id":"a","parent":"a"'], "line 2: it follows 'a'"),
        (['"id":"a","parent":"b"', '"id":"b","parent":"a"'], "line 2: it follows 'b'"),
    ],
)
def test_duplicate_ids_and_circles_are_refused_with_the_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    path = tmp_path / "s.jsonl"
    written = [f'{{{line},"kind":"k","data":{{}}}}\n' for line in lines]
    path.write_text('{"format":1}\n' + "".join(written))
    for method in (Session.open, Session.read):
        with pytest.raises(DecodeError, match=message):
            method(path)
    assert [info.damaged for info in sessions(tmp_path)] == [True]
    with Session.open(path, damaged="skip") as session:
        session.label("it goes on")
    Session.read(path)


def test_how_damage_is_met_is_one_of_two_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='damaged is "refuse" or "skip"'):
        Session.open(tmp_path / "s.jsonl", damaged="ignore")  # type: ignore[arg-type]
    assert [*tmp_path.iterdir()] == []


def test_a_long_session_is_listed_from_its_head_and_tail(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        session.record(UserMessage("What is this?"))
        for _ in range(10):
            session.record(UserMessage("x" * 100_000))
        session.record(UserMessage("last"))
    with path.open("r+b") as file:
        # A hole of 3 GB in the middle, which nobody reads.
        end = path.read_bytes()[-70_000:]
        file.seek(3_000_000_000)
        file.write(end)
    [info] = sessions(tmp_path)
    assert (info.title, info.exact, info.damaged) == ("What is this?", False, False)
    assert info.messages >= 3
    assert info.size > 3_000_000_000


def test_a_session_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o664)
    with path.open("ab") as file:
        file.write(b"half")
    with Session.open(path) as session:
        session.copy_to(tmp_path / "copy.jsonl")
    for found in tmp_path.iterdir():
        assert stat.S_IMODE(found.stat().st_mode) == 0o600, found
    with pytest.raises(FileExistsError):
        session.copy_to(path)


def test_half_a_write_is_taken_back_and_the_systems_words_are_kept(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes are a thing of Unix")
    path = tmp_path / "s.jsonl"
    with Session.open(path) as session:
        session.record(UserMessage("one", id="one"))
        size = path.stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                session.record(UserMessage("two", id="two"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.stat().st_size == size
        assert len(session.behind) == 1
        session.record(UserMessage("three", id="three"))
    assert texts(Session.read(path)) == ["one", "two", "three"]
