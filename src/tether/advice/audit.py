"""What was said and done, line by line."""

import inspect
from collections.abc import Awaitable, Callable

from tether import (
    AgentEnd,
    Event,
    MessageEnd,
    ModelRetry,
    ToolExecutionEnd,
    ToolExecutionStart,
    to_json,
)

__all__ = ("audit",)

_TOLD = (MessageEnd, ToolExecutionStart, ToolExecutionEnd, ModelRetry, AgentEnd)


def audit(write: Callable[[bytes], object]) -> Callable[[Event], Awaitable[None]]:
    """Make a hook that writes every message, call, retry and end as one line of JSON, before anybody is told.

    Args:
        write: plain or async, such as the `write` of a binary file. Where it fails, the run does.

    Returns:
        The hook, for `on_event`.
    """

    async def hook(event: Event) -> None:
        if isinstance(event, _TOLD):
            written = write(to_json(event) + b"\n")
            if inspect.isawaitable(written):
                await written

    return hook
