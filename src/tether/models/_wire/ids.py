"""Ids and names of tool calls, as servers accept them. No I/O."""

import re
import zlib
from collections.abc import Callable
from typing import Final

from tether.messages import AssistantMessage, unique

__all__ = (
    "LONGEST_ID",
    "LONGEST_NAME",
    "unique_call_ids",
    "unique_id",
    "valid_call_id",
    "valid_tool_name",
)

LONGEST_ID: Final = 64
"""Characters. Some servers give out longer ids, and accept none back."""

LONGEST_NAME: Final = 64
"""Characters of the name of a tool, for servers that set no other limit."""

_VALID: Final = re.compile(r"[a-zA-Z0-9_-]+")


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
    return _valid(call_id, "", longest)


def valid_tool_name(name: str, *, longest: int = LONGEST_NAME) -> str:
    """Make the name of a tool one that servers accept, as a model may have called what no tool can be named.

    Args:
        name: the name in a call.
        longest: how many characters it may have.

    Returns:
        The name itself if it is valid, else one for it as in `valid_call_id`.
    """
    return _valid(name, "unnamed", longest)


def _valid(text: str, empty: str, longest: int) -> str:
    if len(text) <= longest and _VALID.fullmatch(text):
        return text
    clean = re.sub(r"[^a-zA-Z0-9_-]", "_", text)
    return f"{(clean or empty)[: longest - 9]}_{zlib.crc32(text.encode(errors='replace')):08x}"


def unique_call_ids(message: AssistantMessage, taken: set[str]) -> dict[str, str]:
    """Choose the ids of a reply's calls, each for one call of the conversation: some servers reuse theirs.

    Args:
        message: the reply.
        taken: the ids chosen so far; the new ones are added.

    Returns:
        The ids in the message, and those on the wire.
    """
    return {
        call.id: unique_id(valid_call_id(call.id), taken, valid=valid_call_id)
        for call in message.tool_calls
    }
