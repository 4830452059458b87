"""What a mode and the rules of a person say of a call."""

from typing import Final, Literal, TypeAlias

from attrs import field, frozen

from tether import Deny, Tool, ToolCall
from tether.cli.permission.kept_rules import KeptRules
from tether.cli.permission.modes import Mode, Modes

__all__ = ()

Decided: TypeAlias = Literal["run", "ask"] | Deny

_AGENTS: Final = frozenset({"tether.agent", "tether.cli.context.sub_agents"})
"""The modules of functions that run an agent inside a tool."""
_PLANNING: Final = Deny(
    "in plan mode only tools that read run; describe what you would do, until the person leaves that mode"
)


@frozen
class Policy:
    """A mode, and rules."""

    modes: Modes = field(factory=Modes)
    rules: KeptRules = field(factory=KeptRules)
    waiting: set[str] = field(factory=set)
    """The ids of the calls that wait for the person, also those whose question has not come yet."""

    def decide(self, call: ToolCall, tool: Tool, *, is_asked_about: bool) -> Decided:
        """Decide about a call.

        Args:
            call: the call.
            tool: its tool.
            is_asked_about: whether its tool is one that is asked about.
        """
        ruling = self.rules.all.decide(call)
        decision = None if ruling is None else ruling.decision
        if ruling is not None and ruling.decision == "deny":
            return Deny(f"the rule `{ruling.rule}` forbids it")
        match self.modes.current:
            case Mode.PLAN if not _only_reads(tool):
                return _PLANNING
            case Mode.ALL:
                return "ask" if ruling is not None and ruling.is_uncertain else "run"
            case Mode.EDITS if decision is None and tool.kind == "edit":
                return "run"
            case _ if decision is not None:
                return "ask" if decision == "ask" else "run"
            case _:
                return "ask" if is_asked_about else "run"


def _only_reads(tool: Tool) -> bool:
    """Say whether a tool changes nothing; the calls that an agent in a tool makes are decided about one by one."""
    return tool.read_only or tool.kind == "think" or tool.function.__module__ in _AGENTS
