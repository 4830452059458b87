"""What a hook around a run may know of it. No I/O."""

from typing import TYPE_CHECKING, Any

from attrs import define, field, setters

from tether.limits import Spent
from tether.messages import Queued, Usage
from tether.model import Model
from tether.result import RunResult

if TYPE_CHECKING:
    from tether.hooks import Hooks

__all__ = ("RunContext",)


@define(kw_only=True, eq=False, on_setattr=setters.frozen)
class RunContext:
    """One run, as a hook at `around_run` sees it. Made for the run, and the same for all its hooks."""

    agent: str
    """The agent's name."""
    model: Model
    """The agent's model as the run begins; it may change from turn to turn."""
    system: str | None
    prompts: tuple[Queued, ...]
    """What the run begins with, usually one message; empty where it continues from the conversation."""
    conversation_id: str
    """The id of the first message of the conversation: the same in each run that continues it."""
    depth: int = 0
    """How many agents stand above this one: 0 unless it runs inside a tool call of another."""
    call_id: str | None = None
    """The id of the call that the run is part of, if it is."""
    session: Any = None
    """Where the conversation is kept (a `Session`), or None."""
    hooks: "Hooks"
    """The hooks of the agent. Those of a child agent are made for each call: what is added to them ends with it."""
    result: RunResult | None = field(default=None, init=False, on_setattr=setters.NO_OP)
    """How the run has ended; None before, and where it ends by an exception, which the hook then sees."""
    _spent: Spent = field(factory=Spent, alias="spent", repr=False)

    @property
    def usage(self) -> Usage:
        """The tokens spent so far, those of child agents included."""
        return self._spent.usage

    @property
    def cost(self) -> float:
        """The cost so far, in the currency of the prices; 0 without a price (see `Agent`)."""
        return self._spent.cost
