"""Tell a reply when its run waits for anything else than for the next delta."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tether.model import DeltaStream

__all__ = ("without_pauses",)


@contextmanager
def without_pauses(deltas: DeltaStream) -> Iterator[Callable[[], object]]:
    """Promise that the block waits for nothing but the next delta, unless it says so before.

    A reply whose server is timed then leaves the time running, in place of stopping and starting it at each delta.

    Returns:
        A context manager that gives what to call before something else is waited for.
    """
    # Looked up on the class: a wrapper that passes on what it does not have may wait for something itself.
    promise: Any = getattr(type(deltas), "without_pauses", None)
    pause = _nothing if promise is None else promise(deltas)
    try:
        yield pause
    finally:
        pause()


def _nothing() -> None:
    pass
