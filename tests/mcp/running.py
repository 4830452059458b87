"""Calls of tools, as a run makes them."""

from typing import Any

from tether import Agent, ToolExecutionEnd, ToolResultMessage
from tether.mcp import Servers
from tether.testing import ScriptedModel, call

__all__ = ("called", "result_of")


async def called(
    servers: Servers, *calls: tuple[str, dict[str, Any]], **settings: Any
) -> list[ToolResultMessage]:
    """Have a run make calls at once, and return their results, in order."""
    model = ScriptedModel([call(name, **arguments) for name, arguments in calls], "Done.")
    agent = Agent(model, tools=servers.tools, **settings)
    async with agent.run("Go.") as run:
        found = {
            event.call_id: event.result
            async for event in run
            if isinstance(event, ToolExecutionEnd)
        }
    return [found[id] for id in sorted(found, key=lambda id: int(id.rpartition("_")[2]))]


async def result_of(servers: Servers, name: str, **arguments: Any) -> ToolResultMessage:
    [result] = await called(servers, (name, arguments))
    return result
