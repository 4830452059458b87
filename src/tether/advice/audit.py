"""A log of every message, call, approval, retry and end, as lines of JSON."""

import inspect
from collections.abc import Awaitable, Callable

from tether import (
    AgentEnd,
    ApprovalAnswered,
    Event,
    MessageEnd,
    ModelRetry,
    ToolExecutionEnd,
    ToolExecutionStart,
    to_json,
)

__all__ = ("audit",)

_LOGGED = (
    MessageEnd,
    ToolExecutionStart,
    ApprovalAnswered,
    ToolExecutionEnd,
    ModelRetry,
    AgentEnd,
)


def audit(write: Callable[[bytes], object]) -> Callable[[Event], Awaitable[None]]:
    """Make a hook that writes every message, call, approval, retry and end as a line of JSON, before consumers get it.

    Args:
        write: plain or async, such as the `write` of a binary file. If it raises, the run fails.

    Returns:
        The hook, for `on_event`.
    """

    async def audit(event: Event) -> None:
        if isinstance(event, _LOGGED):
            written = write(to_json(event) + b"\n")
            if inspect.isawaitable(written):
                await written

    return audit
