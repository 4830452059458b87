"""The program of the guide that needs a cluster does what it says."""

import functools
from pathlib import Path

import anyio
import pytest

pytest.importorskip("ray")

from tests.test_readme import blocks

import tether


@pytest.mark.parametrize("program", blocks("python", "on a cluster"))
def test_the_third_step_of_the_guide(
    nodes: str,
    program: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del nodes
    monkeypatch.setattr(anyio, "run", functools.partial(anyio.run, backend="trio"))
    exec(compile(program, "guide", "exec"), {"__name__": "a_program"})
    assert capsys.readouterr().out == "Fixed.\n"


def test_each_step_is_ten_lines_or_so() -> None:
    guide = Path(tether.__file__).parent / "ray" / "README.md"
    programs = guide.read_text().split("```python\n")[1:]
    for program in programs:
        body = program.split("```")[0].split("async def main")[1]
        assert len(body.strip().splitlines()) <= 11
