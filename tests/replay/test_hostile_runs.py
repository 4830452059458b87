"""Random hostile runs, recorded and replayed on either backend: the same events, conversation and end."""

from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from attrs import frozen
from tests.fuzz.random_agents import make_world
from tests.fuzz.test_random_runs import Trial

from tether.events import Event
from tether.messages import Message
from tether.replay import Recording, ReplayError, RunCancelledError, moments, read, record
from tether.replay.raised import described
from tether.replay.replaying import Replay
from tether.result import RunResult
from tether.stream import open_event_stream
from tether.taps import RunBegun, Tap
from tether.testing import Backend, virtual_clock

BACKENDS: list[Backend] = ["asyncio", "trio"]


class _Seen(Tap):
    """What the runs of an agent did, as they went."""

    def __init__(self) -> None:
        self.runs: list[tuple[list[Event], list[Any]]] = []

    def begun(self, run: RunBegun) -> None:
        self.runs.append(([], []))

    def published(self, event: Event) -> None:
        self.runs[-1][0].append(event)

    def ended(self, result: Any) -> None:
        self.runs[-1][1].append(result)


@frozen
class _Recorded:
    seed: int
    recording: Recording
    seen: _Seen
    messages: tuple[Message, ...]


def _recorded(seed: int, backend: Backend, folder: Path) -> _Recorded:
    """Record the program of a seed."""
    world, seen = make_world(seed), _Seen()
    path = folder / f"{backend}-{seed}.jsonl"

    async def main() -> None:
        await Trial(world).perform()

    name, options = virtual_clock(backend)
    world.agent.tap(seen)
    with record(world.agent, path) as recorder:
        anyio.run(main, backend=name, backend_options=options)
    assert recorder.failure is None
    return _Recorded(seed, read(path), seen, world.agent.messages)


async def _check_replays(recorded: _Recorded) -> None:
    events, ends = recorded.seen.runs[-1]
    [run] = recorded.recording.runs
    assert list(run.events) == events
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
    assert got == events
    assert once.transcript.messages == recorded.messages
    [end] = ends
    if isinstance(end, RunResult):
        assert result is not None
        assert (result.stop_reason, result.messages) == (end.stop_reason, end.messages)
        assert (result.usage, result.cost) == (end.usage, end.cost)
        assert result.undelivered == end.undelivered
    else:
        assert raised is not None
        assert described(raised) == described(end)
    assert moments(run)[-1].messages == recorded.messages or isinstance(raised, RunCancelledError)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_replay_does_the_same(
    backend: Backend,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheduler: Any = trio._core._run
    monkeypatch.setattr(scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    runs: int = request.config.getoption("--runs")
    recorded = []
    for seed in range(max(5, runs // 10)):
        scheduler._r.seed(seed)
        recorded.append(_recorded(seed, backend, tmp_path))

    async def check() -> None:
        for one in recorded:
            try:
                await _check_replays(one)
            except BaseException as error:
                raise AssertionError(f"seed {one.seed}: {error}") from error

    for other in BACKENDS:
        anyio.run(check, backend=other)
