"""Lists and searches of trees as people have them: links, folders that are closed, depth, patterns, rules."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from tests.toolbox.tools import tools_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs the files of POSIX")

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "a.py",
        "src/b.ts",
        "src/c.js",
        "src/deep/d.ts",
        "src/deep/test_e.py",
        "test_f/g.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("needle\n")
    return tmp_path


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder with another that may not be looked into: also by the superuser, who is nobody meanwhile."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "a.txt").write_text("needle\n")
    (folder / "z").mkdir()
    (folder / "z" / "b.txt").write_text("needle\n")
    (folder / "locked").mkdir(mode=0)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(NOBODY)
    yield folder
    if superuser:
        os.seteuid(0)
    (folder / "locked").chmod(0o755)
    shutil.rmtree(folder)


async def test_a_closed_folder_is_passed_over_and_named(closed: Path) -> None:
    call = tools_of(closed)
    note = "[passed over: locked/ (Permission denied)]"
    assert await call("list_files", recursive=True) == f"a.txt\nlocked/\nz/\nz/b.txt\n{note}"
    assert await call("search_text", pattern="needle") == (
        f"a.txt:1: needle\nz/b.txt:1: needle\n{note}\n[2 matches in 2 files]"
    )
    with pytest.raises(PermissionError):
        await call("list_files", path="locked")


async def test_a_closed_file_is_passed_over_and_named(closed: Path) -> None:
    euid = os.geteuid()
    os.seteuid(os.getuid())
    (closed / "b.txt").write_text("needle\n")
    (closed / "b.txt").chmod(0)
    os.seteuid(euid)
    found = await tools_of(closed)("search_text", pattern="needle")
    assert "b.txt (Permission denied)" in found
    assert found.endswith("[2 matches in 2 files]")


@pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
async def test_names_that_are_no_utf_8_are_listed_and_searched(root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9.txt")).write_text("needle in a haystack")
    call = tools_of(root)
    assert "caf\ufffd.txt" in (await call("list_files")).splitlines()
    assert "caf\ufffd.txt:1: needle in a haystack" in await call("search_text", pattern="haystack")


async def test_links_to_themselves_are_passed_over_and_named(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    (root / "nowhere").symlink_to("gone")
    (root / "round").symlink_to(root)
    call = tools_of(root)
    listed = (await call("list_files", recursive=True)).splitlines()
    assert listed[-1].startswith("[passed over: loop (")
    assert "x (" in listed[-1]
    assert "round/" in listed
    assert "nowhere" in listed
    assert (await call("search_text", pattern="needle")).endswith("\n[6 matches in 6 files]")
    assert (await call("list_files")).splitlines()[-1].startswith("[passed over: loop (")
    for name in ("read_file", "list_files", "search_text"):
        with pytest.raises((OSError, ValueError), match=r"loop|symbolic links"):
            await call(name, path="loop", **({"pattern": "x"} if name == "search_text" else {}))


async def test_deep_trees_are_walked_as_far_as_paths_reach(root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for depth in range(1_200):
        os.mkdir("dddd", dir_fd=here)
        if depth in {5, 700}:
            os.close(os.open("found.txt", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        there = os.open("dddd", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)
    call = tools_of(root)
    listed = (await call("list_files", recursive=True, pattern="*.txt")).splitlines()
    assert len(listed) == 3
    assert listed[1].endswith("dddd/dddd/found.txt")
    assert "File name too long" in listed[2]
    assert len(listed[2]) < 5_000
    assert (await call("search_text", pattern="needle")).endswith("\n[6 matches in 8 files]")
    # Up to Python 3.11, shutil.rmtree calls itself at each level.
    await anyio.run_process(["rm", "-rf", root / "dddd"])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("src/**/*.ts", "src/b.ts src/deep/d.ts"),
        ("src/*.ts", "src/b.ts"),
        ("src/*", "src/b.ts src/c.js src/deep/"),
        ("*.{ts,js}", "src/b.ts src/c.js src/deep/d.ts"),
        ("src/{b,deep/d}.ts", "src/b.ts src/deep/d.ts"),
        ("*.{t{s,x},js}", "src/b.ts src/c.js src/deep/d.ts"),
        ("**/*.py", "a.py src/deep/test_e.py"),
        ("/*.py", "a.py"),
        ("./*.py", "a.py"),
        ("test_*", "src/deep/test_e.py test_f/"),
        ("[ab].*", "a.py src/b.ts"),
        ("[!a].??", "src/b.ts src/c.js src/deep/d.ts test_f/g.md"),
        ("src", "src/"),
        ("src/**", "src/b.ts src/c.js src/deep/ src/deep/d.ts src/deep/test_e.py"),
        ("#x", "[nothing]"),
    ],
)
async def test_patterns_are_those_of_ripgrep_and_git(
    root: Path, pattern: str, expected: str
) -> None:
    call = tools_of(root)
    listed = await call("list_files", pattern=pattern, recursive=True)
    assert listed.splitlines() == (expected.split() if expected[0] != "[" else [expected])
    found = await call("search_text", pattern="needle", files=pattern)
    names = [line.partition(":")[0] for line in found.splitlines()[:-1]]
    assert names == [name for name in expected.split() if not name.endswith("/") and "." in name]


async def test_a_pattern_may_exclude(root: Path) -> None:
    listed = await tools_of(root)("list_files", pattern="!*.{ts,py}", recursive=True)
    assert listed.split() == ["src/", "src/c.js", "src/deep/", "test_f/", "test_f/g.md"]


@pytest.mark.parametrize("path", ["src/**/*.ts", "src/deep/../**/*.ts"])
async def test_a_pattern_may_stand_in_place_of_the_folder(root: Path, path: str) -> None:
    assert await tools_of(root)("list_files", path=path) == "b.ts\ndeep/d.ts"


async def test_a_pattern_with_folders_goes_into_them(root: Path) -> None:
    call = tools_of(root)
    assert await call("list_files", pattern="src/**/*.ts") == "src/b.ts\nsrc/deep/d.ts"
    assert await call("list_files", pattern="*.ts") == "[nothing]"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("../*.py", r"leads out of the folder"),
        ("src/../*.py", r"leads out of the folder"),
        ("[ab", r"a \[ in it is not closed"),
        ("*.{ts,js", r"a \{ in it is not closed"),
        ("", "it is empty"),
        ("src//b.ts", "no empty part"),
        ("src/./b.ts", "no empty part"),
        ("{" + "a," * 300 + "}", "more than 256 patterns"),
    ],
)
async def test_a_pattern_that_cannot_match_says_why(root: Path, pattern: str, why: str) -> None:
    call = tools_of(root)
    with pytest.raises(ValueError, match=why):
        await call("list_files", pattern=pattern)
    with pytest.raises(ValueError, match=why):
        await call("search_text", pattern="x", files=pattern)


async def test_what_gitignore_names_is_passed_over_unless_a_path_names_it(root: Path) -> None:
    (root / ".gitignore").write_text("*.js\n/test_f/\n/src/deep/*\n!/src/deep/d.ts\n[\n!\n")
    (root / "src" / ".gitignore").write_text("!c.js\n/b.ts\n")
    call = tools_of(root)
    names = ["a.py", "src/c.js", "src/deep/d.ts"]
    listed = (await call("list_files", recursive=True)).split()
    assert [name for name in listed if not name.endswith(("/", ".gitignore"))] == names
    found = (await call("search_text", pattern="needle")).splitlines()[:-1]
    assert found == [f"{name}:1: needle" for name in names]
    assert await call("list_files", path="test_f") == "g.md"
    assert "test_f/g.md:1" in await call("search_text", pattern="needle", path="test_f")
    assert "src/b.ts:1" in await call("search_text", pattern="needle", path="src/b.ts")
    assert (await call("list_files", path="src/deep")).split() == ["d.ts"]
    assert await call("read_file", path="test_f/g.md") == "needle"


async def test_rules_that_nobody_can_read_are_no_rules(root: Path) -> None:
    (root / ".gitignore").write_bytes(b"\xff\xfe\0*\n" * 100_000)
    assert "a.py" in await tools_of(root)("list_files")
    (root / ".gitignore").unlink()
    (root / ".gitignore").mkdir()
    assert "a.py" in await tools_of(root)("list_files")
