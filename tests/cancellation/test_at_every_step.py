"""Cancel each of these programs at every one of its steps, on both backends, and see what is left.

After each cancellation: no task, socket, process, thread or async generator is left (the kit sees to that); the
transcript is valid and the events so far are the beginning of a run; what arrived is kept; the agent is idle, and
its next request is accepted by a model that is as strict as a provider.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.cancellation.programs import (
    CHEAP,
    Program,
    State,
    a_child_agent,
    a_consumer_that_raises,
    a_generator_with_aclosing,
    a_long_conversation,
    a_model_error,
    parallel_tools,
    steering,
)
from tests.cancellation.programs_with_real_parts import REAL

from tether import AgentEnd, AgentStart, AssistantMessage, MessageEnd, MessageUpdate, TextDelta
from tether.testing import (
    CancelReport,
    ScriptedModel,
    cancel_at_every_step,
    check_events,
    check_transcript,
)


async def check(state: State) -> None:
    """What must be true wherever the program was cut off."""
    check_transcript(state.agent.messages)
    over = bool(state.events) and isinstance(state.events[-1], AgentEnd)
    if not state.events or isinstance(state.events[0], AgentStart):
        check_events(state.events, complete=over)
    assert state.begun == state.cleaned
    assert not state.agent.state.running
    _check_that_nothing_said_is_lost(state)
    state.agent.clear_queues()
    state.agent.model = ScriptedModel("fine")
    assert (await state.agent.prompt("more")).text == "fine"
    check_transcript(state.agent.messages)


def _check_that_nothing_said_is_lost(state: State) -> None:
    """The deltas a consumer has seen stand in the transcript, and whole messages stand there as they were."""
    kept = state.agent.messages
    arriving = ""
    for event in state.events:
        match event:
            case MessageUpdate(TextDelta(text)):
                arriving += text
            case MessageEnd(message):
                assert message in kept
                arriving = ""
            case _:
                pass
    if arriving:
        replies = [message.text for message in kept if isinstance(message, AssistantMessage)]
        assert any(text.startswith(arriving) for text in replies)


@pytest.fixture(scope="module")
def points(tell: Callable[[str], None]) -> Iterator[list[CancelReport]]:
    """Gather what was tried, and say at the end how much it was."""
    reports: list[CancelReport] = []
    yield reports
    tried = sum(report.points for report in reports)
    tell(
        f"cancel points tried: {tried} in {len(reports)} trials of {len(CHEAP) + len(REAL)} programs"
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("program", CHEAP, ids=lambda program: program.__name__)
def test_cancelled_at_every_step(
    program: Program, backend: Any, points: list[CancelReport]
) -> None:
    report = cancel_at_every_step(program, setup=State, check=check, backend=backend)
    assert report.points >= 5
    points.append(report)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("program", REAL, ids=lambda program: program.__name__)
def test_cancelled_at_every_step_with_real_parts(
    program: Program, backend: Any, points: list[CancelReport]
) -> None:
    report = cancel_at_every_step(program, setup=State, check=check, backend=backend, limit=60)
    assert report.points >= 10
    points.append(report)


CATCH = {a_consumer_that_raises, a_model_error, a_generator_with_aclosing}

NATIVE = [program for program in CHEAP if program not in CATCH]
"""Where a block raises and its task is then cancelled natively while it waits for its tasks, the error stands
for both, as it does with asyncio's own TaskGroup; a program that catches the error has lost the cancellation.
So does `aclosing`, which closes a generator by a GeneratorExit."""

SEVERAL_TURNS = pytest.param(a_long_conversation, marks=pytest.mark.thorough)
"""Its steps are those of `parallel_tools`, `steering` and `follow_ups` again: 5 s."""


@pytest.mark.parametrize(
    "program",
    [program if program is not a_long_conversation else SEVERAL_TURNS for program in NATIVE],
    ids=lambda program: program.__name__,
)
def test_cancelled_natively_at_every_step(program: Program, points: list[CancelReport]) -> None:
    """As `asyncio.timeout` and `asyncio.TaskGroup` do it: `task.cancel()`."""
    report = cancel_at_every_step(program, setup=State, check=check, kind="task")
    points.append(report)


@pytest.mark.parametrize(
    "program", [parallel_tools, steering, a_child_agent], ids=lambda program: program.__name__
)
def test_cancelled_natively_once_more_during_clean_up(
    program: Program, points: list[CancelReport]
) -> None:
    report = cancel_at_every_step(program, setup=State, check=check, kind="twice", limit=100)
    points.append(report)
