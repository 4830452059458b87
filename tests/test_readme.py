"""Every program in the README, and in the guides beside the code, is run as it stands there.

A program under `<!-- file: name.py -->` is a module that others import, or that a server runs: it is the module of that
name in `tests/embedding`, below its docstring, which is started for real.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>[\w.]+) -->\n)?```python\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
GUIDES = [ROOT / "README.md", *sorted((ROOT / "src" / "tether").rglob("README.md"))]


def programs_of(guide: Path) -> list[str]:
    """The programs of a guide that are run by themselves."""
    blocks = BLOCK.finditer(guide.read_text())
    return [block["code"] for block in blocks if block["file"] is None]


def modules_of(guide: Path) -> dict[str, str]:
    """The programs of a guide that have names."""
    return {m["file"]: m["code"] for m in BLOCK.finditer(guide.read_text()) if m["file"]}


PROGRAMS = programs_of(ROOT / "README.md")
EXPECTED = re.compile(r"print\(.*\)  # (?P<output>.*)$", re.MULTILINE)


ON_TRIO = "import functools, anyio\nanyio.run = functools.partial(anyio.run, backend='trio')\n"
RUNS = [
    pytest.param(before + program, id=f"{guide.parent.name or 'tether'}-{number}-{backend}")
    for guide in GUIDES
    for number, program in enumerate(programs_of(guide), 1)
    for backend, before in (("asyncio", ""), ("trio", ON_TRIO))
    if backend == "asyncio" or "anyio.run(" in program
]


@pytest.mark.parametrize("program", RUNS)
def test_a_program_of_a_guide_runs(program: str) -> None:
    """It ends well, warns of nothing, and prints something; on both backends, where it names none."""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if any(
        isinstance(node, ast.Name) and node.id == "print" for node in ast.walk(ast.parse(program))
    ):
        assert done.stdout


def test_the_first_program_is_short() -> None:
    assert len([line for line in PROGRAMS[0].splitlines() if line.strip()]) < 25


def test_what_the_program_on_cancelling_prints_is_what_the_readme_says() -> None:
    [program] = [program for program in PROGRAMS if "move_on_after(1)" in program]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said = [match["output"] for match in EXPECTED.finditer(program)]
    assert done.stdout.splitlines() == said


SHOWN = {
    name: code
    for guide in GUIDES
    for name, code in modules_of(guide).items()
    if name != "agents.py"  # the tests' agent does more than a reader's
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_guide_shows_the_module_that_is_tested(name: str) -> None:
    source = (ROOT / "tests" / "embedding" / name).read_text()
    docstring = ast.parse(source).body[0]
    assert docstring.end_lineno is not None
    code = "".join(source.splitlines(keepends=True)[docstring.end_lineno :])
    assert code.strip().replace("tests.embedding.", "") == SHOWN[name].strip()
