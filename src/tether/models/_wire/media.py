"""Pictures, documents, sound and video as they stand in JSON. No I/O."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tether.errors import UsageError
from tether.media import Document, Image, Media
from tether.media_types import format_of
from tether.messages import Message, Text, ToolResultMessage, UserBlock, UserMessage

__all__ = (
    "base64_of",
    "data_url",
    "file_name",
    "follow_results",
    "image_from_base64",
    "image_from_data_url",
    "is_common_picture",
    "text_of_document",
    "unsupported",
    "url_or_data_url",
    "with_media_behind_results",
)

_COMMON_PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

_TEXTS: Final = re.compile(
    r"text/.+|application/(?:json|xml|yaml|x-yaml|toml|javascript|sql|.+\+(?:json|xml))"
)


def base64_of(media: Media) -> str:
    """Return the bytes of a block as text."""
    return base64.b64encode(media.data).decode()


def data_url(media: Media) -> str:
    """Return a block's bytes as a URL that holds them (RFC 2397)."""
    return f"data:{media.media_type};base64,{base64_of(media)}"


def url_or_data_url(media: Media) -> str | None:
    """Return the URL of a block, or one that holds its bytes; None for a block that is given by its id."""
    if media.data:
        return data_url(media)
    return media.url if media.url is not None and media.url.startswith("http") else None


def file_name(document: Document) -> str:
    """Return what a document is called; some APIs require a name."""
    return document.name or f"document.{format_of(document.media_type)}"


def is_common_picture(media: Media) -> bool:
    """Say whether a block is a picture that most APIs take; of one that is not given as bytes, the provider judges."""
    return isinstance(media, Image) and (not media.data or media.media_type in _COMMON_PICTURES)


def text_of_document(media: Media) -> str | None:
    """Return the text of a document that is one, under its name; None for any other block."""
    if not isinstance(media, Document) or not media.data or not _TEXTS.fullmatch(media.media_type):
        return None
    text = media.data.decode(errors="replace")
    return f"{media.name}:\n{text}" if media.name else text


def unsupported(api: str, media: Media, takes: str) -> UsageError:
    """Make the error for a block that an API does not take.

    Args:
        api: the API, as people call it.
        media: the block.
        takes: what the API takes.
    """
    given = "as bytes" if media.data else "by URL" if media.url is not None else "by id"
    kind = f", {media.media_type}" if media.media_type else ""
    return UsageError(
        f"{api} does not take this {type(media).__name__} ({given}{kind}); it takes {takes}"
    )


def image_from_base64(data: str, media_type: str) -> Image | None:
    """Read an image; None if the text is not base64, or no picture."""
    try:
        return Image(base64.b64decode(data, validate=True), media_type)
    except ValueError:
        return None


def image_from_data_url(url: str) -> Image | None:
    """Read an image from a URL that holds it; None for any other URL."""
    head, comma, data = url.partition(";base64,")
    if not comma or not head.startswith("data:"):
        return None
    return image_from_base64(data, head.removeprefix("data:"))


def follow_results(block: UserBlock) -> bool:
    """Say of every block but a text that it follows the results; see `with_media_behind_results`."""
    return not isinstance(block, Text)


def with_media_behind_results(
    messages: Iterable[Message], follows: Callable[[UserBlock], bool] = follow_results
) -> Iterator[Message]:
    """Let the blocks of tool results that an API has no place for there follow as a user message.

    Args:
        messages: a valid conversation. The results of one reply must stand side by side, so the blocks come behind
            all of them.
        follows: says which blocks those are.

    Returns:
        The conversation; its tool results still hold the blocks.
    """
    waiting: list[UserBlock] = []
    for message in messages:
        if waiting and not isinstance(message, ToolResultMessage):
            yield UserMessage(waiting)
            waiting = []
        if isinstance(message, ToolResultMessage):
            waiting += _announced(message, follows)
        yield message
    if waiting:
        yield UserMessage(waiting)


def _announced(
    message: ToolResultMessage, follows: Callable[[UserBlock], bool]
) -> Iterator[UserBlock]:
    blocks = [block for block in message.content if follows(block)]
    if blocks:
        what = "images" if all(isinstance(block, Image) for block in blocks) else "files"
        yield Text(f"The {what} that {message.name} returned:")
        yield from blocks
