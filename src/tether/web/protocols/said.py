"""What clients have said, as blocks: nothing of it is trusted. No I/O."""

from collections.abc import Mapping

from tether import UsageError
from tether.media import Audio, Document, Image, Media, Video, media_block

__all__ = ("file_block",)

_BY_URL: Mapping[str, type[Image] | type[Audio] | type[Video]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
}
_INLINE = "data:"
_FETCHED = ("https://", "http://")


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
        if url[: len(_INLINE)].lower() == _INLINE:
            inline = Document(url=url, media_type=media_type)
            return media_block(inline.data, inline.media_type, name=name or "file")
        # Other schemes are storage that the provider reads with the rights of this server.
        if url.startswith(_FETCHED):
            kind = _BY_URL.get(media_type.partition("/")[0])
            if kind is not None:
                return kind(url=url, media_type=media_type)
            return Document(url=url, media_type=media_type, name=name)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    raise UsageError(f"{path}: the address of a file begins with data:, https:// or http://")
