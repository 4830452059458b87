"""Which of the tasks that are ready goes next, and what happens to the program before it does.

A scheduler works in rounds: it takes the tasks that are ready, and has each take a step. Here each may be held back: to
the end of the round, or for some rounds. Any order of steps can be had so, and few deviations make an unusual one.

No I/O, no clock, no chance.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from tether.testing.explore.choices import Choices

__all__ = ("END_OF_TIME", "Schedule")

T = TypeVar("T", bound=Hashable)

_ROUNDS: Final = (0, 0, 1, 3, 12)
"""For how many rounds each answer holds a task back."""

_MOST_ROUNDS: Final = 30_000
"""Far more than a program takes that comes to its end."""
END_OF_TIME: Final = 1_000_000.0
"""Seconds of the virtual clock; likewise."""


class Schedule(Generic[T]):
    """The order of steps in one run.

    Args:
        choices: answer.
        act: called before a task's step with the site of that step.
        endless: called when the program goes on for too long.
    """

    def __init__(
        self, choices: Choices, act: Callable[[str], object], endless: Callable[[], object]
    ) -> None:
        self._choices = choices
        self._act = act
        self._endless = endless
        self._names: dict[T, str] = {}
        self._steps: dict[T, int] = {}
        self._held: dict[T, int] = {}
        self._rounds = 0
        self.log: list[str] = []
        """The steps that were taken, in order."""

    def arrange(self, ready: Sequence[T], name_of: Callable[[T], str]) -> tuple[list[T], list[T]]:
        """Order one round.

        Args:
            ready: the tasks that are ready, in an order that does not depend on chance.
            name_of: gives what a task is called.

        Returns:
            The tasks that take a step in this round, in order, and those that are ready in the next one.
        """
        self._rounds += 1
        if self._rounds % _MOST_ROUNDS == 0:
            self._endless()
        if len(ready) == 1:
            self._step(ready[0], name_of)
            return [*ready], []
        now: list[T] = []
        last: list[T] = []
        later: list[T] = []
        for task in ready:
            rounds = self._held.pop(task, None)
            if rounds is None:
                rounds = self._hold(self._step(task, name_of))
            if rounds > 0:
                self._held[task] = rounds - 1
                later.append(task)
            else:
                (last if rounds else now).append(task)
        if not (now or last):
            self._held.clear()
            return later, []
        return [*now, *last], later

    def _step(self, task: T, name_of: Callable[[T], str]) -> str:
        self._held.pop(task, None)
        name = self._names.get(task)
        if name is None:
            name = _short_name(name_of(task))
            name = self._names[task] = f"{name}.{self._choices.number(name)}"
        step = self._steps[task] = self._steps.get(task, 0) + 1
        site = f"{name}@{step}"
        self.log.append(site)
        self._act(site)
        return site

    def _hold(self, site: str) -> int:
        """Say for how many rounds a task is held back; -1 for until the others of this round have had their turn."""
        answer = self._choices.choose(f"hold.{site}", len(_ROUNDS))
        if not answer:
            return 0
        task, _, step = site.partition("@")
        rounds = _ROUNDS[answer]
        how_long = f"for {rounds} rounds" if rounds else "until the others have gone"
        self._choices.told[f"hold.{site}"] = f"step {step} of {task} is held back {how_long}"
        return rounds or -1


def _short_name(name: str) -> str:
    """Shorten the name of a task's function, as asyncio or trio gives it, to what tells it from others."""
    *_, local = name.rpartition("<locals>.")
    parts = local.split(".")
    first = -2 if len(parts) > 1 and parts[-2].lstrip("_")[:1].isupper() else -1
    return re.sub(r"[^\w.-]", "_", ".".join(parts[first:]))
