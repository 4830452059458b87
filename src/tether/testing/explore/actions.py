"""What people do to a run while it goes, at any step of any task. None of it waits."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tether import UsageError
from tether.testing.explore.choices import Choices

if TYPE_CHECKING:
    from tether.testing.explore.driving import Drive

__all__ = ("act",)

_ACTS: Final = (
    "",
    "somebody steers the run",
    "somebody says something and interrupts the run",
    "somebody says something for later",
    "somebody interrupts the run",
    "somebody aborts the run",
    "somebody cancels the first running call",
    "somebody cancels the last running call",
    "somebody takes back what waits",
    "the drive is cancelled",
)


def act(choices: Choices, step: str, drive: "Drive") -> None:
    """Do something before a step, if that is chosen.

    Args:
        choices: answer.
        step: the site of the step.
        drive: what it is done to.
    """
    site = f"act.{step}"
    if answer := choices.choose(site, len(_ACTS), _ACTS):
        choices.told[site] = f"{_ACTS[answer]} before {step}"
        _perform(answer, drive)


def _perform(answer: int, drive: "Drive") -> None:
    agent, run = drive.cast.agent, drive.run
    text = f"message {len(drive.said)}"
    match answer:
        case 1:
            drive.said.append(agent.steer(text))
        case 2:
            drive.said.append(agent.steer(text, interrupt=True))
        case 3:
            drive.said.append(agent.follow_up(text))
        case 4 if run is not None:
            run.interrupt()
        case 5:
            agent.abort()
        case 6 | 7 if run is not None and (running := run.running_tools):
            with suppress(UsageError):
                run.cancel_tool(running[0 if answer == 6 else -1])
        case 8:
            drive.taken_back += agent.clear_queues()
        case 9 if drive.cancel is not None:
            drive.cancelled = True
            drive.cancel()
        case _:
            pass
