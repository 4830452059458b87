"""Have tasks be cancelled in the order in which they began, on asyncio.

Task groups keep their tasks in sets, and cancel them in the order of these: by address in memory, which differs from
one run of a program to the next. That is fine for a program and not for a test that is to find the same fault again.
"""

import asyncio.taskgroups
from collections.abc import Generator, Iterable, Iterator, MutableSet
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import anyio._backends._asyncio

__all__ = ("OrderedSet", "stable_order")

T = TypeVar("T")

_MODULES: Final[tuple[Any, ...]] = (asyncio.taskgroups, anyio._backends._asyncio)  # noqa: SLF001
"""What keeps tasks and cancel scopes in sets. Both name `set` and nothing else for it."""


class OrderedSet(MutableSet[T]):
    """A set in the order in which its members came.

    Args:
        members: what is in it at first.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Iterable[T] = ()) -> None:
        self._members = dict.fromkeys(members)

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, value: T) -> None:
        """Put a member behind the others, unless it is there."""
        self._members[value] = None

    def discard(self, value: T) -> None:
        """Take a member away, if it is there."""
        self._members.pop(value, None)

    def copy(self) -> "OrderedSet[T]":
        """Make a set of the same members."""
        return OrderedSet(self._members)


@contextmanager
def stable_order() -> Generator[None, None, None]:
    """Have task groups and cancel scopes that are made in the block keep their tasks in order.

    It holds for the whole process: it changes what `set` means in the modules of asyncio and anyio that cancel tasks.
    """
    before = [vars(module).get("set") for module in _MODULES]
    for module in _MODULES:
        module.set = OrderedSet
    try:
        yield
    finally:
        for module, was in zip(_MODULES, before, strict=True):
            if was is None:
                del module.set
            else:
                module.set = was
