"""Blocks as content of the protocol. No I/O."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from mcp import types
from tether.media import Audio, Document, Image, Video
from tether.messages import Text, ToolResultMessage, UserBlock

__all__ = ("as_call_result", "as_content")


def as_content(blocks: Iterable[UserBlock]) -> list[Any]:
    """Make content of blocks."""
    return [_content(block) for block in blocks]


def _content(block: UserBlock) -> Any:
    match block:
        case Text(text=text):
            return types.TextContent(type="text", text=text)
        case Image(data=data, media_type=kind) if data:
            return types.ImageContent(type="image", data=_base64(data), mime_type=kind)
        case Audio(data=data, media_type=kind) if data:
            return types.AudioContent(type="audio", data=_base64(data), mime_type=kind)
        case Document() | Video() | Image() | Audio():
            return _resource(block)


def _resource(block: Document | Video | Image | Audio) -> Any:
    name = getattr(block, "name", None) or block.type
    if not block.data:
        where = block.url or f"file-id:{block.file_id}"
        return types.ResourceLink(type="resource_link", name=name, uri=where)
    blob = types.BlobResourceContents(
        uri=f"attachment:{name}", mime_type=block.media_type, blob=_base64(block.data)
    )
    return types.EmbeddedResource(type="resource", resource=blob)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_call_result(message: ToolResultMessage) -> types.CallToolResult:
    """Make the result of a call, with what is structured in its details."""
    details = message.details if isinstance(message.details, dict) else None
    try:
        structured = None if details is None else json.loads(json.dumps(details))
    except (TypeError, ValueError):
        structured = None
    return types.CallToolResult(
        content=as_content(message.content),
        structured_content=structured,
        is_error=message.is_error,
    )
