"""Conversations in turns, for APIs in which the user and the model alternate. No I/O."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

__all__ = ("GO_ON", "in_turns")

GO_ON: Final = "Go on."
"""What the user says before a conversation that begins with a reply, which such APIs refuse."""


def in_turns(parts: Iterable[tuple[str, Sequence[Any]]], key: str) -> list[dict[str, Any]]:
    """Merge neighbours of one role.

    Args:
        parts: roles, and what each of them says.
        key: the API's name for the content of a turn.

    Returns:
        The turns.
    """
    return [
        {"role": role, key: [part for _, content in group for part in content]}
        for role, group in groupby(parts, itemgetter(0))
    ]
