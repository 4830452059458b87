"""Tell a reply when its run waits for anything else than for the next delta."""

from collections.abc import Callable
from typing import Any

from tether.model import DeltaStream

__all__ = ("WithoutPauses",)


class WithoutPauses:
    """Promises that a block waits for nothing but the next delta, unless it says so before.

    A reply whose server is timed then leaves the time running, in place of stopping and starting it at each delta.
    A context manager that gives what to call before something else is waited for.

    Args:
        deltas: the reply.
    """

    __slots__ = ("_deltas", "_pause")

    def __init__(self, deltas: DeltaStream) -> None:
        self._deltas = deltas
        self._pause: Callable[[], object] = _nothing

    def __enter__(self) -> Callable[[], object]:
        # Looked up on the class: a wrapper that passes on what it does not have may wait for something itself.
        promise: Any = getattr(type(self._deltas), "without_pauses", None)
        if promise is not None:
            self._pause = promise(self._deltas)
        return self._pause

    def __exit__(self, *_: object) -> None:
        self._pause()


def _nothing() -> None:
    pass
