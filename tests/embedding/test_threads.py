"""The runs of a program's threads are ended together."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import pytest

import tether
from tether.embedding.threads import BlockingRuns
from tether.testing import Pause, ScriptedModel

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@contextmanager
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@BACKENDS
def test_runs_that_are_going_end_as_the_block_is_left(backend: str) -> None:
    agent = tether.Agent(ScriptedModel(["Hm", Pause()]))
    with thread() as executor:
        with BlockingRuns() as runs:
            begun = Event()

            def ask() -> tether.RunResult:
                with runs.run(agent, "think", backend=backend) as run:
                    for _ in run:
                        begun.set()
                    return run.result()

            answer = executor.submit(ask)
            assert begun.wait(60)
        assert not agent.state.running
        assert answer.result(60).stop_reason == "aborted"


@BACKENDS
def test_a_run_may_end_by_itself(backend: str) -> None:
    agent = tether.Agent(ScriptedModel("Hello."))
    with BlockingRuns() as runs, runs.run(agent, "hi", backend=backend) as run:
        assert run.result().text == "Hello."


def test_no_run_is_started_when_they_were_closed() -> None:
    runs = BlockingRuns()
    runs.close()
    runs.close()
    with pytest.raises(tether.UsageError, match="were closed"), runs.run(tether.Agent(), "hi"):
        pass


def test_what_a_block_raises_comes_out_and_the_run_is_forgotten() -> None:
    agent = tether.Agent(ScriptedModel(["Hm", Pause()]))
    with (
        BlockingRuns(deadline=60) as runs,
        pytest.raises(ValueError, match="no"),
        runs.run(agent, "think"),
    ):
        raise ValueError("no")
    assert not agent.state.running
