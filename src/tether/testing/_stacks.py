"""Where tasks wait: the frames from a task's function down to what it awaits, read without running anything.

No I/O.
"""

import gc
from collections.abc import Iterator, Mapping
from types import AsyncGeneratorType, CodeType, CoroutineType, GeneratorType
from typing import Any

from attrs import frozen

__all__ = ("TaskStack", "Waiting", "frames_of")


@frozen
class TaskStack:
    """Where one task stood at some moment."""

    name: str
    frames: tuple[tuple[CodeType, int], ...]
    """Code and line, outermost first."""
    marked: bool = False
    """True for the task that was about to take a step, or has just taken one."""

    def __str__(self) -> str:
        lines = [
            f'\n      File "{code.co_filename}", line {line}, in {code.co_qualname}'
            for code, line in self.frames
        ]
        return f"  {'>' if self.marked else '-'} {self.name}{''.join(lines)}"


class Waiting:
    """An awaitable that passes everything on to another, and can be looked through.

    Args:
        awaitable: a coroutine, or anything else with `__await__`.
    """

    __slots__ = ("_iterator", "awaitable")

    def __init__(self, awaitable: Any) -> None:
        self.awaitable = awaitable
        self._iterator = awaitable.__await__()

    def __await__(self) -> "Waiting":
        return self

    def __iter__(self) -> "Waiting":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Resume what is awaited with a value."""
        return self._iterator.send(value)

    def throw(self, kind: Any, value: Any = None, traceback: object = None) -> Any:
        """Resume what is awaited with an exception."""
        del traceback
        return self._iterator.throw(kind if value is None else value)

    def close(self) -> None:
        """Close what is awaited."""
        self._iterator.close()


def frames_of(awaited: Any) -> Iterator[tuple[CodeType, int]]:
    """Walk from a coroutine to what it awaits, as far as that can be seen.

    Args:
        awaited: a coroutine, a generator, an async generator, or what one of them awaits.

    Returns:
        The code and the line of each frame, outermost first.
    """
    while awaited is not None:
        links = _LINKS.get(awaited.__class__)
        if links is None and hasattr(awaited, "cr_frame"):
            links = _LINKS[CoroutineType]  # shown by what wraps a coroutine
        if links is None:
            awaited = awaited.awaitable if isinstance(awaited, Waiting) else _held_by(awaited)
            continue
        frame, awaited = (getattr(awaited, link) for link in links)
        if frame is not None:
            yield frame.f_code, frame.f_lineno


_LINKS: Mapping[type, tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
"""What can be suspended, and where it has its frame and what it awaits."""

_OPAQUE = {
    "async_generator_asend",
    "async_generator_athrow",
    "anext_awaitable",
    "coroutine_wrapper",
}


def _held_by(awaited: Any) -> Any:
    """Look into the interpreter's own wrappers; they show what they hold to the collector alone."""
    if type(awaited).__name__ not in _OPAQUE:
        return None
    for held in gc.get_referents(awaited):
        if type(held) in _LINKS or type(held).__name__ in _OPAQUE:
            return held
    return None
