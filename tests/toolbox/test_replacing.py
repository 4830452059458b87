"""A file is replaced in one step where it can be, and written in place where a new file would not be the same."""

import os
import tempfile
from pathlib import Path

import pytest

from tether.toolbox.replacing import check_writable, replace_file


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file with a mode of its own, longer than what replaces it."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"what was there before" * 10)
    path.chmod(0o640)
    return path


def test_a_file_is_replaced_in_one_step_and_keeps_its_mode(old: Path) -> None:
    before = old.stat().st_ino
    with open(old, "rb") as reader:
        replace_file(old, "notes.txt", b"new")
        assert reader.read(8) == b"what was"
    assert old.read_bytes() == b"new"
    assert old.stat().st_mode & 0o777 == 0o640
    assert old.stat().st_ino != before
    assert os.listdir(old.parent) == ["notes.txt"]


def test_a_new_file_has_the_mode_that_the_umask_leaves_and_its_folders(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        replace_file(tmp_path / "a" / "b" / "new.txt", "new.txt", b"new")
    finally:
        os.umask(umask)
    assert (tmp_path / "a" / "b" / "new.txt").stat().st_mode & 0o777 == 0o640


def test_a_file_with_several_names_stays_one_file(old: Path) -> None:
    os.link(old, old.with_name("other.txt"))
    replace_file(old, "notes.txt", b"new")
    assert old.with_name("other.txt").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system has no extended attributes")
def test_extended_attributes_are_kept(old: Path) -> None:
    try:
        os.setxattr(old, "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    replace_file(old, "notes.txt", b"new")
    assert os.getxattr(old, "user.note") == b"mine"


def test_where_no_new_file_can_be_made_the_old_one_is_written_in_place(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    before = old.stat().st_ino
    replace_file(old, "notes.txt", b"new")
    assert old.read_bytes() == b"new"
    assert old.stat().st_ino == before
    with pytest.raises(PermissionError):
        replace_file(old.with_name("other.txt"), "other.txt", b"new")


@pytest.mark.skipif(os.getuid() != 0, reason="giving a file to somebody else takes the superuser")
def test_a_file_of_somebody_else_stays_theirs(old: Path) -> None:
    os.chown(old, 12345, 12346)
    replace_file(old, "notes.txt", b"new")
    assert (old.stat().st_uid, old.stat().st_gid) == (12345, 12346)
    assert old.read_bytes() == b"new"


def test_where_the_owner_cannot_be_kept_the_file_is_written_in_place(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    monkeypatch.setattr(os, "listxattr", refuse)
    before = old.stat().st_ino
    replace_file(old, "notes.txt", b"new")
    assert old.read_bytes() == b"new"
    assert old.stat().st_ino == before
    assert os.listdir(old.parent) == ["notes.txt"]


def test_what_cannot_be_written_is_named(old: Path, tmp_path: Path) -> None:
    assert check_writable(tmp_path / "none", "none") is None
    with pytest.raises(IsADirectoryError, match="data is a folder"):
        check_writable(tmp_path, "data")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is not a regular file; only regular files are"):
        check_writable(tmp_path / "pipe", "pipe")
    old.chmod(0o440)
    with pytest.raises(PermissionError, match=r"notes.txt is read-only; whoever owns it"):
        replace_file(old, "notes.txt", b"new")
