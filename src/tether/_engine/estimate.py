"""How many tokens a reply has used that ended before its provider said so.

No I/O.
"""

from collections.abc import Iterable
from typing import Any, Final

from attrs import define, evolve

from tether.messages import (
    AssistantMessage,
    Block,
    ProviderItem,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tether.model import ModelRequest

__all__ = ("SentRequest", "usage_so_far")

_BYTES_PER_TOKEN: Final = 4
"""Of English text; of other writing, each character of which takes more bytes, about as many."""
_TOKENS_OF_MEDIA: Final = 1000
"""An image, as providers count one of middle size."""


def usage_so_far(sent: int, reply: AssistantMessage) -> Usage:
    """Count what a reply has used that has ended too early, or that is still arriving.

    Args:
        sent: the tokens of its request, as estimated.
        reply: as far as it has arrived, with the usage that has been reported.

    Returns:
        What was reported, and where that is less than what was sent and has arrived, an estimate.
    """
    reported = reply.usage
    unfinished = (reply.details or {}).get("unfinished_calls", ())
    arrived = _tokens(reply.content) + _of_text(*(call["arguments"] for call in unfinished))
    counted = evolve(
        reported,
        input_tokens=reported.input_tokens or sent,
        output_tokens=max(reported.output_tokens, arrived),
    )
    return counted if counted == reported else evolve(counted, estimated=True)


@define(eq=False, repr=False)
class SentRequest:
    """A request that was sent, and how much there was to read in it."""

    _request: ModelRequest
    _tokens: int | None = None

    @property
    def tokens(self) -> int:
        """Its tokens, as estimated; once, when somebody wants to know."""
        if self._tokens is None:
            self._tokens = _tokens_in(self._request)
        return self._tokens


def _tokens_in(request: ModelRequest) -> int:
    described = [_json(tool.parameters) + tool.description for tool in request.tools]
    said = sum(_tokens(message.content) for message in request.messages)
    return said + _of_text(request.system or "", *described)


def _tokens(content: Iterable[Block]) -> int:
    return sum(map(_of_block, content))


def _of_block(block: Block) -> int:
    match block:
        case Text(text) | Thinking(text):
            return _of_text(text)
        case ToolCall(_, name, arguments, malformed):
            return _of_text(name, malformed or _json(arguments))
        case ProviderItem(_, data):
            return _of_text(_json(data))
        case _:
            return _TOKENS_OF_MEDIA


def _of_text(*texts: str) -> int:
    return -(-sum(len(text.encode(errors="replace")) for text in texts) // _BYTES_PER_TOKEN)


def _json(value: Any) -> str:
    import json  # noqa: PLC0415 - only where somebody asks for an estimate

    return json.dumps(value, ensure_ascii=False, default=str)
