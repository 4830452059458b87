"""Ask before a tool changes anything."""

import sys
from collections.abc import Awaitable, Callable, Collection

import anyio

from tether import Deny, Invocation

__all__ = ("ask_at_terminal", "refuse")

Check = Callable[[Invocation], Awaitable[Deny | None]]


def refuse(changing: Collection[str]) -> Check:
    """Refuse tools by their names, because there is nobody to ask.

    Args:
        changing: the names.

    Returns:
        A `before_tool` hook.
    """

    async def check(invocation: Invocation) -> Deny | None:
        if invocation.tool.name not in changing:
            return None
        return Deny("there is no terminal to ask for permission at; --yes would have given it")

    return check


def ask_at_terminal(changing: Collection[str]) -> Check:
    """Ask before tools of these names run: yes, no, or always.

    Args:
        changing: the names.

    Returns:
        A `before_tool` hook. It waits without holding up anything else, and asks one question at a time.
    """
    allowed: set[str] = set()
    asking = anyio.Lock()

    async def check(invocation: Invocation) -> Deny | None:
        name = invocation.tool.name
        if name not in changing:
            return None
        async with asking:
            if name in allowed:
                return None
            answer = await _ask(
                f"{name} {dict(invocation.call.arguments)!r}\nrun it? [y/N/always] "
            )
        if answer in {"a", "always"}:
            allowed.add(name)
        return None if answer in {"y", "yes", "a", "always"} else Deny("the user said no")

    return check


async def _ask(question: str) -> str:
    """Ask, and wait for a line without a thread, so that Ctrl-C ends the waiting."""
    print(question, end="", file=sys.stderr, flush=True)
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline().strip().lower()
