"""Make a plan smaller while it still fails: leave deviations out, and make the others less."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attrs import define, field

from tether.testing.explore.choices import Plan
from tether.testing.explore.trial import Outcome

__all__ = ("Shrinker",)

_IN_ORDER: Final = ("hold", "delta", "read", "listen", "arg", "text", "think")
"""Kinds of deviations that are tried to be left out all at once: most failures need none of them."""
_MOST_EXCHANGED: Final = 6
"""With more deviations than these there are too many pairs."""
_MOST_OTHERS: Final = 6


@define
class Shrinker:
    """Looks for a small plan.

    Args:
        play: runs a plan.
        found: the run that failed.
        tries: how many runs it may take.
    """

    play: Callable[[Plan], Outcome]
    found: Outcome
    tries: int
    passed: Outcome | None = field(default=None, init=False)
    """Of the runs that passed, the last of those that differ least from the one that fails."""
    runs: int = field(default=0, init=False)
    _tried: set[frozenset[tuple[str, int]]] = field(
        factory=set[frozenset[tuple[str, int]]], init=False
    )

    def shrink(self) -> Outcome:
        """Shrink.

        Returns:
            The smallest failing run that was found. With none of its deviations left out it passes, or fails otherwise,
            if there were tries enough.
        """
        self._leave_out_kinds()
        before: Mapping[str, int] | None = None
        while before != self.found.deviations and self.runs < self.tries:
            before = dict(self.found.deviations)
            self._leave_out()
            self._make_less()
            self._exchange()
        return self.found

    def _fails(self, plan: Plan) -> bool:
        """Run a plan, and take over what it does where that fails alike."""
        key = frozenset(plan.items())
        if key in self._tried or self.runs >= self.tries:
            return False
        self._tried.add(key)
        self.runs += 1
        outcome = self.play(plan)
        if outcome.fault is None:
            if self.passed is None or self._distance(outcome) <= self._distance(self.passed):
                self.passed = outcome
            return False
        wanted = self.found.fault
        if wanted is None or outcome.fault.kind != wanted.kind:
            return False
        if _size(outcome.deviations) > _size(self.found.deviations):
            return False
        self.found = outcome
        return True

    def _distance(self, other: Outcome) -> int:
        return len({*self.found.deviations.items()} ^ {*other.deviations.items()})

    def _leave_out_kinds(self) -> None:
        for kind in _IN_ORDER:
            plan = self.found.deviations
            rest = {site: n for site, n in plan.items() if site.partition(".")[0] != kind}
            if len(rest) < len(plan):
                self._fails(rest)

    def _leave_out(self) -> None:
        """Leave out half of the deviations, then quarters, and so on to single ones."""
        width = max(1, len(self.found.deviations) // 2)
        while width:
            start = 0
            while start < len(sites := [*self.found.deviations]):
                out = {*sites[start : start + width]}
                rest = {s: n for s, n in self.found.deviations.items() if s not in out}
                if not self._fails(rest):
                    start += width
            width //= 2

    def _make_less(self) -> None:
        for site in [*self.found.deviations]:
            for less in _below(self.found.deviations.get(site, 0)):
                if self._fails({**self.found.deviations, site: less}):
                    break

    def _exchange(self) -> None:
        """Leave one deviation out, and change another: it may do the work of both."""
        if len(self.found.deviations) > _MOST_EXCHANGED:
            return
        for out in [*self.found.deviations]:
            rest = {s: n for s, n in self.found.deviations.items() if s != out}
            changed = (
                {**rest, site: other}
                for site, answer in rest.items()
                for other in range(1, min(self.found.sizes[site], _MOST_OTHERS))
                if other != answer
            )
            if out in self.found.deviations:
                any(self._fails(plan) for plan in changed)


def _below(number: int) -> Sequence[int]:
    return range(1, number)


def _size(plan: Plan) -> tuple[int, int]:
    return len(plan), sum(plan.values())
