"""Go on with a conversation that was kept."""

from collections.abc import Sequence

from tether import Agent, Message, Session, ToolResultMessage
from tether.calls import OpenCalls

__all__ = ("adopt", "announced")


def adopt(session: Session, agent: Agent, owner: str) -> None:
    """Keep the conversation of an agent in a session from now on."""
    session.note("owner", {"name": owner})
    if not session.messages:
        for message in agent.messages:
            session.record(message)
    agent.session = session


def announced(messages: Sequence[Message], left: OpenCalls | None) -> Sequence[Message]:
    """The messages without the results that the next run announces."""
    if left is None:
        return messages
    open_ids = {call.id for call in left.calls}
    end = len(messages) - len(left.reply.tool_calls)
    results = [one for one in messages[end:] if isinstance(one, ToolResultMessage)]
    return [*messages[:end], *(one for one in results if one.call_id not in open_ids)]
