"""Explored runs, recorded and replayed on either backend: the same events, conversation and end."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from attrs import define, field
from tests.explore.programs import PROGRAMS

from tether import Agent
from tether.events import Event
from tether.messages import Message
from tether.replay import RecordedRun, ReplayError, moments, read, record
from tether.replay.raised import described
from tether.replay.recorder import Recorder
from tether.replay.replaying import Replay
from tether.result import RunResult
from tether.stream import open_event_stream
from tether.taps import RunBegun, Tap
from tether.testing import Backend
from tether.testing.explore import Simulation, explore
from tether.testing.explore.trial import Program


@define
class _SeenRun:
    """What a run did, as it went."""

    events: list[Event] = field(factory=list)
    end: Any = None
    messages: tuple[Message, ...] = ()


class _Seen(Tap):
    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.runs: list[_SeenRun] = []

    def begun(self, run: RunBegun) -> None:
        self.runs.append(_SeenRun())

    def published(self, event: Event) -> None:
        self.runs[-1].events.append(event)

    def ended(self, result: Any) -> None:
        self.runs[-1].end = result
        self.runs[-1].messages = self.agent.messages


@define
class _Kept:
    """What was recorded of one agent."""

    path: Path
    seen: _Seen
    recorder: Recorder


async def _check_replay(run: RecordedRun, seen: _SeenRun) -> None:
    assert list(run.events) == seen.events
    once = Replay(run)
    got: list[Event] = []
    raised: Exception | None = None
    result: RunResult | None = None
    async with open_event_stream(once.produce, max_buffer_size=0) as stream:
        try:
            async for event in stream:
                got.append(event)
            result = await stream.result()
        except ReplayError:
            raise
        except Exception as error:  # noqa: BLE001 - compared below
            raised = error
    assert got == seen.events
    assert once.transcript.messages == seen.messages
    if isinstance(seen.end, RunResult):
        assert result == seen.end
    else:
        assert raised is not None
        assert described(raised) == described(seen.end)
    assert moments(run)[-1].number == len(seen.events)


@pytest.mark.parametrize("backend", get_args(Backend))
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_every_replay_does_the_same(
    program: Program,
    backend: Backend,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[_Kept] = []
    make = Simulation.agent

    with ExitStack() as opened:

        def recorded(sim: Simulation, agent: Agent, **options: Any) -> Agent:
            made = make(sim, agent, **options)
            path = tmp_path / f"{len(kept)}.jsonl"
            seen = _Seen(made)
            made.tap(seen)
            # The clock of the world would be another one in each run.
            recorder = opened.enter_context(record(made, path, clock=float))
            kept.append(_Kept(path, seen, recorder))
            return made

        monkeypatch.setattr(Simulation, "agent", recorded)
        runs: int = request.config.getoption("--runs")
        explore(program, runs=max(4, runs // 10), backend=backend, seed=1)

    async def check() -> None:
        for one in kept:
            assert one.recorder.failure is None, one.recorder.failure
            found = read(one.path).runs
            assert len(found) == len(one.seen.runs)
            for run, seen in zip(found, one.seen.runs, strict=True):
                await _check_replay(run, seen)

    assert kept
    for other in get_args(Backend):
        anyio.run(check, backend=other)
