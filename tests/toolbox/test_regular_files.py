"""What is not a regular file is left alone at once, and big files cost only what is asked of them."""

import os
import resource
import socket
import sys
from pathlib import Path

import anyio
import pytest
from tests.toolbox.tools import tools_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the files of POSIX")

GIGABYTE = 1024**3


def peak_memory() -> int:
    """Bytes that the process has held at most."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)


def odd_file(folder: Path, kind: str) -> Path:
    path = folder / kind
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                here = Path.cwd()
                os.chdir(folder)  # the path of a socket must be short
                try:
                    server.bind(kind)
                finally:
                    os.chdir(here)
        case "zero":
            try:
                os.mknod(path, 0o20666, os.makedev(1, 5))
            except PermissionError:
                pytest.skip("devices cannot be made here")
    return path


@pytest.mark.parametrize("kind", ["fifo", "socket", "zero"])
async def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    odd_file(tmp_path, kind)
    call = tools_of(tmp_path)
    with anyio.fail_after(60):
        for name, arguments in {
            "read_file": {},
            "edit_file": {"old": "a", "new": "b"},
            "write_file": {"content": "x"},
            "search_text": {"pattern": "x"},
        }.items():
            with pytest.raises(ValueError, match=f"{kind} is not a regular file"):
                await call(name, path=kind, **arguments)
        assert "0 files" in await call("search_text", pattern="x")
        assert await call("list_files", recursive=True) == kind


async def test_a_fifo_behind_a_name_of_rules_or_of_an_image_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".gitignore")
    os.mkfifo(tmp_path / "a.png")
    call = tools_of(tmp_path)
    with anyio.fail_after(60):
        assert await call("list_files") == ".gitignore\na.png"
        with pytest.raises(ValueError, match="a FIFO"):
            await call("read_file", path="a.png")


async def test_a_piece_of_a_huge_file_costs_the_piece(tmp_path: Path) -> None:
    path = tmp_path / "huge.log"
    with path.open("wb") as file:
        for _ in range(70):
            file.write(b"some words of a line\n" * 50_000)
        file.write(b"the needle\n")
    call = tools_of(tmp_path)
    before = peak_memory()
    read = await call("read_file", path="huge.log", limit=2)
    assert read.startswith("some words of a line\nsome words of a line\n[lines 1 to 2 of huge.log")
    assert "read on with offset=3" in read
    assert "3500001:" in await call("search_text", pattern="needle")
    with pytest.raises(ValueError, match="more than the 67,108,864 of a file that can be edited"):
        await call("edit_file", path="huge.log", old="words", new="x")
    deep = await call("read_file", path="huge.log", offset=3_500_001)
    assert deep.startswith("the needle\n[lines 3500001 to 3500001")
    assert peak_memory() - before < 64 * 1024**2


async def test_a_sparse_file_of_gigabytes_is_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 * GIGABYTE)
    call = tools_of(tmp_path)
    before = peak_memory()
    with pytest.raises(ValueError, match="is not text: it has 3,221,225,472 bytes"):
        await call("read_file", path="sparse")
    with pytest.raises(ValueError, match="more than the"):
        await call("edit_file", path="sparse", old="a", new="b")
    await call("search_text", pattern="x")
    assert peak_memory() - before < 64 * 1024**2


async def test_a_line_without_end_is_shown_by_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 5_000_000 + b"\nlast")
    read = await tools_of(tmp_path)("read_file", path="one", limit=1)
    assert len(read) < 70_000
    assert "[... the line has 5,000,000 bytes]" in read
    assert read.endswith("[lines 1 to 1 of one, which has 2 lines; read on with offset=2]")
    assert (await tools_of(tmp_path)("read_file", path="one", offset=2)).startswith("last\n")


@pytest.mark.parametrize("lines", [1, 3, 100_000])
async def test_pieces_put_together_are_the_file(tmp_path: Path, lines: int) -> None:
    whole = [f"line {number} {'ä' * (number % 7)}" for number in range(lines)]
    (tmp_path / "a").write_text("\n".join(whole))
    call, read, offset = tools_of(tmp_path), list[str](), 1
    while len(read) < lines:
        piece = (await call("read_file", path="a", offset=offset, limit=20_000)).split("\n")
        read += [line for line in piece if not line.startswith("[lines")]
        offset = len(read) + 1
    assert read == whole
