"""The beginning of a conversation is written once, however often it is sent. No I/O.

Each request of a run repeats the one before it and adds to it. An encoder writes a conversation in two segments: the
prefix that nothing later changes, which is kept as JSON text, and the rest.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec
from attrs import frozen

from tether.messages import AssistantMessage, Message
from tether.models._wire.leniency import json_text

__all__ = (
    "CachedPrefix",
    "Segment",
    "all_of_it",
    "before_call",
    "write_conversation",
)


@frozen
class Segment:
    """A part of a conversation, to be written."""

    messages: Sequence[Message]
    note: Any
    """What the writer noted about the segment before it; None for the first one."""
    is_last: bool


Writer: TypeAlias = Callable[[Segment], tuple[Sequence[Any], Any]]
"""A segment, to its items of JSON and a note for the next one, which is not None."""


@frozen(eq=False, repr=False)
class _Prefix:
    messages: tuple[Message, ...] = ()
    about: object = None
    items: tuple[Any, ...] = ()
    note: Any = None


class CachedPrefix:
    """The prefixes of the conversations that were written last."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        # Two: a question aside, such as for a summary, goes on from the run's own conversation and leaves it as it is.
        self._kept = (_Prefix(), _Prefix())

    def take(self, messages: tuple[Message, ...], about: object) -> _Prefix:
        """Return the prefix of a conversation that is written already.

        Args:
            messages: the conversation.
            about: what else the writing depends on.

        Returns:
            The prefix; an empty one if the conversation is another.
        """
        for kept in self._kept:
            # Comparing tuples of the same objects takes no time.
            if kept.about == about and messages[: len(kept.messages)] == kept.messages:
                return kept
        return _Prefix(about=about)

    def keep(self, prefix: _Prefix) -> None:
        """Keep a prefix for the next request."""
        self._kept = (prefix, self._kept[0])


def write_conversation(
    messages: tuple[Message, ...],
    cache: CachedPrefix | None,
    write: Writer,
    *,
    boundary: Callable[[Sequence[Message], int], int],
    about: object = None,
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Write a conversation.

    Args:
        messages: the conversation, valid.
        cache: keeps its prefix; None to write all of it anew.
        write: writes a segment.
        boundary: finds how long a prefix nothing later changes, given the conversation and the length that is known.
        about: what else the writing depends on.

    Returns:
        The items of the prefix as JSON text, and those behind it as JSON values.
    """
    if cache is None:
        return (), write(Segment(messages, None, is_last=True))[0]
    prefix = cache.take(messages, about)
    start = len(prefix.messages)
    end = boundary(messages, start)
    if end > start:
        items, note = write(Segment(messages[start:end], prefix.note, is_last=False))
        frozen_items = (*prefix.items, *(msgspec.Raw(json_text(item)) for item in items))
        prefix = _Prefix(messages[:end], about, frozen_items, note)
        cache.keep(prefix)
    rest, _ = write(Segment(messages[len(prefix.messages) :], prefix.note, is_last=True))
    return prefix.items, rest


def all_of_it(messages: Sequence[Message], start: int) -> int:
    """Return the end: nothing that follows a valid conversation changes it, if messages are written one by one."""
    return len(messages)


def before_call(
    messages: Sequence[Message],
    start: int,
    *,
    replies: int,
    may_begin: Callable[[AssistantMessage], bool] = lambda _: True,
) -> int:
    """Find a boundary that nothing behind it moves, if neighbours of one role are merged.

    That is before a reply that makes calls and follows no other reply: neither can be left out, or merged.

    Args:
        messages: a valid conversation.
        start: where to begin to look.
        replies: how many such replies are to follow the boundary.
        may_begin: whether a reply can stand behind it without what is before.

    Returns:
        The boundary; `start` if there is none.
    """
    found = [
        index
        for index in range(max(start, 1), len(messages))
        if isinstance(message := messages[index], AssistantMessage)
        and message.tool_calls
        and not isinstance(messages[index - 1], AssistantMessage)
        and may_begin(message)
    ]
    return found[-replies] if len(found) >= replies else start
