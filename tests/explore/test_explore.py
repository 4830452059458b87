"""`explore` finds what can go wrong, shrinks it, tells it, and runs it again."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.explore.programs import with_a_child

from tether import Agent, UsageError, tool
from tether.testing import Backend, ScriptedModel, call
from tether.testing.explore import ExploreError, ExploreReport, Simulation, explore
from tether.testing.explore.choices import RandomDecisions, from_plan
from tether.testing.explore.surroundings import only_simulated
from tether.testing.explore.trial import backend_named, run_once

BACKENDS = get_args(Backend)


async def booking(sim: Simulation) -> None:
    """A race of the user's own: two calls look before either books."""
    left = 1

    @tool
    async def book() -> str:
        """Book a seat."""
        nonlocal left
        if not left:
            return "sold out"
        await checkpoint()
        left -= 1
        return "booked"

    await sim.drive(sim.agent(Agent(tools=[book])), "Book a seat.")
    assert left >= 0, f"sold {1 - left} seats of 1"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_race_is_found_and_shrunk_to_what_it_takes(backend: Backend) -> None:
    with pytest.raises(ExploreError) as found:
        explore(booking, runs=300, backend=backend)
    error = found.value
    assert error.plan == {"calls.0": 2}
    assert error.kind == "raised AssertionError"
    assert isinstance(error.__cause__, AssertionError)
    first, again, *_ = str(error).splitlines()
    assert re.fullmatch(
        rf"sold 2 seats of 1 \({backend}, run \d+\); "
        r"shrunk from \d+ deviations? to 1: the model's reply makes 2 calls",
        first,
    )
    assert again == f'  again: explore(program, only="{backend}:calls.0=2")'
    with pytest.raises(ExploreError, match="sold 2 seats of 1"):
        explore(booking, only=f"{backend}:calls.0=2")
    assert explore(booking, only=f"{backend}:calls.0=1").runs == 1


def test_a_failure_on_both_backends_says_so_and_one_on_one_only_too() -> None:
    async def on_trio_only(sim: Simulation) -> None:
        bad = sim.choose("bad", 2, ("", "it is bad"))
        assert not (bad and sim.backend.name == "trio"), "bad on trio"

    async def everywhere(sim: Simulation) -> None:
        assert not sim.choose("bad", 2), "bad"

    with pytest.raises(ExploreError, match="on trio only: the same deviations pass on asyncio"):
        explore(on_trio_only, runs=100)
    with pytest.raises(ExploreError, match="on trio too"):
        explore(everywhere, runs=100)


