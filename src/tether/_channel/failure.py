"""Exceptions that are kept for who has to hear of them, and raised as they came. No I/O."""

from collections.abc import Sequence
from types import TracebackType
from typing import NoReturn

import anyio
from attrs import define, field

__all__ = ("Failure", "beside_cancellation", "is_broken", "raise_together")


@define(eq=False, repr=False)
class Failure:
    """What a block or a producer raised: raised any number of times, the same each time."""

    exception: BaseException
    heard: bool = False
    """Whether somebody has been told."""
    _traceback: TracebackType | None = field(init=False)
    _context: BaseException | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._traceback = self.exception.__traceback__
        self._context = self.exception.__context__

    @property
    def ends_program(self) -> bool:
        """Whether it is to end the program, and no failure of the producer's own."""
        return not isinstance(self.exception, Exception)

    def reraise(self) -> NoReturn:
        """Raise it, with the traceback and context that it came with."""
        self.heard = True
        try:
            raise self.exception.with_traceback(self._traceback)
        finally:
            # Who asks while it handles another exception is not a context of this one.
            self.exception.__context__ = self._context


def beside_cancellation(error: BaseException) -> BaseException | None:
    """What was raised, without the cancellations that stand beside it in a group."""
    cancelled = anyio.get_cancelled_exc_class()
    if isinstance(error, BaseExceptionGroup) and error.subgroup(cancelled) is not None:
        return error.split(cancelled)[1]
    return None if isinstance(error, cancelled) else error


def is_broken(error: BaseException) -> bool:
    """Say whether it is nothing but `anyio.BrokenResourceError`."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(anyio.BrokenResourceError)[1] is None
    return isinstance(error, anyio.BrokenResourceError)


def raise_together(failures: Sequence[Failure]) -> NoReturn:
    """Raise the one there is, or a group; the end of the program comes alone."""
    for failure in failures:
        if isinstance(failure.exception, KeyboardInterrupt | SystemExit):
            failure.reraise()
    exceptions = list({id(f.exception): f.exception for f in failures}.values())
    if len(exceptions) == 1:
        failures[0].reraise()
    raise BaseExceptionGroup("a stream's block and producer", exceptions)
