"""Approval of tool calls, by a person or by a program. No I/O of its own.

Approval is a hook around tools, which runs in the task of the call: several calls can wait for approval at the same
time, in any order, and the rest of the run goes on. The time that a person thinks is no part of a tool's timeout, and a
cancellation ends the wait at once.
"""

import reprlib
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Literal, TypeAlias

import anyio.to_thread

from tether._scopes.threads import run_in_thread
from tether.hooks import AroundTool, Deny, Invocation, ProceedTool, call_maybe_async
from tether.tools import ToolResult

__all__ = ("Approve", "Verdict", "approval", "asked_in_thread")

Verdict: TypeAlias = Literal["once", "always"] | Deny | bool
"""`once` or True lets the call run, `always` also those to come of the same tool; `Deny(reason)` or False do not."""

Approve: TypeAlias = Callable[[Invocation], Verdict | Awaitable[Verdict]]
"""Is asked about a call."""


def approval(ask: Approve, *, tools: Collection[str] | None = None) -> AroundTool:
    """Make an `around_tool` hook that asks before a call runs.

    Args:
        ask: plain or async. What it raises ends the run.
        tools: whose calls are asked about; all, if None.

    Returns:
        The hook, for `agent.around_tool`. It remembers for which tools the answer was `always`.
    """
    allowed: set[str] = set()

    async def approval(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        name = invocation.call.name
        if name not in allowed and (tools is None or name in tools):
            match await call_maybe_async(ask, invocation):
                case "always":
                    allowed.add(name)
                case "once" | True:
                    pass
                case False:
                    return Deny("the user does not want it").result()
                case Deny() as denial:
                    return denial.result()
                case other:
                    raise TypeError(
                        "approve must answer 'once', 'always', True, False or Deny(reason), "
                        f"not {reprlib.repr(other)}"
                    )
        return await proceed(invocation)

    return approval


async def asked_in_thread(ask: Callable[[str], str], question: str) -> str:
    """Ask with a plain function, which waits for a person in a worker thread.

    Args:
        ask: puts the question and returns the answer, such as `input`.
        question: the question.

    Returns:
        The answer.

    Cancellation:
        Stops waiting, and leaves the thread; the process can end without it.
    """
    limiter = anyio.to_thread.current_default_thread_limiter()
    return await run_in_thread(partial(ask, question), limiter=limiter)
