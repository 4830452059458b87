"""The modes of a conversation: how much the agent may do without a question."""

from enum import Enum
from typing import Final

from attrs import define

__all__ = ()


class Mode(Enum):
    """How much the agent may do without a question. Rules that deny hold in each."""

    PLAN = "plan"
    ASK = "ask"
    EDITS = "edits"
    ALL = "all"

    @property
    def meaning(self) -> str:
        """What it means, in a line."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Mode.PLAN: "tools that read run, all others are denied",
    Mode.ASK: "tools that write files or run commands ask first, unless a rule allows the call",
    Mode.EDITS: "files are edited without a question; commands still ask",
    Mode.ALL: "everything runs without a question, except what a rule denies",
}


@define(eq=False)
class Modes:
    """The mode of a conversation, which a person may switch at any time, from any thread."""

    current: Mode = Mode.ASK

    def next(self) -> Mode:
        """Switch to the next mode, and return it."""
        modes = list(Mode)
        self.current = modes[(modes.index(self.current) + 1) % len(modes)]
        return self.current
