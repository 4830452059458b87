"""A run that `explore` has found to fail is a recording: it can be replayed, stepped through and compared."""

import math
import os
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from tests.explore.programs import quick
from tests.explore.test_explore import booking

from tether import Agent, UsageError, tool
from tether.cli.main import main
from tether.replay import RunCancelledError, difference, moments, read, replay
from tether.testing import Backend
from tether.testing.explore import ExploreError, Simulation, explore
from tether.testing.explore.choices import Choices

BACKENDS = get_args(Backend)


def _replayed(path: Path, backend: Backend) -> list[BaseException | None]:
    """Replay all runs of a file; return how each ended."""
    ends: list[BaseException | None] = []

    async def check() -> None:
        for run in read(path).runs:
            got: list[Any] = []
            end: BaseException | None = None
            try:
                async with replay(run) as events:
                    got.extend([event async for event in events])
                    await events.result()
            except Exception as error:  # noqa: BLE001 - the recorded run's own
                end = error
            assert len(moments(run)) == len(run.events) + 1
            if end is None:
                assert got == [*run.events]
            ends.append(end)

    anyio.run(check, backend=backend)
    return ends


def _failed(program: Any, path: Path, **options: Any) -> ExploreError:
    with pytest.raises(ExploreError) as found:
        explore(program, record=path, runs=50, seed=6, **options)
    return found.value


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_shrunk_run_is_written_with_the_last_that_passed(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "failed run.jsonl"
    error = _failed(booking, path, backend=backend)
    assert error.plan == {"calls.0": 2}
    assert error.recording == path
    assert error.passed == path.with_name("failed run.passed.jsonl")
    assert f"  recorded: tether replay '{path}' --step\n" in str(error)
    assert f"  against the last run that passed: tether diff '{error.passed}' '{path}'" in str(
        error
    )
    assert path.stat().st_mode & 0o777 == 0o600

    [failed], [passed] = read(path).runs, read(error.passed).runs
    assert failed.is_whole
    assert passed.is_whole
    assert failed.notes[-1].seconds < 3600  # by the virtual clock
    for other in BACKENDS:
        assert _replayed(path, other) == _replayed(error.passed, other) == [None]

    parted = difference(read(error.passed), read(path))
    assert parted is not None
    assert parted.event
    assert "tool_call_start" in parted.text
    assert main(["replay", str(path), "--at", "1"]) == 0
    assert '"number": 1' in capsys.readouterr().out


def test_the_recording_is_the_same_each_time_and_replaces_that_of_an_earlier_failure(
    tmp_path: Path,
) -> None:
    path = tmp_path / "failed.jsonl"
    error = _failed(booking, path, backend="asyncio")
    first = path.read_bytes()
    assert _failed(booking, path, only=error.only).recording == path
    assert path.read_bytes() == first
    # No run passed there: what stood beside it would be of another failure.
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_raises_is_recorded_to_its_end(backend: Backend, tmp_path: Path) -> None:
    async def program(sim: Simulation) -> None:
        def broken(*_: object) -> None:
            raise LookupError("the hook is broken")

        agent = Agent(tools=[quick])
        agent.hooks.add("after_model", broken)
        await sim.drive(sim.agent(agent), "Go.")

    path = tmp_path / "failed.jsonl"
    error = _failed(program, path, backend=backend)
    assert error.kind == "raised LookupError"
    assert read(path).runs[0].is_whole
    [end] = _replayed(path, backend)
    assert isinstance(end, LookupError)
    assert str(end) == "the hook is broken"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_that_is_cancelled_is_recorded_to_its_end(backend: Backend, tmp_path: Path) -> None:
    @tool
    async def wait() -> str:
        """Wait."""
        await anyio.sleep(3600)
        return "waited"

    async def program(sim: Simulation) -> None:
        with anyio.move_on_after(60) as scope:
            await sim.drive(sim.agent(Agent(tools=[wait])), "Go.")
        assert not scope.cancelled_caught, "too slow"

    path = tmp_path / "failed.jsonl"
    # In others the run ends, and who follows it is too slow.
    error = _failed(program, path, only=f"{backend}:calls.0=1")
    assert error.fault.startswith("too slow")
    for other in BACKENDS:
        [end] = _replayed(path, other)
        assert isinstance(end, RunCancelledError)
    assert moments(read(path).runs[0])[-1].running == ()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_deadlock_is_recorded(backend: Backend, tmp_path: Path) -> None:
    async def program(sim: Simulation) -> None:
        @tool(timeout=math.inf)
        async def wait() -> str:
            """Wait for ever."""
            await anyio.Event().wait()
            return ""

        await sim.drive(sim.agent(Agent(tools=[wait])), "Go.")

    path = tmp_path / "failed.jsonl"
    error = _failed(program, path, backend=backend)
    assert error.kind == "end"
    [run] = read(path).runs
    [end] = _replayed(path, backend)
    assert isinstance(end, RunCancelledError)
    # Before it was cancelled, the call that never returns was running.
    assert any(moment.running for moment in moments(run))
    assert error.passed is not None
    assert difference(read(error.passed), read(path)) is not None


def test_each_agent_that_has_run_has_a_file(tmp_path: Path) -> None:
    async def program(sim: Simulation) -> None:
        first = sim.agent(Agent(name="first", tools=[quick]))
        second = sim.agent(Agent(name="second", tools=[quick]))
        sim.agent(Agent(name="idle"))
        await sim.drive(second, "To the second.")
        await sim.drive(first, "To the first.")
        raise AssertionError("bad")

    path = tmp_path / "failed.jsonl"
    error = _failed(program, path, backend="asyncio")
    of_other = tmp_path / "failed.2.jsonl"
    assert f"--step (further agents: {of_other})" in str(error)
    assert {*tmp_path.iterdir()} == {path, of_other}
    assert [read(one).runs[0].prompts[0].text for one in (path, of_other)] == [
        "To the second.",
        "To the first.",
    ]
    assert _replayed(path, "trio") == _replayed(of_other, "trio") == [None]


def test_files_of_further_agents_of_an_earlier_failure_are_removed_and_no_others(
    tmp_path: Path,
) -> None:
    count = 3

    async def program(sim: Simulation) -> None:
        for number in range(count):
            await sim.drive(sim.agent(Agent(name=f"agent {number}")), "Go.")
        raise AssertionError("bad")

    path = tmp_path / "failed.jsonl"
    _failed(program, path, backend="asyncio")
    assert {one.name for one in tmp_path.iterdir()} == {
        "failed.jsonl",
        "failed.2.jsonl",
        "failed.3.jsonl",
    }
    mine = tmp_path / "failed.4.jsonl"
    mine.write_text("precious")
    count = 1
    _failed(program, path, backend="asyncio")
    assert {*tmp_path.iterdir()} == {path, mine}


def test_hypothesis_leaves_the_recording_of_what_it_has_run_last(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    for calls in (3, 2):
        error = _failed(
            booking,
            path,
            backend="trio",
            decide=lambda site, n, calls=calls: min(calls, n - 1) if site == "calls.0" else 0,
        )
        assert error.recording == path
        assert f"  recorded: tether replay {path} --step" in str(error)
    [run] = read(path).runs
    assert sum(event.type == "tool_execution_start" for event in run.events) == 2


def test_no_failure_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    explore(booking, only="asyncio:", record=path)
    assert not path.exists()


def test_a_program_that_runs_no_agent_says_that_nothing_is_recorded(tmp_path: Path) -> None:
    async def program(_: Simulation) -> None:
        raise AssertionError("bad")

    error = _failed(program, tmp_path / "failed.jsonl")
    assert "nothing is recorded: no agent of the simulation has run" in str(error)
    assert error.recording is None
    assert [*tmp_path.iterdir()] == []


def test_a_program_that_differs_from_run_to_run_says_so(tmp_path: Path) -> None:
    seen: list[Choices] = []

    async def program(sim: Simulation) -> None:
        await sim.drive(sim.agent(Agent(tools=[quick])), "Go.")
        seen.append(sim.choices)
        assert len(seen) > 1, "only the first time"

    error = _failed(program, tmp_path / "failed.jsonl", backend="asyncio", tries=0)
    assert "what is recorded went otherwise: the program differs from run to run" in str(error)


@pytest.mark.parametrize("there", [b"precious", b"[1]"])
def test_no_other_file_is_replaced(there: bytes, tmp_path: Path) -> None:
    path = tmp_path / "failed.jsonl"
    path.write_bytes(there)
    with pytest.raises(UsageError, match="is there, and is no recording"):
        explore(booking, record=path)
    path.write_bytes(b"")
    beside = tmp_path / "failed.passed.jsonl"
    beside.write_bytes(there)
    error = _failed(booking, path, backend="asyncio")
    assert "the last run that passed could not be written" in str(error)
    assert error.recording == path
    assert read(path).runs
    # Where no run has passed, an old recording beside it is deleted, and nothing else.
    assert _failed(booking, path, only=error.only).passed is None
    assert beside.read_bytes() == there


def test_a_pipe_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UsageError, match="is there, and is no recording"):
        explore(booking, record=path)


def test_a_recording_that_cannot_be_written_does_not_hide_the_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = _failed(booking, tmp_path / "file" / "failed.jsonl", backend="asyncio")
    assert error.fault.startswith("sold 2 seats of 1")
    assert "the recording could not be written" in str(error)
    for bad in (3, object()):
        with pytest.raises(UsageError, match="record must be the path of a file"):
            explore(booking, record=bad)  # type: ignore[arg-type]
