"""What a model reads of a call that cannot run, or whose result cannot be kept.

No I/O.
"""

import re
from collections.abc import Iterable, Sequence
from typing import get_args

from tether._scopes.exceptions import described
from tether.messages import Outcome, Text, ToolCall, ToolResultMessage

__all__ = ("refusal", "unkeepable")

_OUTCOMES = get_args(Outcome)


def unkeepable(message: ToolResultMessage) -> str | None:
    """Say why a result cannot be kept, if so: what tools and hooks make of it is theirs."""
    if (
        message.details is None
        and message.outcome in _OUTCOMES
        and all(map(_is_plain, message.content))
    ):
        return None
    from tether.serialize import to_builtins  # noqa: PLC0415 - most results are plain text

    try:
        to_builtins(message)
    except Exception as error:  # noqa: BLE001 - what is in it is made by code of others
        return f"{message.name} gave a result that cannot be kept: {described(error)}"
    return None


def _is_plain(block: object) -> bool:
    """Whether it is text as most tools return it, with which nothing can be wrong."""
    return (
        type(block) is Text
        and type(block.text) is str
        and block.text.isascii()
        and not block.details
    )


def refusal(call: ToolCall, tools: Iterable[str]) -> str:
    """Say why a call cannot run at all, and what could."""
    known = sorted(tools)
    if call.name not in known:
        close = _closest(call.name, known)
        hint = "" if close is None else f" Did you mean {close}?"
        unknown = f"There is no tool {call.name!r}.{hint} There are: {', '.join(known) or 'none'}."
        return unknown if call.malformed is None else f"{unknown} {_unread(call)}"
    return _unread(call)


def _unread(call: ToolCall) -> str:
    return f"The arguments are not a JSON object: {call.malformed}"


def _closest(name: str, known: Sequence[str]) -> str | None:
    """Choose the tool that was probably meant; models put namespaces and marks of their own around names."""
    if len(known) == 1:
        return known[0]
    import difflib  # noqa: PLC0415 - most calls name a tool that is there

    folded = {one.lower(): one for one in known}
    for part in (name, *re.split(r"[^a-zA-Z0-9_-]+", name)):
        if close := difflib.get_close_matches(part.lower(), folded, n=1):
            return folded[close[0]]
    return None
