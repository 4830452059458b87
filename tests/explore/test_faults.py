"""The simulation finds faults that are put back, and shrinks each to a few deviations; it is silent without them."""

from typing import get_args

import pytest
from tests.explore.faults import FAULTS, PutBack

from tether.testing import Backend
from tether.testing.explore import ExploreError, explore

MOST_RUNS = 5000
MOST_DEVIATIONS = 7


@pytest.mark.parametrize("backend", get_args(Backend))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_shrunk(
    fault: PutBack, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fault.patch(patch)
        with pytest.raises(ExploreError) as found:
            explore(fault.program, runs=MOST_RUNS, backend=backend, tries=150)
        assert found.value.kind in fault.kinds
        assert 0 < len(found.value.plan) <= MOST_DEVIATIONS
        with pytest.raises(ExploreError) as again:
            explore(fault.program, only=found.value.only)
    assert again.value.fault == found.value.fault
    explore(fault.program, only=found.value.only)
