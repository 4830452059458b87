"""One request, answered while it is shown."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
from attrs import frozen

from tether import Agent, AgentEnd, ModelError, OutputError, UserMessage
from tether.cli.display import Display
from tether.cli.door import Door
from tether.cli.exit_codes import ANSWERED, FAILED, LIMIT_REACHED
from tether.cli.extensions import App
from tether.cli.mcp_servers import connected_servers
from tether.cli.permission.asking import ask_at_terminal
from tether.cli.question import at_terminal
from tether.cli.signals import INTERRUPTED, interrupted
from tether.cli.streams import warn
from tether.cli.wording import explained

__all__ = ()

SERVERS_HAVE: Final = 15.0
"""Seconds that a request waits for MCP servers to answer."""


@frozen
class Asked:
    """A request, and what is to come of it."""

    message: UserMessage | None
    """None to go on with what was cut off."""
    schema: Mapping[str, Any] | None
    """The JSON Schema of the result; None for a reply in words."""
    out: Door
    """Where a result goes, as JSON."""


async def answer(app: App, servers: Sequence[Any], asked: Asked, display: Display) -> int:
    """Answer a request.

    Args:
        app: the agent.
        servers: the MCP servers whose tools it has.
        asked: what the person said.
        display: shows what happens.

    Returns:
        The exit code.

    Cancellation:
        Cancels the run, waits until its tools have cleaned up, and passes on. The first Ctrl-C cancels the run; a
        second one interrupts the process.
    """
    ask = ask_at_terminal if at_terminal() else None
    async with connected_servers(app, servers, ask, wait=SERVERS_HAVE):
        return await _interruptible(app.agent, asked, display)


async def _interruptible(agent: Agent, asked: Asked, display: Display) -> int:
    code = ANSWERED
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_interrupt, tasks.cancel_scope)
        code = INTERRUPTED
        code = await _follow(agent, asked, display)
        tasks.cancel_scope.cancel()
    return code


async def _cancel_on_interrupt(scope: anyio.CancelScope) -> None:
    await interrupted()
    scope.cancel()


async def _follow(agent: Agent, asked: Asked, display: Display) -> int:
    code = ANSWERED
    try:
        async with agent.run(asked.message, output=asked.schema) as run:
            async for event in run:
                display.show(event)
                if isinstance(event, AgentEnd) and event.stop_reason == "limit":
                    code = LIMIT_REACHED
            if asked.schema is not None and code == ANSWERED:
                result = (await run.result()).output
                asked.out.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    except (ModelError, OutputError) as error:
        sys.stdout.flush()
        warn(explained(error))
        return FAILED
    finally:
        display.stop()
    return code
