"""Where a conversation was left, and what becomes of the calls that were cut off there, in words for a person."""

from collections.abc import Mapping, Sequence
from typing import Final

from tether import Agent, AssistantMessage, UserMessage
from tether.calls import CallFate, OpenCalls
from tether.cli.display import call_line, first_lines, said_line

__all__ = ()

_IN_WORDS: Final[Mapping[CallFate, str]] = {
    "run": "run now",
    "run again": "run again",
    "kept": "kept",
    "interrupted": "interrupted",
    "skipped": "not run",
}


def last_messages(agent: Agent) -> str:
    """Remind a person of where they were."""
    return "\n".join([f"({len(agent.messages)} messages; the last ones:)", *last_said(agent)])


def last_said(agent: Agent) -> Sequence[str]:
    """What was said last, as it stands on the screen, without what was attached; folded where it is long."""
    last = [
        said_line(message)
        if isinstance(message, UserMessage)
        else "\n".join(first_lines(message.text))
        for message in agent.messages
        if isinstance(message, UserMessage | AssistantMessage) and message.text
    ]
    return last[-2:]


def open_calls(agent: Agent) -> OpenCalls | None:
    """The calls that the next run of an agent takes up."""
    return None if agent.session is None else agent.session.open_calls


def taken_up(agent: Agent, left: OpenCalls, *, runs: bool) -> str:
    """Say what a run does with each call that was left open, a line for each.

    Args:
        agent: whose tools they call.
        left: the calls.
        runs: whether they may run; not where something new is said.
    """
    idempotent = {tool.name for tool in agent.tools if tool.idempotent}
    lines = ["(it was cut off in the middle of these calls:)"]
    for call in left.calls:
        fate = left.fate(call, idempotent=call.name in idempotent, runs=runs)
        lines.append(f"  {_IN_WORDS[fate]:11} {call_line(call.name, call.arguments)}")
    return "\n".join(lines)
