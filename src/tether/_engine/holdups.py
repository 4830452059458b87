"""Say which call holds a run up: one whose tool goes on after it was cancelled.

A run waits for its tools, whatever they do: it cannot end a tool that does not end itself. So it says, in the log and
in an event, whom it waits for; and in the log, which tool swallowed its cancellation in the end.
"""

import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import anyio

from tether._engine.reports import Reports
from tether._scopes.task_groups import Tasks
from tether.events import ToolExecutionUpdate
from tether.messages import Text, ToolCall

__all__ = ("Holdup",)

_log = logging.getLogger("tether")

_GRACE: Final = 1.0
"""Seconds that a tool may take for its clean-up before anything is said."""
_PATIENCE: Final = 86_400.0
"""Seconds that a consumer may take to hear of it; it is cut off before, where the tool ends."""


class Holdup:
    """Watches the tool of one call, from the first cancellation that reaches it.

    Args:
        call: the call.
        reports: where it reports.
        tasks: the tasks of its batch.
        scopes: those of the call alone, one in the other; what is around them is around the batch.
    """

    __slots__ = ("_call", "_is_over", "_reached", "_reports", "_scopes", "_tasks", "_waiting")

    def __init__(
        self,
        call: ToolCall,
        reports: Reports,
        tasks: Tasks | None,
        scopes: Sequence[anyio.CancelScope],
    ) -> None:
        self._call = call
        self._reports = reports
        self._tasks = tasks
        self._scopes = scopes
        self._reached = False
        self._is_over = False
        self._waiting: anyio.CancelScope | None = None

    def reached(self) -> None:
        """Note that a cancellation reaches the tool: ours, or that of a scope of the tool's own."""
        if not self._reached and self._tasks is not None:
            self._reached = True
            self._tasks.start_soon(self._watch)

    def returned(self) -> None:
        """Note that the tool has returned something."""
        if self._reached and anyio.current_effective_deadline() == -math.inf:
            _log.error("the tool %s swallowed its cancellation and returned", self._call.name)

    def over(self) -> None:
        """Note that the tool has ended."""
        self._is_over = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _watch(self) -> None:
        # In a task beside the tool, since the tool's own scopes are not to be seen here.
        around = anyio.current_effective_deadline() == -math.inf
        if self._is_over or not (around or any(scope.cancel_called for scope in self._scopes)):
            self._reached = False
            return
        with anyio.move_on_after(_GRACE, shield=True) as self._waiting:
            await anyio.sleep_forever()
        if not self._is_over:
            with anyio.move_on_after(_PATIENCE, shield=True) as self._waiting:
                await self._say()

    async def _say(self) -> None:
        name = self._call.name
        text = f"{name} was cancelled {_GRACE:g} s ago and has not stopped; the run waits for it"
        _log.warning("the tool %s", text)
        update = ToolExecutionUpdate(self._call.id, name, (Text(text),), {"holds_up": name})
        # Whoever does not follow any more need not hear of it.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._reports.report(update)
