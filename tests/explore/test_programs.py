"""tether's own programs keep their promises, whatever is done to them.

pytest tests/explore                    some runs of each program
pytest tests/explore --runs 5000        more
pytest tests/explore --seed 123         other runs
"""

from typing import get_args

import pytest
from tests.explore.programs import PROGRAMS

from tether.testing import Backend
from tether.testing.explore import explore
from tether.testing.explore.trial import Program


@pytest.mark.parametrize("backend", get_args(Backend))
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_whatever_is_done_to_a_program_its_promises_hold(
    program: Program, backend: Backend, request: pytest.FixtureRequest
) -> None:
    seed: int = request.config.getoption("--seed") or 0
    runs: int = request.config.getoption("--runs")
    explore(program, runs=runs, backend=backend, seed=seed)
