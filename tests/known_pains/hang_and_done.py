"""A tool that hangs, one that is done, and the results of an agent's calls."""

import anyio

from tether import Agent, ToolResultMessage, tool

GUARD = 10


@tool
async def hang() -> None:
    """Hang."""
    await anyio.sleep_forever()


@tool
async def done() -> str:
    """Be done."""
    return "real"


def results(agent: Agent) -> list[ToolResultMessage]:
    return [message for message in agent.messages if isinstance(message, ToolResultMessage)]
