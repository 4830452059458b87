"""Ids of tool calls, as servers take them. No I/O."""

import re
import zlib
from itertools import chain, count
from typing import Final

from tether.messages import AssistantMessage

__all__ = ("LONGEST_ID", "unique_call_ids", "valid_call_id")

LONGEST_ID: Final = 64
"""Characters. Some servers give out longer ids, and take none back."""


def valid_call_id(call_id: str, *, longest: int = LONGEST_ID) -> str:
    """Make the id of a call one that any server takes: letters, digits, _ and -.

    Args:
        call_id: the id, perhaps another vendor's.
        longest: how many characters it may have.

    Returns:
        The id itself where it will do. Else always the same one for the same id, and another for another, so that
        a call and its result stay together.
    """
    clean = re.sub(r"[^a-zA-Z0-9_-]", "_", call_id)
    if clean == call_id and 0 < len(call_id) <= longest:
        return call_id
    return f"{clean[: longest - 9]}_{zlib.crc32(call_id.encode(errors='replace')):08x}"


def unique_call_ids(message: AssistantMessage, taken: set[str], *, own: bool) -> dict[str, str]:
    """Choose the ids of a reply's calls, each for one call of the conversation: some servers begin anew each time.

    Args:
        message: the reply.
        taken: the ids chosen so far; the new ones are added.
        own: whether the reply came over the API that the ids are for, which then takes them as they are.

    Returns:
        The ids as they were, and as they are to be sent.
    """
    chosen: dict[str, str] = {}
    for call in message.tool_calls:
        fits = own and 0 < len(call.id) <= LONGEST_ID
        wanted = call.id if fits else valid_call_id(call.id)
        names = (valid_call_id(f"{wanted}-{number}") for number in count(2))
        name = next(name for name in chain([wanted], names) if name not in taken)
        taken.add(name)
        chosen[call.id] = name
    return chosen
