"""Results of servers, as results of tools; and content of servers as blocks. No I/O."""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from mcp import types
from tether.mcp.printable import one_line, printable
from tether.media import media_block
from tether.messages import Text, UserBlock
from tether.tools import ToolResult

__all__ = ("as_blocks", "as_tool_result", "resource_blocks")

_LONGEST_TEXT: Final = 200_000
"""Characters of all texts of a result."""
_MOST_BLOCKS: Final = 200
_LARGEST_MEDIA: Final = 20 * 1024 * 1024
"""Bytes of a picture, a sound or a file."""

Content = (
    types.TextContent
    | types.ImageContent
    | types.AudioContent
    | types.ResourceLink
    | types.EmbeddedResource
)


def as_tool_result(result: types.CallToolResult) -> ToolResult:
    """Take the result of a call.

    Args:
        result: as the server sent it.

    Returns:
        Its blocks; what is structured in `details`, and as a text where there is nothing else.
    """
    content = as_blocks(result.content)
    details = result.structured_content
    if not content and details is not None:
        content = (Text(printable(json.dumps(details, ensure_ascii=False), _LONGEST_TEXT)),)
    return ToolResult(content, details=details, outcome="error" if result.is_error else "ok")


def as_blocks(content: Iterable[Any]) -> tuple[UserBlock, ...]:
    """Take content of a server.

    Args:
        content: texts, pictures, sound, and resources or links to them.

    Returns:
        The blocks: bounded, and a text for each that cannot be used.
    """
    blocks: list[UserBlock] = []
    left = _LONGEST_TEXT
    for number, one in enumerate(content):
        if number >= _MOST_BLOCKS:
            blocks.append(Text(f"[there were more than {_MOST_BLOCKS} blocks; the rest was cut]"))
            break
        for block in _blocks(one):
            if isinstance(block, Text):
                text = printable(block.text, max(left, 0))
                left -= len(text)
                blocks.append(Text(text))
            else:
                blocks.append(block)
    return tuple(blocks)


def resource_blocks(contents: Iterable[Any]) -> tuple[UserBlock, ...]:
    """Take what a server gave for a resource that was read."""
    return as_blocks(
        types.EmbeddedResource(type="resource", resource=one)
        for one in contents
        if isinstance(one, types.TextResourceContents | types.BlobResourceContents)
    )


def _blocks(content: Any) -> Iterator[UserBlock]:
    match content:
        case types.TextContent(text=text):
            yield Text(text)
        case types.ImageContent(data=data, mime_type=kind):
            yield _media(data, kind, "a picture", "image")
        case types.AudioContent(data=data, mime_type=kind):
            yield _media(data, kind, "a sound", "audio")
        case types.ResourceLink():
            yield Text(_link(content))
        case types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, text=text)):
            yield Text(f"{one_line(str(uri), 500)}:\n{text}")
        case types.EmbeddedResource(resource=types.BlobResourceContents() as blob):
            name = one_line(str(blob.uri), 500)
            yield Text(f"{name}:")
            yield _media(blob.blob, blob.mime_type or "", name, "")
        case other:
            yield Text(f"[content of a kind that is not known: {type(other).__name__}]")


def _media(data: str, kind: str, what: str, family: str) -> UserBlock:
    kind = one_line(kind, 100)
    if len(data) > _LARGEST_MEDIA * 4 // 3:
        return Text(f"[{what} of more than {_LARGEST_MEDIA:,} bytes was left out]")
    if family and not kind.startswith(f"{family}/"):
        kind = f"{family}/{kind.partition('/')[2] or 'unknown'}"
    try:
        content = base64.b64decode(data, validate=True)
        return media_block(
            content, kind or "application/octet-stream", name=what.rpartition("/")[2]
        )
    except (binascii.Error, ValueError, TypeError) as error:
        return Text(
            f"[{what} that cannot be used ({kind or 'no type'}): {one_line(str(error), 200)}]"
        )


def _link(link: types.ResourceLink) -> str:
    title = one_line(link.title or link.name, 200)
    about = one_line(link.description or "", 500)
    return f"[{title}]({one_line(str(link.uri), 1000)})" + (f" {about}" if about else "")
