"""Ids of tool calls, as servers accept them. No I/O."""

import re
import zlib
from collections.abc import Callable
from typing import Final

from tether.messages import AssistantMessage, unique

__all__ = ("LONGEST_ID", "unique_call_ids", "unique_id", "valid_call_id")

LONGEST_ID: Final = 64
"""Characters. Some servers give out longer ids, and accept none back."""


def unique_id(wanted: str, taken: set[str], *, valid: Callable[[str], str] = str) -> str:
    """Choose an id that is not taken yet.

    Args:
        wanted: the id to choose if it is free; else a number is put behind it.
        taken: the ids chosen so far; the new one is added.
        valid: makes an id with a number behind it valid.

    Returns:
        The id.
    """
    chosen = unique(wanted, taken, lambda number: valid(f"{wanted}-{number}"))
    taken.add(chosen)
    return chosen


def valid_call_id(call_id: str, *, longest: int = LONGEST_ID) -> str:
    """Make the id of a call one that any server accepts: letters, digits, _ and -.

    Args:
        call_id: the id, perhaps another provider's.
        longest: how many characters it may have.

    Returns:
        The id itself if it is valid. Else the same one for the same id each time, and another for another, so that
        a call and its result stay together.
    """
    clean = re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)
    if clean == call_id and 0 < len(call_id) <= longest:
        return call_id
    return f"{clean[: longest - 9]}_{zlib.crc32(call_id.encode(errors='replace')):08x}"


def unique_call_ids(message: AssistantMessage, taken: set[str], *, own: bool) -> dict[str, str]:
    """Choose the ids of a reply's calls, each for one call of the conversation: some servers reuse theirs.

    Args:
        message: the reply.
        taken: the ids chosen so far; the new ones are added.
        own: whether the reply came over the API that the ids are for, which then accepts them as they are.

    Returns:
        The ids in the message, and those on the wire.
    """
    chosen: dict[str, str] = {}
    for call in message.tool_calls:
        fits = own and 0 < len(call.id) <= LONGEST_ID
        wanted = call.id if fits else valid_call_id(call.id)
        chosen[call.id] = unique_id(wanted, taken, valid=valid_call_id)
    return chosen
