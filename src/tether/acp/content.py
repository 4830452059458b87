"""Content blocks of the Agent Client Protocol and ours. No I/O."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote, urlsplit

from tether import Audio, Document, Image, Text, UserMessage
from tether.acp.jsonrpc import INVALID_PARAMS, RpcError
from tether.messages import Block, UserBlock

__all__ = ("block_shown", "message_of", "text_block")


def message_of(prompt: Any) -> UserMessage:
    """Make a message of a prompt.

    Raises:
        RpcError: it is no prompt.
    """
    if not isinstance(prompt, list) or not prompt:
        raise RpcError(INVALID_PARAMS, "prompt must be a list of content blocks, with one at least")
    return UserMessage([_block(block) for block in prompt])


def _block(block: Any) -> UserBlock:
    try:
        match block:
            case {"type": "text", "text": str(text)}:
                return Text(text)
            case {"type": "image", "data": str(data), "mimeType": str(media_type)}:
                return Image(_bytes(data), _of_kind("image", media_type))
            case {"type": "audio", "data": str(data), "mimeType": str(media_type)}:
                return Audio(_bytes(data), _of_kind("audio", media_type))
            case {"type": "resource_link", "uri": str(uri)}:
                return Text(f"[{block.get('name') or uri}]({_path_of(uri)})")
            case {"type": "resource", "resource": {"uri": str(uri), "text": str(text)}}:
                return Text(f'<file path="{_path_of(uri)}">\n{text}\n</file>')
            case {"type": "resource", "resource": {"uri": str(uri), "blob": str(blob)} as resource}:
                return _file(uri, _bytes(blob), resource.get("mimeType"))
    except (ValueError, TypeError) as error:
        raise RpcError(INVALID_PARAMS, f"a content block cannot be used: {error}") from error
    kind = block.get("type") if isinstance(block, dict) else block
    raise RpcError(INVALID_PARAMS, f"{kind!r} is no content block that can be used")


def _file(uri: str, data: bytes, media_type: Any) -> UserBlock:
    if isinstance(media_type, str) and media_type.startswith("image/"):
        return Image(data, media_type)
    if isinstance(media_type, str):
        return Document(data, media_type)
    return Text(f"[a file of {len(data):,} bytes: {_path_of(uri)}]")


def _of_kind(kind: str, media_type: str) -> str:
    if not media_type.startswith(f"{kind}/"):
        raise ValueError(f"{media_type!r} is no type of {kind}")
    return media_type


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its data is no base64: {error}") from error


def _path_of(uri: str) -> str:
    """Give the path of a file's URI; another URI as it is."""
    parts = urlsplit(uri)
    return unquote(parts.path) if parts.scheme == "file" else uri


def text_block(text: str) -> dict[str, Any]:
    """Make a block of text."""
    return {"type": "text", "text": text}


def block_shown(block: Block) -> dict[str, Any]:
    """Make a content block of one of ours, for people to look at."""
    match block:
        case Text(text):
            return text_block(text)
        case Image(data=bytes(data), media_type=media_type) if media_type:
            return _encoded("image", data, media_type)
        case Audio(data=bytes(data), media_type=media_type) if media_type:
            return _encoded("audio", data, media_type)
        case _:
            url = getattr(block, "url", None)
            return text_block(f"[{type(block).__name__}{f': {url}' if url else ''}]")


def _encoded(kind: str, data: bytes, media_type: str) -> dict[str, Any]:
    return {"type": kind, "data": base64.b64encode(data).decode(), "mimeType": media_type}
