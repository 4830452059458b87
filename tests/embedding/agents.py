"""The agent that the programs of this folder embed: what it does depends on what it is asked."""

from tether import Agent, ModelRequest, UserMessage
from tether.testing import Pause, Reply, ScriptedModel, call
from tether.toolbox.coding import changing_tools

__all__ = ("new_agent",)

PROCESSES = "sleep 1000 & echo $$ $!; wait"
"""Prints the ids of two processes that take for ever."""


def new_agent() -> Agent:
    """Make an agent that greets, thinks for ever at `think`, and has a tool run processes for ever at `work`.

    At `say and work` it says a word before that.
    """
    return Agent(ScriptedModel(*[_answer] * 100), tools=changing_tools("."))


def _answer(request: ModelRequest) -> Reply:
    last = request.messages[-1]
    match last.text if isinstance(last, UserMessage) else "":
        case "think":
            return ["Hm", Pause()]
        case "work":
            return call("run_command", command=PROCESSES)
        case "say and work":
            return ["Hm", call("run_command", command=PROCESSES)]
        case _:
            return "Hello, browser."