def test_the_report_shows_where_the_run_parts_from_one_that_passed() -> None:
    with pytest.raises(ExploreError) as found:
        explore(booking, runs=300)
    text = str(found.value)
    assert "against the last run that passed" in text
    assert "+ToolExecutionStart book call_2" in text


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_that_waits_for_ever_is_found(backend: Backend) -> None:
    async def program(sim: Simulation) -> None:
        if sim.choose("wait", 2):
            await anyio.Event().wait()

    with pytest.raises(ExploreError, match="does not come to its end: nothing is ready") as found:
        explore(program, runs=100, backend=backend)
    assert found.value.plan == {"wait.0": 1}
    assert "in test_a_program_that_waits_for_ever_is_found.<locals>.program" in str(found.value)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_that_goes_on_for_ever_is_found(backend: Backend) -> None:
    async def program(_: Simulation) -> None:
        while True:
            await checkpoint()

    with pytest.raises(ExploreError, match="goes on without end"):
        explore(program, runs=1, backend=backend, tries=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_order_of_tasks_is_found(backend: Backend) -> None:
    async def program(_: Simulation) -> None:
        done: list[str] = []

        async def work(name: str) -> None:
            await checkpoint()
            await checkpoint()
            done.append(name)

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(work, name)
        assert "".join(done) != "cab", "c came first"

    with pytest.raises(ExploreError, match="c came first") as found:
        explore(program, runs=2000, backend=backend)
    assert len(found.value.plan) <= 2
    assert all(site.startswith("hold.") for site in found.value.plan)


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_is_virtual(backend: Backend) -> None:
    async def program(_: Simulation) -> None:
        began = anyio.current_time()
        with anyio.move_on_after(3600) as scope:
            await anyio.sleep(86_400)
        assert scope.cancelled_caught
        assert anyio.current_time() - began == 3600

    assert explore(program, runs=3, backend=backend) == ExploreReport(runs=3, backends=(backend,))


@pytest.mark.parametrize("backend", BACKENDS)
def test_worker_threads_are_not_needed(backend: Backend, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text", encoding="utf-8")

    async def program(_: Simulation) -> None:
        assert await anyio.Path(path).read_text(encoding="utf-8") == "text"

    explore(program, runs=5, backend=backend)


def test_the_replies_of_a_scripted_model_are_kept() -> None:
    async def program(sim: Simulation) -> None:
        model = ScriptedModel(call("add", a=1, b=2), *["It is 3."] * 9)

        @tool
        async def add(a: int, b: int) -> str:
            """Add."""
            return str(a + b)

        agent = sim.agent(Agent(model, tools=[add]))
        result = await sim.drive(agent, "1 + 2?")
        assert result is None or "It is 3.".startswith(result.text)
        if not sim.choices.deviations:
            assert result is not None
            assert result.text == "It is 3."

    explore(program, only="asyncio:")
    explore(program, only="trio:")
    explore(program, runs=20)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hypothesis_may_decide(backend: Backend) -> None:
    @settings(max_examples=20, database=None, phases=[Phase.generate])
    @given(st.data())
    def test(data: Any) -> None:
        explore(
            booking,
            backend=backend,
            decide=lambda site, n: (
                data.draw(st.integers(0, n - 1), label=site) if site.startswith("calls") else 0
            ),
        )

    with pytest.raises(ExploreError, match="seats of 1"):
        test()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_is_the_same_again_and_from_its_plan(backend: Backend) -> None:
    on = backend_named(backend)
    with only_simulated():
        for number in range(20):
            first = run_once(with_a_child, on, RandomDecisions(f"0/{number}"))
            again = run_once(with_a_child, on, RandomDecisions(f"0/{number}"))
            planned = run_once(with_a_child, on, from_plan(first.deviations))
            assert first.digest == again.digest == planned.digest


def test_private_names_are_where_they_were() -> None:
    for backend in BACKENDS:
        backend_named(backend).check_names()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"runs": -1}, "runs must be a whole number"),
        ({"backend": "curio"}, "backend must be one of asyncio, trio, both"),
        ({"only": "calls.0=2"}, "only begins with asyncio: or trio:"),
        ({"only": "trio:calls.0"}, "a deviation is written like calls.0=2"),
        ({"decide": lambda _, n: n}, "must be from 0 to"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises((UsageError, ValueError), match=fault):
        explore(booking, **options)


def test_an_agent_has_to_be_given_to_the_simulation() -> None:
    async def program(sim: Simulation) -> None:
        await sim.drive(Agent(), "Hello.")

    with pytest.raises(ExploreError, match="give the agent to the simulation"):
        explore(program, runs=1)


DIGESTS = """
import sys
from tests.explore.programs import with_a_child
from tether.testing.explore.choices import RandomDecisions
from tether.testing.explore.surroundings import only_simulated
from tether.testing.explore.trial import backend_named, run_once

with only_simulated():
    for number in range(int(sys.argv[2])):
        decide = RandomDecisions(f"0/{number}")
        print(run_once(with_a_child, backend_named(sys.argv[1]), decide).digest)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_runs_are_the_same_in_another_process(
    backend: Backend, request: pytest.FixtureRequest
) -> None:
    """Hash seeds differ, and so do the addresses of objects."""
    runs = min(1000, request.config.getoption("--runs") // 2)
    seen = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS, backend, str(runs)],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert len(seen[0]) == runs
    assert seen[0] == seen[1]
