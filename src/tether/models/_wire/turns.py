"""Turns of a conversation, for APIs that refuse empty ones, or in which the user and the model alternate. No I/O."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from tether.messages import Text, UserBlock

__all__ = ("GO_ON", "in_turns", "is_blank", "said")

GO_ON: Final = "Go on."
"""What the user says in place of nothing, and before a conversation that begins with a reply: APIs refuse both."""


def is_blank(block: object) -> bool:
    """Return True for a text that holds nothing to read."""
    return isinstance(block, Text) and not block.text.strip()


def said(content: Sequence[UserBlock]) -> Sequence[UserBlock]:
    """Return what a user message says: without blank texts, and never nothing."""
    return [block for block in content if not is_blank(block)] or [Text(GO_ON)]


def in_turns(
    parts: Iterable[tuple[str, Sequence[Any]]], key: str, *, go_on: Any
) -> list[dict[str, Any]]:
    """Merge neighbours of one role.

    Args:
        parts: roles, and what each of them says.
        key: the API's name for the content of a turn.
        go_on: what stands for a turn of the user that says nothing.

    Returns:
        The turns.
    """
    merged = [
        (role, [part for _, content in group for part in content])
        for role, group in groupby(parts, itemgetter(0))
    ]
    return [
        {"role": role, key: content or [go_on]}
        for role, content in merged
        if content or role == "user"
    ]
