"""Every program in the README is run as it stands there."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
)
EXPECTED = re.compile(r"print\(.*\)  # (?P<output>.*)$", re.MULTILINE)


ON_TRIO = "import functools, anyio\nanyio.run = functools.partial(anyio.run, backend='trio')\n"
RUNS = [
    pytest.param(before + program, id=f"program-{number}-{backend}")
    for number, program in enumerate(PROGRAMS, 1)
    for backend, before in (("asyncio", ""), ("trio", ON_TRIO))
    if backend == "asyncio" or "anyio.run(" in program
]


@pytest.mark.parametrize("program", RUNS)
def test_a_program_of_the_readme_runs(program: str) -> None:
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
