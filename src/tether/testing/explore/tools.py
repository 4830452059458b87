"""Tools that fail, hang, report too much, swallow a cancellation or report too late, where that is chosen."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint
from attrs import evolve

from tether import Tool, ToolContext
from tether.testing.explore.choices import Choices

__all__ = ("SimulatedError", "simulated_tool")

Start: TypeAlias = Callable[[Callable[..., Coroutine[Any, Any, Any]], Any], object]

_TOOL: Final = (
    "",
    "takes a while",
    "returns a minute late",
    "fails",
    "fails once it has done its work",
    "hangs",
    "reports eight times",
    "swallows its cancellation",
    "takes 3 s to clean up when it is cancelled",
    "reports after its end",
    "hangs, and then takes a minute to clean up",
)
_CONTEXT: Final = "simulated_context"
_HANGING: Final = 20_000.0
"""Seconds, far beyond any timeout; not without end, as a tool may have no timeout."""


class SimulatedError(Exception):
    """What fails because that was chosen: a tool, a store, the block of a consumer."""


def simulated_tool(tool: Tool, choices: Choices, start: Start) -> Tool:
    """Make a tool answer to a simulation. A plain function is called in the event loop, as no thread would answer.

    Args:
        tool: the tool.
        choices: answer how each call goes.
        start: starts a task that outlives the call.
    """
    wanted = tool.context_parameter

    async def run(**given: Any) -> Any:
        context: ToolContext[Any] = given[wanted] if wanted else given.pop(_CONTEXT)
        number = choices.number(f"tool.{tool.name}")
        words = [f"{tool.name} {word}" for word in _TOOL]
        how = choices.choose(f"tool.{tool.name}.{number}", len(_TOOL), words)

        async def work() -> Any:
            result = tool.function(**given)
            while inspect.isawaitable(result):
                result = await result
            return result

        return await _performed(how, work, context, start)

    return evolve(tool, function=run, is_async=True, context_parameter=wanted or _CONTEXT)


async def _performed(
    how: int,
    work: Callable[[], Awaitable[Any]],
    context: ToolContext[Any],
    start: Start,
) -> Any:
    match how:
        case 1:
            await anyio.sleep(1)
        case 3:
            await checkpoint()
            raise SimulatedError("the tool fails")
        case 5:
            await anyio.sleep(_HANGING)
        case 6:
            for part in range(8):
                await context.update(f"part {part}")
        case 7:
            return await _swallowed()
        case 8 | 10:
            await _cleaned_up(1 if how == 8 else 1000, 3 if how == 8 else 60)
        case _:
            pass
    result = await work()
    match how:
        case 2:
            await anyio.sleep(60)
        case 4:
            raise SimulatedError("the tool fails at its end")
        case 9:
            start(_report_late, context)
        case _:
            pass
    return result


async def _swallowed() -> str:
    with suppress(BaseException):  # as a tool that is badly written
        await anyio.sleep(1000)
    return "swallowed"


async def _cleaned_up(seconds: float, clean_up: float) -> None:
    try:
        await anyio.sleep(seconds)
    finally:
        with anyio.move_on_after(clean_up, shield=True):
            await anyio.sleep_forever()


async def _report_late(context: ToolContext[Any]) -> None:
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        for part in range(6):
            await context.update(f"late {part}")
            await checkpoint()
