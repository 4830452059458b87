"""A time limit for every reply and every tool call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from tether import Invocation, ModelError, ModelRequest, ProceedTool, ToolResult
from tether.hooks import AroundModel, AroundTool, ProceedModel
from tether.model import DeltaStream

__all__ = ("time_limit",)


def time_limit(seconds: float) -> tuple[AroundModel, AroundTool]:
    """Make hooks that stop each reply and each tool call that takes longer.

    Args:
        seconds: from the request to the end of the reply, and from a call to its result. The time that a person
            takes to approve a call does not count.

    Returns:
        One hook for `agent.around_model`, and one for `agent.around_tool`.
    """

    @asynccontextmanager
    async def limit_reply(
        request: ModelRequest, proceed: ProceedModel
    ) -> AsyncIterator[DeltaStream]:
        with anyio.move_on_after(seconds) as scope:
            async with proceed(request) as deltas:
                yield deltas
        if scope.cancelled_caught:
            raise ModelError(f"the reply took longer than {seconds:g} s", kind="timeout")

    async def limit_call(invocation: Invocation, proceed: ProceedTool) -> ToolResult:
        with anyio.CancelScope() as scope, invocation.context.limiting(scope, seconds):
            return await proceed(invocation)
        return ToolResult(f"It took longer than {seconds:g} s.", outcome="timeout")

    return limit_reply, limit_call
