"""Write a failing run under the simulation as a recording, with the last run that passed beside it."""

import os
import shlex
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from attrs import define, evolve, field, frozen

from tether import Agent, UsageError
from tether.replay import Recorder
from tether.replay.masking import Masking
from tether.replay.recording import is_recording
from tether.taps import RunBegun

__all__ = ("RecordedAgents", "Written", "checked_path", "write")


class _InMemory(Recorder):
    """Records the runs of one agent in memory."""

    __slots__ = ("_begun", "data")

    def __init__(self, begun: list["_InMemory"], clock: Callable[[], float]) -> None:
        self.data = BytesIO()
        self._begun = begun
        super().__init__(self.data.write, Masking(()), clock)

    def begun(self, run: RunBegun) -> None:
        """See `Tap.begun`."""
        if self not in self._begun:
            self._begun.append(self)
        super().begun(run)


@define(eq=False)
class RecordedAgents:
    """The recordings of one run of a program, one for each agent that has run."""

    _begun: list[_InMemory] = field(factory=list[_InMemory], init=False)

    def add(self, agent: Agent, clock: Callable[[], float]) -> None:
        """Record the runs of an agent.

        Args:
            agent: the agent.
            clock: seconds, for the times of the notes.
        """
        agent.tap(_InMemory(self._begun, clock))

    def files(self) -> Sequence[bytes]:
        """Give what was recorded, that of the agent that ran first in front."""
        for recorder in self._begun:
            recorder.flush()
        return [recorder.data.getvalue() for recorder in self._begun]


@frozen(kw_only=True)
class Written:
    """What was written of a failure."""

    failed: Path | None = None
    """The failing run."""
    passed: Path | None = None
    """The last run that passed."""
    lines: Sequence[str] = ()
    """How to look at them, or why there is nothing."""


def checked_path(record: str | os.PathLike[str] | None) -> Path | None:
    """Check where a recording is to be written.

    Raises:
        UsageError: it is no path, or something else than a recording is there.
    """
    if record is None:
        return None
    try:
        path = Path(record)
    except TypeError:
        raise UsageError(f"record must be the path of a file, not {record!r}") from None
    if path.exists() and not (is_recording(path) or _is_empty(path)):
        raise UsageError(f"record: {path} is there, and is no recording; name another file")
    return path


def _is_empty(path: Path) -> bool:
    return path.is_file() and not path.stat().st_size


def write(path: Path, failed: RecordedAgents, passed: RecordedAgents | None) -> Written:
    """Write a failing run and one that passed, in place of those of an earlier failure.

    Args:
        path: the file of the failing run. What passed is called `NAME.passed.jsonl`; of further agents of a program,
            a number stands in the name.
        failed: the failing run.
        passed: the one that passed, if there is one.

    Returns:
        What was written; nothing that goes wrong here is raised, as it would hide the failure.
    """
    if not failed.files():
        return Written(lines=["  nothing is recorded: no agent of the simulation has run"])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        further = _write_all(path, failed)
    except (OSError, UsageError) as error:
        return Written(lines=[f"  the recording could not be written: {error}"])
    recorded = Written(failed=path, lines=[_replay(path, further)])
    beside = _named(path, "passed")
    try:
        checked_path(beside)
        if passed is None or not passed.files():
            beside.unlink(missing_ok=True)
            _remove_further(beside, 2)
            return recorded
        _write_all(beside, passed)
    except (OSError, UsageError) as error:
        told = f"  the last run that passed could not be written: {error}"
        return evolve(recorded, lines=[*recorded.lines, told])
    compare = f"  against the last run that passed: {_command('diff', beside, path)}"
    return evolve(recorded, passed=beside, lines=[*recorded.lines, compare])


def _write_all(path: Path, agents: RecordedAgents) -> Sequence[Path]:
    """Write the file of each agent, and none besides; return those behind the first."""
    first, *others = agents.files()
    _replace(path, first)
    further = [_named(path, f"{number}") for number in range(2, len(others) + 2)]
    for other, data in zip(further, others, strict=True):
        _replace(other, data)
    _remove_further(path, len(others) + 2)
    return further


def _remove_further(path: Path, number: int) -> None:
    """Remove the recordings of further agents that an earlier failure has left, from a number on."""
    while is_recording(left := _named(path, f"{number}")):
        left.unlink()
        number += 1


def _replace(path: Path, data: bytes) -> None:
    checked_path(path)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _named(path: Path, part: str) -> Path:
    return path.with_name(f"{path.stem}.{part}{path.suffix}")


def _replay(path: Path, further: Sequence[Path]) -> str:
    also = f" (further agents: {', '.join(map(str, further))})" if further else ""
    return f"  recorded: {_command('replay', path)} --step{also}"


def _command(name: str, *paths: Path) -> str:
    return shlex.join(["tether", name, *map(str, paths)])
