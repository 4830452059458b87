"""Files and search, confined to a folder: real files, real links."""

import os
from pathlib import Path
from typing import Any

import pytest

from tether import Image, Text, Tool, ToolResult
from tether.toolbox.coding import changing_tools, coding_tools, reading_tools
from tether.toolbox.confinement import OutsideRootError, Root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.txt").write_text("one\ntwo\nthree\n")
    (folder / "src").mkdir()
    (folder / "src" / "b.py").write_text("x = 1  # TODO\n")
    (tmp_path / "secret.txt").write_text("TODO secret")
    (folder / "leak.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    return folder


def named(root: Path, name: str) -> Tool:
    return next(tool for tool in coding_tools(root) if tool.name == name)


async def text(tool: Tool, **arguments: Any) -> str:
    result = await tool(**arguments)
    if isinstance(result, ToolResult):
        return "".join(block.text for block in result.content if isinstance(block, Text))
    return str(result)


@pytest.mark.parametrize(
    "path", ["../secret.txt", "leak.txt", "up/secret.txt", "/etc/passwd", "src/../../secret.txt"]
)
async def test_no_path_leads_out_of_the_root(root: Path, path: str) -> None:
    for name in ("read_file", "list_files", "search_text"):
        arguments = {"pattern": "x"} if name == "search_text" else {}
        with pytest.raises(OutsideRootError, match="is outside of"):
            await named(root, name)(path=path, **arguments)
    with pytest.raises(OutsideRootError):
        await named(root, "write_file")(path=path, content="x")
    with pytest.raises(OutsideRootError):
        await named(root, "edit_file")(path=path, old="a", new="b")
    assert (root.parent / "secret.txt").read_text() == "TODO secret"


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
async def test_what_can_be_no_path_is_refused_in_words(root: Path, path: str) -> None:
    with pytest.raises(ValueError, match="is not a path: it has a NUL or half of a surrogate pair"):
        await text(named(root, "read_file"), path=path)


async def test_a_path_inside_may_be_absolute(root: Path) -> None:
    assert await text(named(root, "read_file"), path=str(root / "a.txt")) == "one\ntwo\nthree"


def test_a_root_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Root(tmp_path / "nowhere")


async def test_a_search_and_a_recursive_list_do_not_follow_links_out(root: Path) -> None:
    found = await text(named(root, "search_text"), pattern="TODO")
    assert found == "src/b.py:1: x = 1  # TODO\n[1 matches in 2 files]"
    assert await text(named(root, "list_files"), recursive=True) == "a.txt\nsrc/\nsrc/b.py"


async def test_a_file_is_read_in_pieces_and_says_how_to_go_on(root: Path) -> None:
    read = named(root, "read_file")
    assert await text(read, path="a.txt", limit=2) == (
        "one\ntwo\n[lines 1 to 2 of a.txt, which has 3 lines; read on with offset=3]"
    )
    assert (
        await text(read, path="a.txt", offset=3)
        == "three\n[lines 3 to 3 of a.txt, which has 3 lines]"
    )
    with pytest.raises(ValueError, match="there is no line 9"):
        await read(path="a.txt", offset=9)


async def test_a_long_file_is_cut_by_bytes_too(root: Path) -> None:
    (root / "long.txt").write_text(("x" * 999 + "\n") * 1000)
    read = await text(named(root, "read_file"), path="long.txt")
    assert len(read) < 70_000
    assert read.endswith("which has 1000 lines; read on with offset=66]")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\r\nb\r\n", "a\nb"),
        ("ä€😀\u2028x\n".encode(), "ä€😀\u2028x"),
        (b"caf\xe9\n", "caf\ufffd"),
        (b"", ""),
        (b"no newline", "no newline"),
    ],
)
async def test_any_text_can_be_read(root: Path, content: bytes, expected: str) -> None:
    (root / "t.txt").write_bytes(content)
    assert await text(named(root, "read_file"), path="t.txt") == expected


async def test_what_is_no_text_is_refused_or_shown(root: Path) -> None:
    (root / "x.bin").write_bytes(b"\0\1\2")
    (root / "x.png").write_bytes(b"\x89PNG")
    read = named(root, "read_file")
    with pytest.raises(ValueError, match="is not text"):
        await read(path="x.bin")
    with pytest.raises(IsADirectoryError, match="list_files lists it"):
        await read(path="src")
    result = await read(path="x.png")
    assert result.content[1] == Image(b"\x89PNG", "image/png")


async def test_lists_are_bounded_and_can_be_narrowed(root: Path) -> None:
    many = root / "many"
    many.mkdir()
    for number in range(1005):
        (many / f"{number:04}.log").touch()
    listed = (await text(named(root, "list_files"), path="many")).splitlines()
    assert len(listed) == 1001
    assert "there are more" in listed[-1]
    assert await text(named(root, "list_files"), path="many", pattern="0000*") == "0000.log"
    assert await text(named(root, "list_files"), path="many", pattern="*.txt") == "[nothing]"


async def test_searches_take_expressions_and_names_and_are_bounded(root: Path) -> None:
    search = named(root, "search_text")
    (root / "many.log").write_text("hit\n" * 500)
    (root / "bin.dat").write_bytes(b"hit\0")
    assert (await text(search, pattern="h.t", files="*.log")).startswith("['h.t' is not in")
    found = (await text(search, pattern="h.t", regex=True, files="*.log")).splitlines()
    assert len(found) == 201
    assert "there are more" in found[-1]
    with pytest.raises(ValueError, match="is not a regular expression"):
        await search(pattern="(", regex=True)


async def test_a_file_is_written_whole_with_its_folders_and_its_mode(root: Path) -> None:
    write = named(root, "write_file")
    await write(path="new/deep/c.sh", content="echo ä\n")
    assert (root / "new/deep/c.sh").read_text() == "echo ä\n"
    (root / "new/deep/c.sh").chmod(0o755)
    await write(path="new/deep/c.sh", content="echo 2\n")
    assert (root / "new/deep/c.sh").stat().st_mode & 0o777 == 0o755
    assert os.listdir(root / "new/deep") == ["c.sh"]


async def test_an_edit_is_exact_and_unique(root: Path) -> None:
    edit = named(root, "edit_file")
    await edit(path="a.txt", old="two", new="2")
    assert (root / "a.txt").read_text() == "one\n2\nthree\n"
    (root / "d.txt").write_text("a\n  b\na\n")
    with pytest.raises(ValueError, match=r"2 times, in lines 1, 3; give more"):
        await edit(path="d.txt", old="a", new="c")
    with pytest.raises(ValueError, match="line 2 is alike, but for white space"):
        await edit(path="d.txt", old="b\nc", new="c")
    await edit(path="d.txt", old="a", new="c", all_places=True)
    assert (root / "d.txt").read_text() == "c\n  b\nc\n"


async def test_an_edit_keeps_line_ends(root: Path) -> None:
    (root / "w.txt").write_bytes(b"a\r\nb\r\nc\r\n")
    await named(root, "edit_file")(path="w.txt", old="a\nb", new="x\ny")
    assert (root / "w.txt").read_bytes() == b"x\r\ny\r\nc\r\n"


def test_those_that_look_and_those_that_change_are_apart(root: Path) -> None:
    assert [tool.name for tool in reading_tools(root)] == ["read_file", "list_files", "search_text"]
    assert [tool.name for tool in changing_tools(root)] == [
        "write_file",
        "edit_file",
        "run_command",
        "read_output",
        "stop",
    ]
