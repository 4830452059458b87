"""Images as they stand in JSON. No I/O."""

import base64
import binascii
from collections.abc import Iterable, Iterator

from tether.messages import Image, Message, Text, ToolResultMessage, UserBlock, UserMessage

__all__ = (
    "base64_of",
    "data_url",
    "image_from_base64",
    "image_from_data_url",
    "with_images_behind_results",
)


def base64_of(image: Image) -> str:
    """Return the bytes of an image as text."""
    return base64.b64encode(image.data).decode()


def data_url(image: Image) -> str:
    """Return an image as a URL that holds it (RFC 2397)."""
    return f"data:{image.media_type};base64,{base64_of(image)}"


def image_from_base64(data: str, media_type: str) -> Image | None:
    """Read an image; None if the text is no base64."""
    try:
        return Image(base64.b64decode(data, validate=True), media_type)
    except (binascii.Error, ValueError):
        return None


def image_from_data_url(url: str) -> Image | None:
    """Read an image from a URL that holds it; None for any other URL."""
    head, comma, data = url.partition(";base64,")
    if not comma or not head.startswith("data:"):
        return None
    return image_from_base64(data, head.removeprefix("data:"))


def with_images_behind_results(messages: Iterable[Message]) -> Iterator[Message]:
    """Let the images in tool results follow as a user message, for APIs whose results hold none.

    Args:
        messages: a valid conversation. The results of one reply must stand side by side, so the images come behind
            all of them.

    Returns:
        The conversation; its tool results still hold the images.
    """
    images: list[UserBlock] = []
    for message in messages:
        if images and not isinstance(message, ToolResultMessage):
            yield UserMessage(images)
            images = []
        if isinstance(message, ToolResultMessage):
            images += _announced(message)
        yield message
    if images:
        yield UserMessage(images)


def _announced(message: ToolResultMessage) -> list[UserBlock]:
    images = [block for block in message.content if isinstance(block, Image)]
    return [Text(f"The images that {message.name} returned:"), *images] if images else []
