"""One request, answered while it is shown."""

import sys
from collections.abc import Sequence
from typing import Any, Final

import anyio

from tether import Agent, AgentEnd, ModelError, UserMessage
from tether.cli.display import Display
from tether.cli.exit_codes import ANSWERED, FAILED, LIMIT_REACHED
from tether.cli.extensions import App
from tether.cli.mcp_servers import connected_servers
from tether.cli.permission.asking import ask_at_terminal
from tether.cli.question import at_terminal
from tether.cli.signals import INTERRUPTED, interrupted
from tether.cli.streams import warn

__all__ = ()

SERVERS_HAVE: Final = 15.0
"""Seconds that a request waits for MCP servers to answer."""


async def answer(app: App, servers: Sequence[Any], request: UserMessage, display: Display) -> int:
    """Answer a request.

    Args:
        app: the agent.
        servers: the MCP servers whose tools it has.
        request: what the person said.
        display: shows what happens.

    Returns:
        The exit code.

    Cancellation:
        Cancels the run, waits until its tools have cleaned up, and passes on. The first Ctrl-C cancels the run; a
        second one interrupts the process.
    """
    ask = ask_at_terminal if at_terminal() else None
    async with connected_servers(app, servers, ask, wait=SERVERS_HAVE):
        return await _interruptible(app.agent, request, display)


async def _interruptible(agent: Agent, request: UserMessage, display: Display) -> int:
    code = ANSWERED
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_interrupt, tasks.cancel_scope)
        code = INTERRUPTED
        code = await _follow(agent, request, display)
        tasks.cancel_scope.cancel()
    return code


async def _cancel_on_interrupt(scope: anyio.CancelScope) -> None:
    await interrupted()
    scope.cancel()


async def _follow(agent: Agent, request: UserMessage, display: Display) -> int:
    code = ANSWERED
    try:
        async with agent.run(request) as run:
            async for event in run:
                display.show(event)
                if isinstance(event, AgentEnd) and event.stop_reason == "limit":
                    code = LIMIT_REACHED
    except ModelError as error:
        sys.stdout.flush()
        warn(str(error))
        return FAILED
    return code
