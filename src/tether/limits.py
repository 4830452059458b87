"""When a run must stop: turns, tool calls, tokens, cost, seconds.

No I/O: the engine counts what was spent, and watches the clock for `seconds`.
"""

from typing import Final, Literal, TypeAlias

from attrs import define, field, frozen

from tether._given import field_check, number, optional, seconds, whole_number
from tether.messages import Usage

__all__ = ("LimitName", "Limits", "Spent")

LimitName: TypeAlias = Literal[
    "turns", "tool_calls", "input_tokens", "output_tokens", "cost", "seconds"
]
"""The limits, as the fields of `Limits` are called."""


_COUNT: Final = field_check(optional(whole_number()))
_AMOUNT: Final = field_check(optional(number))
_TIME: Final = field_check(optional(seconds))


@frozen(kw_only=True)
class Limits:
    """What a run may spend; None means no limit.

    The run ends in order when a limit is reached and more would be needed: its transcript is valid, its
    `stop_reason` is `limit`, and it can be continued.

    Raises:
        UsageError: a limit is not a number, or a negative one.
    """

    turns: int | None = field(default=None, validator=_COUNT)
    tool_calls: int | None = field(default=None, validator=_COUNT)
    input_tokens: int | None = field(default=None, validator=_COUNT)
    output_tokens: int | None = field(default=None, validator=_COUNT)
    cost: float | None = field(default=None, validator=_AMOUNT)
    """In the currency of the prices, as a rule US dollars."""
    seconds: float | None = field(default=None, validator=_TIME)
    """Wall time; what is in flight then is interrupted."""

    def reached(self, spent: "Spent") -> LimitName | None:
        """Name the first limit that leaves no room for another turn, or None.

        Tool calls are not among them: the model may always say what it made of their results.
        """
        amounts: dict[LimitName, tuple[float | None, float]] = {
            "turns": (self.turns, spent.turns),
            "input_tokens": (self.input_tokens, spent.usage.input_tokens),
            "output_tokens": (self.output_tokens, spent.usage.output_tokens),
            "cost": (self.cost, spent.cost),
        }
        for name, (limit, amount) in amounts.items():
            if limit is not None and amount >= limit:
                return name
        return None

    def calls_left(self, spent: "Spent") -> int | None:
        """How many more tool calls may run, or None for any number."""
        return None if self.tool_calls is None else max(0, self.tool_calls - spent.tool_calls)


@define(kw_only=True)
class Spent:
    """What a run has spent so far, that of its child agents included; sums and differences as of `Usage`."""

    turns: int = 0
    tool_calls: int = 0
    usage: Usage = field(factory=Usage)
    cost: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            turns=self.turns + other.turns,
            tool_calls=self.tool_calls + other.tool_calls,
            usage=self.usage + other.usage,
            cost=self.cost + other.cost,
        )

    def __sub__(self, earlier: "Spent") -> "Spent":
        return Spent(
            turns=self.turns - earlier.turns,
            tool_calls=self.tool_calls - earlier.tool_calls,
            usage=self.usage - earlier.usage,
            cost=self.cost - earlier.cost,
        )
