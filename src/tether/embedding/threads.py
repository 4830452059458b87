"""Runs that threads wait for, ended together.

Frameworks that call plain functions in threads of their own forget these when they stop: a run goes on in such a thread
until Python itself ends, and the processes of its tools beyond that. `BlockingRuns` knows them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition
from types import TracebackType
from typing import Any

from tether.agent import Agent
from tether.blocking import BlockingRun, run
from tether.errors import UsageError
from tether.messages import Prompt

__all__ = ("BlockingRuns",)


class BlockingRuns:
    """The runs of a program's threads. As its block is left, or it is closed, all of them are ended.

    Args:
        deadline: seconds that the threads have to clean up then.
    """

    def __init__(self, *, deadline: float = 10.0) -> None:
        self._deadline = deadline
        self._changed = Condition()
        # A run that has not begun stands here as None.
        self._runs: dict[object, BlockingRun | None] = {}
        self._closed = False

    @contextmanager
    def run(
        self, agent: Agent, request: Prompt | None = None, **options: Any
    ) -> Iterator[BlockingRun]:
        """Start a run, tied to the block it is used in and to this one.

        Args:
            agent: whom to ask.
            request: what to say; None to continue from the conversation as it stands.
            **options: further arguments of `tether.blocking.run`.

        Returns:
            A context manager that gives the run; see `tether.blocking.run`.

        Raises:
            UsageError: this object was closed.
            Exception: what `tether.blocking.run` raises.

        Cancellation:
            As in `tether.blocking.run`.
        """
        key = object()
        try:
            self._note(key, None)
            with run(agent, request, **options) as going:
                self._note(key, going)
                yield going
        finally:
            with self._changed:
                self._runs.pop(key, None)
                self._changed.notify_all()

    def _note(self, key: object, going: BlockingRun | None) -> None:
        with self._changed:
            if self._closed:
                raise UsageError("no run can be started any more: these BlockingRuns were closed")
            self._runs[key] = going

    def __enter__(self) -> "BlockingRuns":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Abort the runs that are going, and wait until their threads have left them."""
        with self._changed:
            self._closed = True
            going = [run for run in self._runs.values() if run is not None]
        for one in going:
            # It may have been left in between.
            with suppress(UsageError):
                one.abort()
        with self._changed:
            self._changed.wait_for(lambda: not self._runs, self._deadline)
