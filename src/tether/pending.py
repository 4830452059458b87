"""What `Agent.run` returns: a run that begins as its block is entered, and the answer to whoever forgets the block."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

from tether._scopes.owned import Owned
from tether.errors import UsageError
from tether.run import Run

__all__ = ("PendingRun", "WhenBusy", "check_when_busy")

WhenBusy: TypeAlias = Literal["raise", "wait"]
"""What a start does while a run of the agent is going: raises `AgentBusyError`, or waits in line until it is over."""

_WRITE = (
    "write `async with agent.run(...) as run:`, and in its block `async for event in run:` or "
    "`await run.result()`; for the result alone, `await agent.prompt(...)`; in plain functions, tether.blocking"
)


class PendingRun(Owned, AbstractAsyncContextManager[Run]):
    """A run that has not begun. Made by `Agent.run`; enter it once, with `async with`.

    Until it is entered nothing has happened: it may be dropped.

    Args:
        open: makes the context manager that starts the run.
    """

    __slots__ = ("_block", "_open")

    def __init__(self, open: Callable[[], AbstractAsyncContextManager[Run]]) -> None:
        self._open = open
        self._block: AbstractAsyncContextManager[Run] | None = None

    async def __aenter__(self) -> Run:
        """Start the run; see `Agent.run`."""
        if self._block is not None:
            raise UsageError("this run was entered already: call agent.run(...) again for another")
        self._block = self._open()
        return await self._block.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """End the run, if it still goes, and wait until its tools have cleaned up."""
        if self._block is None:
            raise _misused("left before it was entered")
        return await self._block.__aexit__(exc_type, exc_value, traceback)  # noqa: ASYNC102 - its own shields do

    def __repr__(self) -> str:
        return "<PendingRun: begins with `async with agent.run(...) as run:`>"

    if not TYPE_CHECKING:
        # Type checkers refuse these by themselves, and are not to learn of them.

        def __await__(self) -> NoReturn:
            raise _misused("awaited")

        def __aiter__(self) -> NoReturn:
            raise _misused("iterated")

        def __anext__(self) -> NoReturn:
            raise _misused("iterated")

        def __iter__(self) -> NoReturn:
            raise _misused("iterated")

        def __next__(self) -> NoReturn:
            raise _misused("iterated")

        def __enter__(self) -> NoReturn:
            raise _misused("entered by a plain `with`")

        def __exit__(self, *_: object) -> NoReturn:
            raise _misused("left by a plain `with`")

        def __getattr__(self, name: str) -> NoReturn:
            # An AttributeError, as those expect who ask whether there is one.
            if hasattr(Run, name) and not name.startswith("_"):
                raise AttributeError(str(_misused(f"asked for `{name}`")))
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def check_when_busy(when_busy: WhenBusy) -> None:
    """Refuse what `when_busy` cannot be.

    Raises:
        UsageError: it is neither `raise` nor `wait`.
    """
    if when_busy not in ("raise", "wait"):
        raise UsageError(f'when_busy is "raise" or "wait", not {when_busy!r}')


def _misused(how: str) -> UsageError:
    return UsageError(f"a run that has not begun cannot be {how}: {_WRITE}")
