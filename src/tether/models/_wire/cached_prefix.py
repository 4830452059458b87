"""What was written of a conversation before, so that it is written once. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from tether.messages import AssistantMessage
from tether.models._wire.leniency import json_text

__all__ = ("AFRESH", "Write", "Written", "last_settled")


class Write:
    """Writes messages as JSON values, whatever was written before. It keeps nothing."""

    __slots__ = ()

    def __call__(
        self, message: object, about: object, make: Callable[[], Iterable[Any]], /
    ) -> Sequence[Any]:
        """Write a message.

        Args:
            message: the message.
            about: what else the writing depends on.
            make: makes the items of JSON that stand for it.

        Returns:
            The items, each as JSON values or as JSON text.
        """
        return list(make())

    def settle(self, items: Sequence[Any]) -> Sequence[Any]:
        """Write items of JSON that will not change any more."""
        return items

    def begun(self, messages: tuple[Any, ...]) -> tuple[int, list[Any], Any]:
        """Say how many of the first messages were written before, as what, and what was noted of them."""
        return 0, [], None

    def remember(self, messages: tuple[Any, ...], items: Sequence[Any], note: Any) -> None:
        """Keep what the first messages of a conversation were written as."""


class Written(Write):
    """Writes each message once, however often it is sent: as JSON text, which is kept.

    Messages are told apart by identity; they are kept too, so that it is theirs alone.
    """

    __slots__ = ("_begun", "_known")

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, object, Sequence[Any]]] = {}
        self._begun: tuple[tuple[Any, ...], Sequence[Any], Any] = ((), (), None)

    def __call__(
        self, message: object, about: object, make: Callable[[], Iterable[Any]], /
    ) -> Sequence[Any]:
        """Write a message; see `Write`."""
        known = self._known.get(id(message))
        if known is not None and known[0] is message and known[1] == about:
            return known[2]
        made = self.settle(list(make()))
        self._known[id(message)] = (message, about, made)
        return made

    def settle(self, items: Sequence[Any]) -> Sequence[Any]:
        """Write items of JSON as text."""
        return [msgspec.Raw(json_text(item)) for item in items]

    def begun(self, messages: tuple[Any, ...]) -> tuple[int, list[Any], Any]:
        """Say how many of the first messages were written before; see `Write`."""
        before, items, note = self._begun
        # Tuples of the same objects are compared in no time.
        if messages[: len(before)] != before:
            return 0, [], None
        return len(before), list(items), note

    def remember(self, messages: tuple[Any, ...], items: Sequence[Any], note: Any) -> None:
        """Keep what the first messages of a conversation were written as."""
        self._begun = (messages, items, note)


AFRESH: Final = Write()
"""Keeps nothing, so that there need be but one."""


def last_settled(messages: Sequence[Any], start: int, *, before: int) -> int:
    """Find a place behind which nothing changes how what stands before it is written.

    That is before a reply that makes calls and follows no other reply: neither can be left out, or merged.

    Args:
        messages: a valid conversation.
        start: where to begin to look.
        before: how many such replies are to follow.

    Returns:
        The place; `start` where there is none.
    """
    found = [
        place
        for place in range(max(start, 1), len(messages))
        if isinstance(messages[place], AssistantMessage)
        and messages[place].tool_calls
        and not isinstance(messages[place - 1], AssistantMessage)
    ]
    return found[-before] if len(found) >= before else start
