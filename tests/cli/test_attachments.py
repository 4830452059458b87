"""Files and images behind an `@`: attached, or it is said why not."""

import os
from pathlib import Path

import pytest
from tests.cli.test_main import run

from tether import Image, Text
from tether.cli.attachments import message_with_files


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("content")
    (tmp_path / "my notes.txt").write_text("notes")
    (tmp_path / "b.png").write_bytes(b"png")
    (tmp_path / "src").mkdir()
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "compressed").write_bytes(b"\x1f\x9d\x90\xb1\x04\xe9")
    (tmp_path / "latin").write_bytes("café".encode("latin-1"))
    (tmp_path / "long").write_text("x" + "ä" * 100_000)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "image.png").symlink_to("/dev/zero")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("see @a.txt", [Text("a.txt:\ncontent")]),
        ("@a.txt, please (and @b.png).", [Text("a.txt:\ncontent")]),
        ("(see it) @a.txt). @b.png?", [Text("a.txt:\ncontent"), Image(b"png", "image/png")]),
        ('see @"my notes.txt"', [Text("my notes.txt:\nnotes")]),
        ("see @latin", [Text("latin:\ncafé")]),
        ("me@a.txt", []),
    ],
)
def test_what_is_there_is_attached(text: str, blocks: list[Text | Image]) -> None:
    told: list[str] = []
    message = message_with_files(text, told.append)
    assert message.content[0] == Text(text)
    assert list(message.content[1:])[: len(blocks)] == blocks
    assert told == []


def test_a_long_text_is_cut_between_characters() -> None:
    attached = message_with_files("@long", print).content[1]
    assert isinstance(attached, Text)
    assert attached.text == "long:\nx" + "ä" * 49_999 + "\n[...]"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing.txt", "there is no such file"),
        ("binary", "it is neither a text"),
        ("compressed", "it is neither a text"),
        ("fifo", "a FIFO"),
        ("zero", "a device"),
        ("image.png", "a device"),
        ("loop", "symbolic links"),
        ("a.txt/b", "Not a directory"),
        ("n" * 5_000, "File name too long"),
        ("nul\0", "null"),
        ("~nobody-of-that-name/x", "home directory"),
    ],
)
def test_what_cannot_be_attached_is_said(name: str, why: str) -> None:
    told: list[str] = []
    message = message_with_files(f"look at @{name} now", told.append)
    assert len(message.content) == 1
    assert len(told) == 1
    assert told[0].startswith(f"@{name} is not attached: ")
    assert why in told[0]


def test_a_single_request_attaches_too(folder: Path) -> None:
    session = folder / "s.jsonl"
    done = run("--session", str(session), "see @a.txt and @missing.txt", folder=folder)
    assert done.returncode == 0
    assert "tether: @missing.txt is not attached: there is no such file" in done.stderr
    assert "a.txt:\\ncontent" in session.read_text()


def test_text_from_standard_input_attaches_nothing(folder: Path) -> None:
    session = folder / "s.jsonl"
    done = run(
        "--session", str(session), "see @a.txt:", "-", folder=folder, stdin="@src @latin @missing\n"
    )
    assert "not attached" not in done.stderr
    kept = session.read_text()
    assert "a.txt:\\ncontent" in kept
    assert "café" not in kept
