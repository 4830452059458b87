"""Pictures, documents, sound and video in Bedrock's Converse API.

After Amazon's API reference (`ContentBlock`). Names of documents have a pattern of their own, and each is unique in its
request.

No I/O.
"""

import re
from typing import Any, Final

from tether.media import Document, Media
from tether.media_types import format_of
from tether.models._wire.ids import unique_id
from tether.models._wire.media import base64_of, unsupported

__all__ = ("block_of",)

_FORMATS: Final[dict[str, frozenset[str]]] = {
    "image": frozenset({"png", "jpeg", "gif", "webp"}),
    "document": frozenset({"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"}),
    "video": frozenset({"mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"}),
    "audio": frozenset({"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "m4a", "webm"}),
}
_TAKES: Final = (
    "pictures (png, jpeg, gif, webp), documents (pdf, office, csv, html, text), sound and video, "
    "as bytes or by URL (s3:)"
)
_LONGEST_NAME: Final = 200


def block_of(media: Media, names: set[str]) -> dict[str, Any]:
    """Write a block.

    Args:
        media: the block.
        names: the names of documents that are taken; the block's own is added.

    Returns:
        The block for a request.

    Raises:
        UsageError: the API does not take it.
    """
    format_ = _format(media)
    if format_ not in _FORMATS[media.type]:
        raise unsupported("Bedrock", media, _TAKES)
    block = {"format": format_, "source": _source(media)}
    if isinstance(media, Document):
        block["name"] = unique_id(_name(media.name or "document"), names)
    return {media.type: block}


def _format(media: Media) -> str:
    format_ = format_of(media.media_type)
    is_text = isinstance(media, Document) and media.media_type.startswith(
        ("text/", "application/json")
    )
    return "txt" if is_text and format_ not in _FORMATS["document"] else format_


def _source(media: Media) -> dict[str, Any]:
    if media.data:
        return {"bytes": base64_of(media)}
    if media.url is not None and media.url.startswith("s3://"):
        return {"s3Location": {"uri": media.url}}
    raise unsupported("Bedrock", media, _TAKES)


def _name(name: str) -> str:
    """Letters, digits, hyphens, brackets, and one space at a time."""
    clean = re.sub(r"[^a-zA-Z0-9()\[\]-]+", " ", name).strip()
    return clean[: _LONGEST_NAME - 4] or "document"
