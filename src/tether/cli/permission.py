"""Ask a person before a tool changes anything."""

import sys
from collections.abc import Collection

import anyio

from tether import Deny
from tether.advice.approval import Ask, approval_by_person
from tether.approvals import approval
from tether.cli.display import printable
from tether.hooks import AroundTool

__all__ = ()


def permission(tools: Collection[str], ask: Ask | None) -> AroundTool:
    """Make the hook around tools that decides which calls may run.

    Args:
        tools: the names of the tools to ask about.
        ask: puts a question to the person; None where there is nobody to ask, which denies the calls.

    Returns:
        The hook.
    """
    if ask is not None:
        return approval_by_person(tools=tools, ask=ask)
    reason = "there is no terminal to ask for permission at; the option --yes allows the call"
    return approval(lambda _: Deny(reason), tools=tools)


async def ask_at_terminal(question: str) -> str:
    """Ask, and wait for a line without a thread.

    Cancellation:
        Stops waiting at once; the question stays on the screen.
    """
    print(printable(question), end="", file=sys.stderr, flush=True)
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline()
