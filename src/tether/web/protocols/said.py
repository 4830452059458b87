"""What clients send, as blocks. None of it is trusted. No I/O."""

import base64
import re
from collections.abc import Mapping
from typing import Final

from tether import UsageError
from tether.media import Audio, Document, Image, Media, Video, media_block
from tether.media_types import media_type_of

__all__ = ("file_block",)

_BY_URL: Final[Mapping[str, type[Image] | type[Audio] | type[Video]]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
}
_INLINE: Final = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)


def file_block(url: str, media_type: str = "", name: str | None = None, *, path: str) -> Media:
    """Make the block of a file that a client has attached.

    Args:
        url: `data:` with its bytes, or where the provider of the model is to fetch it.
        media_type: its type, as the client says.
        name: what it is called.
        path: where it stands in the request, for errors.

    Raises:
        UsageError: it is no such address, or not of a type that can be sent.
    """
    try:
        if inline := _INLINE.match(url):
            data = base64.b64decode(url[inline.end() :], validate=True)
            given = "" if media_type.endswith("/*") else media_type
            told = media_type_of(data) or given or inline["type"]
            return media_block(data, told or "application/octet-stream", name=name or "file")
        # Other schemes are storage that the provider reads with the rights of this server.
        if url.startswith(("https://", "http://")):
            kind = _BY_URL.get(media_type.partition("/")[0])
            if kind is not None:
                return kind(url=url, media_type="" if media_type.endswith("/*") else media_type)
            return Document(url=url, media_type=media_type, name=name)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    raise UsageError(
        f"{path}: the address of a file begins with data: (base64), https:// or http://"
    )
