"""One function answers whatever a program does not decide: `choose(site, n)`, a number from 0 to n - 1.

0 is the tame answer. Every other answer is a deviation. The deviations of a run are its recording: what is kept,
shrunk and replayed. A site is named by what it follows, such as the third step of a task, and not by its place among
all choices, so that a deviation keeps its meaning where others are left out.

No I/O, no clock; chance comes from a seed.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from attrs import define, field

__all__ = ("Choices", "Decide", "Plan", "RandomDecisions", "from_plan", "parse_plan", "plan_text")

Decide: TypeAlias = Callable[[str, int], int]
"""Given a site and n, decides for a number from 0 to n - 1."""

Plan: TypeAlias = Mapping[str, int]
"""The deviations of a run: a number above 0 for each site that has one."""

_USUAL: Final = (0.0, 0.1, 0.5)
_RATES: Final[Mapping[str, Sequence[float]]] = {
    "calls": (0.4, 0.7, 0.95),
    "call": (0.3, 0.7),
    "arg": (0.1, 0.5),
    "reply": (0.0, 0.0, 0.1, 0.3),
    "delta": (0.0, 0.0, 0.03, 0.2),
    "tool": (0.0, 0.1, 0.3, 0.7),
    "drive": (0.0, 0.4, 0.8),
    "read": (0.0, 0.0, 0.02, 0.2),
    "listen": (0.0, 0.05, 0.3),
    "keep": (0.0, 0.0, 0.05, 0.2),
    "act": (0.0, 0.0, 0.003, 0.01, 0.04),
    "hold": (0.0, 0.02, 0.1, 0.3),
}
"""How often a choice of each kind deviates. Each run draws a rate of its own, so that runs differ in what they try."""


@define
class Choices:
    """The choices of one run.

    Args:
        decide: answers.
    """

    decide: Decide
    deviations: dict[str, int] = field(factory=dict[str, int], init=False)
    """The answers above 0, in the order in which they were given."""
    sizes: dict[str, int] = field(factory=dict[str, int], init=False)
    """How many answers there are at each of those sites."""
    told: dict[str, str] = field(factory=dict[str, str], init=False)
    """What they mean, in words."""
    asked: int = field(default=0, init=False)
    failure: BaseException | None = field(default=None, init=False)
    """What `decide` raised, or what is wrong with its answer."""
    _numbers: dict[str, int] = field(factory=dict[str, int], init=False)

    def choose(self, site: str, n: int, words: Sequence[str] = ()) -> int:
        """Answer at a site, which is asked about once in a run.

        Args:
            site: where; its first part, up to a dot, is the kind of choice.
            n: how many answers there are.
            words: says what each answer means.

        Returns:
            The answer; 0 where `decide` fails, once and from then on.
        """
        self.asked += 1
        try:
            answer = self.decide(site, n) if self.failure is None else 0
        except BaseException as error:  # noqa: ASYNC103, BLE001 - raised when the run is over
            self.failure = error
            return 0  # noqa: ASYNC104 - likewise
        if not answer:
            return 0
        if not 0 < answer < n:
            self.failure = ValueError(
                f"the answer at {site} must be from 0 to {n - 1}, not {answer!r}"
            )
            return 0
        self.deviations[site], self.sizes[site] = answer, n
        self.told[site] = words[answer] if answer < len(words) else f"{site} is {answer}"
        return answer

    def number(self, name: str) -> int:
        """Count from 0 on, for each name by itself."""
        number = self._numbers.get(name, 0)
        self._numbers[name] = number + 1
        return number


class RandomDecisions:
    """Decisions by chance: most are tame, and how many of each kind are not differs from run to run.

    Args:
        seed: the same seed gives the same decisions.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._rates: dict[str, float] = {}

    def __call__(self, site: str, n: int) -> int:
        """Decide."""
        kind, _, _ = site.partition(".")
        rate = self._rates.get(kind)
        if rate is None:
            rate = self._rates[kind] = self._random.choice(_RATES.get(kind, _USUAL))
        if not rate or (drawn := self._random.random()) >= rate or n < 2:
            return 0
        return 1 + int(drawn / rate * (n - 1))


def from_plan(plan: Plan) -> Decide:
    """Decide as a plan says, and tamely where it says nothing."""

    def decide(site: str, n: int) -> int:
        return min(plan.get(site, 0), n - 1)

    return decide


def plan_text(plan: Plan) -> str:
    """Write a plan, as `parse_plan` reads it."""
    return " ".join(f"{site}={answer}" for site, answer in plan.items())


def parse_plan(text: str) -> dict[str, int]:
    """Read a plan.

    Raises:
        ValueError: it is none; the text names the part that is wrong.
    """
    plan: dict[str, int] = {}
    for part in text.split():
        site, equals, answer = part.rpartition("=")
        if not (equals and site and answer.isdecimal()):
            raise ValueError(f"a deviation is written like calls.0=2, not {part!r}")
        plan[site] = int(answer)
    return plan
