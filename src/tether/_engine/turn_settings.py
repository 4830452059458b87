"""What one turn of a run works with: a frozen picture of the agent as it is when the turn begins.

No I/O.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

from tether.messages import AssistantMessage
from tether.model import Model, ModelOptions
from tether.tools import Tool

__all__ = ("DEFAULT_TOOL_TIMEOUT", "TurnSettings")

DEFAULT_TOOL_TIMEOUT: Final = 600.0
"""Seconds; long enough for a build, short enough that a hung tool does not hang its run for ever."""


@frozen(kw_only=True, eq=False, repr=False)
class TurnSettings:
    """The parts of an agent that may change from turn to turn."""

    model: Model
    system: str | None = None
    tools: Mapping[str, Tool] = field(factory=dict)
    """By name."""
    options: ModelOptions = field(factory=ModelOptions)
    deps: Any = None
    sequential: bool = False
    """Run the calls of a reply one after the other."""
    tool_timeout: float = DEFAULT_TOOL_TIMEOUT
    """Seconds, for tools that name no timeout of their own; `math.inf` for none."""

    price: Callable[[AssistantMessage], float] | None = None
    """What a reply costs; None where nobody has said how to count."""

    def timeout_of(self, tool: Tool) -> float:
        """Seconds a tool may run; infinite for no deadline."""
        timeout = self.tool_timeout if tool.timeout is None else tool.timeout
        return timeout if timeout > 0 else math.inf
