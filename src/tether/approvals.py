"""Whether a call may run is asked, say of a person. No I/O of its own.

Asking is advice around tools: each call is asked about in its own task, so that several may be asked about at once and
answered in any order, and nothing else waits. The time that a person thinks is no part of a tool's timeout, and a
cancellation ends the wait at once.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Literal, TypeAlias

from tether.hooks import AroundTool, Deny, Invocation, ProceedTool
from tether.tools import ToolResult

__all__ = ("Approve", "Verdict", "approval")

Verdict: TypeAlias = Literal["once", "always"] | Deny | bool
"""`once` or True lets the call run, `always` also those to come of the same tool; `Deny(reason)` or False do not."""

Approve: TypeAlias = Callable[[Invocation], Verdict | Awaitable[Verdict]]
"""Is asked about a call."""


def approval(ask: Approve, *, tools: Collection[str] | None = None) -> AroundTool:
    """Make advice around tools that asks before a call runs.

    Args:
        ask: plain or async. What it raises ends the run.
        tools: whose calls are asked about; all, if None.

    Returns:
        The advice, for `agent.around_tool`. It remembers for which tools the answer was `always`.
    """
    allowed: set[str] = set()

    async def approval(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        name = invocation.call.name
        if name not in allowed and (tools is None or name in tools):
            answer = ask(invocation)
            verdict = await answer if inspect.isawaitable(answer) else answer
            if verdict == "always":
                allowed.add(name)
            if isinstance(verdict, Deny) or verdict is False:
                reason = (
                    verdict.reason if isinstance(verdict, Deny) else "the user does not want it"
                )
                return ToolResult(f"This call was denied: {reason}", outcome="denied")
            if verdict not in {"once", "always", True}:
                raise TypeError(
                    f"approve must answer 'once', 'always', True, False or Deny(reason), not {verdict!r}"
                )
        return await proceed(invocation)

    return approval
