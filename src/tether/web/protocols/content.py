"""What tools return and people say, in the words that front ends share. No I/O."""

import base64
from collections.abc import Iterable
from typing import Any, TypeAlias

from tether.media import Media
from tether.messages import Text, ToolResultMessage, UserBlock

__all__ = ("Json", "fault_of", "text_of", "url_of")

Json: TypeAlias = dict[str, Any]
"""A JSON object that is to be written."""


def text_of(blocks: Iterable[UserBlock]) -> str:
    """Return the text of blocks, with a word for each that is none."""
    return "\n".join(one.text if isinstance(one, Text) else f"[{one.type}]" for one in blocks)


def url_of(media: Media) -> str | None:
    """Return an address for a block: that of the block, or one that holds its bytes; None for a provider's file."""
    if media.data:
        data = base64.b64encode(media.data).decode()
        return f"data:{media.media_type or 'application/octet-stream'};base64,{data}"
    return media.url


def fault_of(result: ToolResultMessage) -> str:
    """Return in words why a call has no result."""
    return text_of(result.content) or result.outcome
