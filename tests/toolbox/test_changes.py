"""Files keep what they are when they are changed: line ends, encoding, owner, links; and nobody's work is lost."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.toolbox.tools import tools_of

from tether.toolbox.line_ends import LineEnds
from tether.toolbox.seen import ChangedError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the files of POSIX")


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\nb\r\nc\n", "a\nb\nc", "x\ny\nz", b"x\ny\r\nz\n"),
        (b"a\nb\r\nc\n", "b", "b\nB", b"a\nb\r\nB\r\nc\n"),
        (b"a\nb\r\nc\n", "c", "c\nC", b"a\nb\r\nc\nC\n"),
        (b"a\r\nb\r\n", "a\r\nb", "x\r\ny", b"x\r\ny\r\n"),
        (b"a\r\nb\r\n", "a", "x\r\ny", b"x\r\ny\r\nb\r\n"),
        (b"a\r\nb\r\n", "a\nb", "x\r\ny\nz", b"x\r\ny\r\nz\r\n"),
        (b"a\nb\n", "a\r\nb", "x\r\ny", b"x\ny\n"),
        (b"a\r\nb", "b", "b\nc", b"a\r\nb\r\nc"),
        (b"a", "a", "a\nb", b"a\nb"),
        (b"\r\na\r\n", "a\n", "", b"\r\n"),
        ("\ufeffa\r\nb\r\n".encode(), "a\n", "ä\nc\n", "\ufeffä\r\nc\r\nb\r\n".encode()),
    ],
)
async def test_an_edit_keeps_the_line_ends_of_the_place(
    tmp_path: Path, before: bytes, old: str, new: str, after: bytes
) -> None:
    (tmp_path / "a").write_bytes(before)
    await tools_of(tmp_path)("edit_file", path="a", old=old, new=new)
    assert (tmp_path / "a").read_bytes() == after


@given(st.lists(st.sampled_from([b"a", b"b", b"\n", b"\r\n", b"\r"]), max_size=12), st.data())
def test_what_an_edit_does_not_name_stays_as_it_is(parts: list[bytes], data: st.DataObject) -> None:
    content = b"".join(parts)
    text = LineEnds(content)
    start = data.draw(st.integers(0, max(0, len(text.plain) - 1)))
    old = text.plain[start : start + data.draw(st.integers(1, 4))]
    if not old:
        return
    places = list(text.places(old))
    assert text.plain[places[0] :].startswith(old)
    assert text.replace(places, old, old) == content
    assert text.replace(places, old, b"X").replace(b"\r\n", b"\n") == text.plain.replace(old, b"X")


async def test_only_line_ends_are_no_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a\r\nb\r\n")
    with pytest.raises(ValueError, match="same, but for line ends"):
        await tools_of(tmp_path)("edit_file", path="a", old="a\r\nb", new="a\nb")


@pytest.mark.parametrize(
    ("before", "content", "after"),
    [
        (b"a\r\nb\r\n", "x\ny\n", b"x\r\ny\r\n"),
        (b"a\r\nb\r\n", "x\r\ny\n", b"x\r\ny\r\n"),
        (b"a\nb\n", "x\ny\n", b"x\ny\n"),
        (b"", "x\ny\n", b"x\ny\n"),
        (b"a\nb\nc\r\n", "x\ny\n", b"x\ny\n"),
    ],
)
async def test_a_file_written_over_keeps_its_line_ends(
    tmp_path: Path, before: bytes, content: str, after: bytes
) -> None:
    (tmp_path / "a").write_bytes(before)
    await tools_of(tmp_path)("write_file", path="a", content=content)
    assert (tmp_path / "a").read_bytes() == after


async def test_read_only_files_are_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a\n")
    path.chmod(0o444)
    call = tools_of(tmp_path)
    with pytest.raises(PermissionError, match="a is read-only"):
        await call("write_file", path="a", content="x")
    with pytest.raises(PermissionError, match="a is read-only"):
        await call("edit_file", path="a", old="a", new="b")
    assert path.read_text() == "a\n"
    assert path.stat().st_mode & 0o777 == 0o444


async def test_several_links_stay_together(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a long text\n")
    os.link(tmp_path / "a", tmp_path / "b")
    call = tools_of(tmp_path)
    await call("edit_file", path="a", old="long", new="new")
    assert (tmp_path / "b").read_text() == "a new text\n"
    await call("write_file", path="b", content="x")
    assert (tmp_path / "a").read_text() == "x"
    assert (tmp_path / "a").samefile(tmp_path / "b")


async def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a\n")
    (tmp_path / "b").symlink_to("a")
    await tools_of(tmp_path)("write_file", path="b", content="x")
    assert (tmp_path / "b").is_symlink()
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
async def test_the_owner_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("a\n")
    os.chown(path, 1234, 5678)
    path.chmod(0o4750)
    call = tools_of(tmp_path)
    await call("edit_file", path="a", old="a", new="b")
    await call("write_file", path="a", content="c")
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 5678, 0o4750)
    assert path.read_text() == "c"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("length", [250, 255])
async def test_the_longest_names_can_be_edited(tmp_path: Path, length: int) -> None:
    name = "n" * length
    call = tools_of(tmp_path)
    await call("write_file", path=name, content="a")
    await call("edit_file", path=name, old="a", new="b")
    assert (tmp_path / name).read_text() == "b"
    assert os.listdir(tmp_path) == [name]


async def test_latin_1_is_edited_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("café\r\nplain\r\n".encode("latin-1"))
    call = tools_of(tmp_path)
    await call("edit_file", path="a", old="plain", new="plän")
    await call("edit_file", path="a", old="café\npl", new="thé\npl")
    assert path.read_bytes() == "thé\r\nplän\r\n".encode("latin-1")
    with pytest.raises(ValueError, match="Latin-1, in which there is no '€'"):
        await call("edit_file", path="a", old="thé", new="€")
    with pytest.raises(ValueError, match="name the character itself"):
        await call("edit_file", path="a", old="th\ufffd", new="x")
    assert path.read_bytes() == "thé\r\nplän\r\n".encode("latin-1")


@pytest.mark.parametrize("content", [b"a\0b", "a".encode("utf-16")])
async def test_what_is_no_text_is_not_edited(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="is not text"):
        await tools_of(tmp_path)("edit_file", path="a", old="a", new="b")
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize(
    ("now", "what"),
    [
        ("one\nTWO\nthree\n", "line 2 is now 'TWO'"),
        ("one\n2a\n2b\nthree\n", "lines 2 to 3 are now '2a', '2b'"),
        ("one\nthree\n", "1 lines are gone before line 2"),
        ("one\ntwo\nthree\nfour\n", "line 4 is now 'four'"),
        ("", "lines"),
    ],
)
async def test_a_file_that_changed_since_it_was_read_is_not_overwritten(
    tmp_path: Path, now: str, what: str
) -> None:
    path = tmp_path / "a"
    path.write_text("one\ntwo\nthree\n")
    call = tools_of(tmp_path)
    await call("read_file", path="a", limit=1)
    path.write_text(now)
    with pytest.raises(ChangedError, match=what):
        await call("write_file", path="a", content="x")
    with pytest.raises(ChangedError, match="read it again first"):
        await call("edit_file", path="a", old="one", new="x")
    assert path.read_text() == now
    await call("read_file", path="a")
    await call("write_file", path="a", content="x")
    assert path.read_text() == "x"


async def test_what_the_tools_change_themselves_is_no_change_of_others(tmp_path: Path) -> None:
    path = tmp_path / "a"
    call = tools_of(tmp_path)
    await call("write_file", path="a", content="one\ntwo\n")
    await call("edit_file", path="a", old="one", new="1")
    await call("edit_file", path="a", old="two", new="2")
    os.utime(path, (0, 0))
    await call("write_file", path="a", content="x\n")
    path.write_text("y\n")
    with pytest.raises(ChangedError, match="line 1 is now 'y'"):
        await call("edit_file", path="a", old="y", new="z")
    path.unlink()
    await call("write_file", path="a", content="again\n")
    assert path.read_text() == "again\n"


async def test_a_big_file_that_changed_is_told_by_its_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("line\n" * 400_000)
    call = tools_of(tmp_path)
    await call("read_file", path="a", limit=1)
    with path.open("a") as file:
        file.write("more\n")
    with pytest.raises(ChangedError, match="it had 2,000,000 bytes, and has 2,000,005"):
        await call("write_file", path="a", content="x")
