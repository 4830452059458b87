"""Carry a run out inside the hooks around it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import cast

from tether.hooks import Hook, RunContext, checked
from tether.result import RunResult

__all__ = ("hooks_around", "within_hooks")


def hooks_around(inherited: Sequence[Hook], own: Sequence[Hook]) -> Sequence[Hook]:
    """Put the hooks around one run in order, the outermost first; none is there twice.

    Args:
        inherited: those around the run that this one is part of, if it is.
        own: those of the run's own agent.
    """
    functions = [hook.function for hook in inherited]
    return (*inherited, *(hook for hook in own if hook.function not in functions))


async def within_hooks(
    hooks: Sequence[Hook], context: RunContext, carry_out: Callable[[], Awaitable[RunResult]]
) -> RunResult:
    """Enter the hooks, carry the run out, and leave them, all in this task.

    What the run raises passes through the hooks, and none of them can hold it back.

    Raises:
        TypeError: a hook has not returned a context manager.
        Exception: what the run or a hook raised.

    Cancellation:
        Inside a hook or the run; the hooks that were entered are left.
    """
    if not hooks:
        context.result = await carry_out()
        return context.result
    raised: list[BaseException] = []

    async def inside() -> RunResult:
        try:
            return await within_hooks(hooks[1:], context, carry_out)
        except BaseException as error:
            raised.append(error)
            raise

    answer: object = hooks[0].function(context)
    manager = checked(hooks[0], answer)
    try:
        if isinstance(manager, AbstractAsyncContextManager):
            async with manager:
                return await inside()
        else:
            with cast("AbstractContextManager[object]", manager):
                return await inside()
        raise raised.pop()
    finally:
        raised.clear()  # else the exception and this frame would refer to each other
