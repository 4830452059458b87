"""Searches: no expression can hold the process, and what is found is shown."""

from pathlib import Path

import anyio
import pytest
from tests.toolbox.tools import tools_of


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b$", "(.*a){20}$", "^(([a-z])+.)+[A-Z]([a-z])+$"]
)
async def test_no_expression_holds_the_process(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a.txt").write_text("a" * 40 + "b\n")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.001)
            ticks += 1

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            found = await tools_of(tmp_path)("search_text", pattern=pattern, regex=True)
            tasks.cancel_scope.cancel()
    assert found.endswith(("1 files]", "1 files that were searched]"))


async def test_patterns_of_names_do_not_hold_it_either(tmp_path: Path) -> None:
    (tmp_path / ("a" * 200)).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("*a" * 30 + "b\n")
    (tmp_path / "sub" / ("a" * 200)).touch()
    call = tools_of(tmp_path)
    with anyio.fail_after(60):
        assert await call("list_files", pattern="*a" * 30 + "b", recursive=True) == "[nothing]"
        assert "0 files" in await call("search_text", pattern="x", files="*a" * 30 + "b")


@pytest.mark.parametrize(
    ("pattern", "feature"),
    [
        ("(?=x)y", "look-ahead"),
        ("(?!x)y", "look-ahead"),
        ("(?<=x)y", "look-behind"),
        ("(?<!x)y", "look-behind"),
        (r"(a)\1", "a back-reference"),
        ("(?P<n>a)(?P=n)", "a back-reference"),
        ("(?>a)b", "an atomic group"),
        ("a++", "a possessive repetition"),
        ("(a)(?(1)b|c)", "a condition"),
        ("(?x) a", "a flag"),
        (r"\u20ac", "an escape"),
        ("a{2000}", "a repetition of more than 1,000"),
    ],
)
async def test_what_the_engine_lacks_is_named(tmp_path: Path, pattern: str, feature: str) -> None:
    with pytest.raises(ValueError, match=f"needs {feature}"):
        await tools_of(tmp_path)("search_text", pattern=pattern, regex=True)
    (tmp_path / "a.txt").write_text(f"so {pattern} it is\n")
    assert "a.txt:1: so" in await tools_of(tmp_path)("search_text", pattern=pattern)


async def test_each_line_is_searched_by_itself(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\r\ntwo\n\nthrée one one\nlast".encode())
    call = tools_of(tmp_path)

    async def lines(pattern: str) -> list[str]:
        found = (await call("search_text", pattern=pattern, regex=True)).splitlines()[:-1]
        return [line.removeprefix("a.txt:") for line in found]

    assert await lines("one") == ["1: one", "4: thrée one one"]
    assert await lines("^one$") == ["1: one"]
    assert await lines(r"\Atwo\Z") == ["2: two"]
    assert await lines("^$") == ["3: "]
    assert await lines("^") == ["1: one", "2: two", "3: ", "4: thrée one one", "5: last"]
    assert await lines(r"[^x]*\s*t$") == ["5: last"]
    assert await lines("(?i)TWO|LAST") == ["2: two", "5: last"]
    assert await lines("thr.e") == ["4: thrée one one"]
    assert await lines(r"e\s+t") == []
    with pytest.raises(ValueError, match="line by line"):
        await call("search_text", pattern="one\ntwo")


async def test_a_match_far_right_is_shown(tmp_path: Path) -> None:
    (tmp_path / "min.js").write_text(
        "ä" * 9_000 + "needle" + "ö" * 9_000 + "\n" + "x" * 400 + "needle"
    )
    found = (await tools_of(tmp_path)("search_text", pattern="needle")).splitlines()
    assert len(found) == 3
    for line in found[:2]:
        assert "needle" in line
        assert "\ufffd" not in line
        assert len(line) < 400
    assert found[0].startswith("min.js:1: ... ")
    assert found[0].endswith(" ...")
    assert found[1].endswith("xxneedle")


async def test_lines_are_counted_over_the_pieces_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "long").write_text(
        "".join(
            f"{number} {'needle' if number % 30_000 == 0 else 'x' * 30}\n"
            for number in range(1, 90_001)
        )
    )
    found = await tools_of(tmp_path)("search_text", pattern="needle")
    assert found == (
        "long:30000: 30000 needle\nlong:60000: 60000 needle\nlong:90000: 90000 needle\n"
        "[3 matches in 1 files]"
    )


async def test_a_search_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    with (tmp_path / "long").open("w") as file:
        for _ in range(40):
            file.write("ab" * 500_000 + "\n")
    call = tools_of(tmp_path)
    with anyio.fail_after(120):
        with anyio.move_on_after(0.05) as scope:
            await call("search_text", pattern="(a|b)*a(a|b){400}c", regex=True)
        assert scope.cancelled_caught


async def test_a_file_is_no_text_wherever_its_first_line_ends(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"needle\n" + b"\0" * 600_000)
    assert "is not in the 1 files" in await tools_of(tmp_path)("search_text", pattern="needle")
