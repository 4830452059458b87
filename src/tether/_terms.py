"""The terms of one run: what was asked for it alone, and for the rest the configuration of its agent as it stands."""

from typing import Any

from attrs import field, frozen

from tether._engine.inbox import optional_message
from tether._engine.output import Output
from tether._engine.turn_settings import TurnSettings
from tether._given import field_check, instance_of, number, optional, whole_number
from tether.configurable import Configurable
from tether.limits import Limits, Spent
from tether.messages import AssistantMessage, Queued
from tether.models.knowledge import cost_of, require_price
from tether.pending import WhenBusy, check_when_busy
from tether.tools import ToolContext

__all__ = ("Asked", "Terms")


@frozen(eq=False, repr=False)
class Asked:
    """What one run is asked for. Made by the methods of `Agent`, and by what runs agents elsewhere."""

    prompt: Queued | None = field(converter=optional_message)
    output: Any = None
    output_attempts: int = field(default=3, validator=field_check(whole_number(1)))
    deps: Any = None
    limits: Limits | None = field(
        default=None, validator=field_check(optional(instance_of(Limits)))
    )
    when_busy: WhenBusy = "raise"
    inside: ToolContext[Any] | None = None
    """The call that the run is part of, if it is."""
    spent: Spent | None = None
    """Where it counts what it spends, together with others; None for by itself."""
    counts_cost: bool = False
    """Whether somebody else wants to know its cost."""

    def __attrs_post_init__(self) -> None:
        check_when_busy(self.when_busy)


@frozen(eq=False, repr=False)
class Terms:
    """What a run goes by. Each part is looked up when it is needed, as the agent may be changed while the run goes."""

    agent: Configurable
    asked: Asked
    output: Output | None

    def limits(self) -> Limits:
        """What the run may spend."""
        return self.agent.limits if self.asked.limits is None else self.asked.limits

    def settings(self) -> TurnSettings:
        """What a turn works with that begins now.

        Raises:
            UsageError: costs count, and the price of the model is not known.
        """
        self.require_price()
        agent = self.agent
        settings = TurnSettings(
            model=agent.model,
            system=agent.system,
            tools={tool.name: tool for tool in agent.tools},
            options=agent.options,
            deps=agent.deps if self.asked.deps is None else self.asked.deps,
            sequential=agent.sequential,
            tool_timeout=agent.tool_timeout,
            price=agent.price,
        )
        return settings if self.output is None else self.output.settings(settings)

    def price(self, reply: AssistantMessage) -> float:
        """What a reply costs.

        Raises:
            UsageError: the agent's own function gives no price.
        """
        if self.agent.price is not None:
            return number("what price returns", self.agent.price(reply))
        # Looking it up takes a while the first time, so that is done only where it counts.
        return cost_of(reply, self.agent.model) if self._costs_count() else 0.0

    def require_price(self) -> None:
        """Refuse a model whose price is not known, where costs count.

        Raises:
            UsageError: that is so.
        """
        if self._costs_count():
            require_price(self.agent.model)

    def _costs_count(self) -> bool:
        """Say whether a reply has to be priced by what is known of its model."""
        return self.agent.price is None and (
            self.asked.counts_cost or self.limits().cost is not None
        )
