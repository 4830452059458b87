"""Blocks that hold no text: pictures, documents, sound and video.

Each is given in one of three ways: as bytes, as a URL, or as the id that a provider gave to an uploaded file. What a
provider does not take is an error that names both when a request is written, not before: a conversation may move.

No I/O, but for `media_or_text`, which reads a file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from attrs import field, frozen

from tether.media_types import (
    media_type_of,
    media_type_of_file,
    media_type_of_name,
    normal_media_type,
)
from tether.opening import is_binary, open_regular, read_at_most

__all__ = (
    "LARGEST_FILE",
    "Audio",
    "Document",
    "Image",
    "Media",
    "Video",
    "media_block",
    "media_or_text",
)

LARGEST_FILE: Final = 32 * 1024 * 1024
"""Bytes of a file that is given by its path; providers take no larger requests."""
_LONGEST_TEXT: Final = 1024 * 1024

_SCHEMES: Final = ("https://", "http://", "gs://", "s3://")
_DATA_URL: Final = r"data:([^;,]*)(?:;[^;,]*)*;base64,"


@frozen(repr=False)
class _Media:
    """What the four have in common.

    Raises:
        TypeError: `data` is not bytes.
        ValueError: not exactly one of `data`, `url` and `file_id` is given; the URL is none; or the type is unknown,
            or that of another block.
    """

    type: ClassVar[str]

    data: bytes = b""
    """Empty where a URL or an id is given. The bytes of a URL that holds them (`data:`) are taken out of it."""
    media_type: str = ""
    """The bytes count for more than what is given here, where they show the type; "" where it is not known."""
    url: str | None = field(default=None, kw_only=True)
    """Where the provider is to fetch it: `https://`, or the provider's own storage, such as `gs://` and `s3://`."""
    file_id: str | None = field(default=None, kw_only=True)
    """The id that the provider gave to an uploaded file; no other provider knows it."""

    def __attrs_post_init__(self) -> None:
        if self.url is not None and (inline := _inline(self.url)) is not None:
            media_type, data = inline
            _set(self, data=data, url=None, media_type=self.media_type or media_type)
        _refuse_what_is_no_bytes(_name(self), self.data)
        self._check()
        _set(self, media_type=_type_told(self))

    def _check(self) -> None:
        given = [name for name in ("data", "url", "file_id") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "nothing, or nothing in it"
            raise ValueError(f"{_name(self)} takes one of data, url and file_id; got {found}")
        if self.url is not None and not self.url.startswith(_SCHEMES):
            raise ValueError(
                f"the url of {_name(self)} begins with {', '.join(_SCHEMES)} or data:, not {self.url[:80]!r}"
            )

    def __repr__(self) -> str:
        data = f"data=<{len(self.data)} bytes>" if self.data else ""
        others = [f"{name}={value!r}" for name, value in _others(self).items() if value]
        return f"{_name(self)}({', '.join(filter(None, [data, *others]))})"


def _others(media: _Media) -> Mapping[str, Any]:
    names = ("media_type", "url", "file_id", "name")
    return {name: getattr(media, name, None) for name in names}


class Image(_Media):
    """A picture."""

    __slots__ = ()

    type: ClassVar[Literal["image"]] = "image"


@frozen(repr=False)
class Document(_Media):
    """A document: a PDF, an office document, or a text that is to be kept apart from what is said."""

    type: ClassVar[Literal["document"]] = "document"

    name: str | None = field(default=None, kw_only=True)
    """What it is called, such as `report.pdf`."""


class Audio(_Media):
    """Sound."""

    __slots__ = ()

    type: ClassVar[Literal["audio"]] = "audio"


class Video(_Media):
    """A video."""

    __slots__ = ()

    type: ClassVar[Literal["video"]] = "video"


Media: TypeAlias = Image | Document | Audio | Video

_CLASSES: Final[Mapping[str, type[Media]]] = {"image": Image, "audio": Audio, "video": Video}
"""By the first half of the media type; any other is that of a document."""

_UNTOLD: Final[Mapping[type[_Media], str]] = {Image: "image/png"}
"""What bytes are taken for if nothing shows their type."""


def media_or_text(path: Path) -> Media | str:
    """Read a file at once; the event loop waits meanwhile.

    Args:
        path: a regular file, of at most 32 MiB, or 1 MiB of text.

    Returns:
        The block for what its bytes show it to be; a text as a string, under its name.

    Raises:
        ValueError: it is not a regular file, too large, or neither a text nor of a known type.
        OSError: it cannot be read.
    """
    with open_regular(path, str(path)) as file:
        data = read_at_most(file, LARGEST_FILE)
    if data is None:
        raise ValueError(f"{path} has more than the {LARGEST_FILE:,} bytes that can be sent")
    if (media_type := media_type_of_file(data, path.name)) is not None:
        return media_block(data, media_type, name=path.name)
    if is_binary(data):
        raise ValueError(f"{path} is neither a text nor of a known type; pass its bytes in a block")
    if len(data) > _LONGEST_TEXT:
        raise ValueError(f"{path} has more than the {_LONGEST_TEXT:,} bytes of a text")
    text = _text_in(data)
    return f"{path.name}:\n{data.decode('latin-1') if text is None else text}"


def media_block(data: bytes, media_type: str, *, name: str) -> Media:
    """Make the block for a file.

    Args:
        data: its bytes.
        media_type: its type.
        name: its name, which a document keeps.
    """
    made = _class_for(media_type)
    return Document(data, media_type, name=name) if made is Document else made(data, media_type)


def _text_in(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _refuse_what_is_no_bytes(name: str, data: object) -> None:
    if not isinstance(data, bytes):
        raise TypeError(
            f"{name} takes bytes, not {type(data).__name__}; "
            "an address is given as url=, and a file as a Path in the message"
        )


def _set(media: _Media, **fields: Any) -> None:
    """Set fields while the block is made; it is frozen afterwards."""
    for name, value in fields.items():
        object.__setattr__(media, name, value)


def _inline(url: str) -> tuple[str, bytes] | None:
    """Return the type and the bytes that a URL holds (RFC 2397); None for any other URL."""
    head = re.match(_DATA_URL, url, re.IGNORECASE)
    if head is None:
        return None
    from base64 import b64decode  # noqa: PLC0415 - only for such a URL

    try:
        return head[1], b64decode(url[head.end() :], validate=True)
    except ValueError:
        raise ValueError("the data: URL holds no base64") from None


def _type_told(media: _Media) -> str:
    given = normal_media_type(media.media_type)
    if not media.data:
        return given or media_type_of_name(media.url or "") or ""
    told = media_type_of(media.data)
    if told is not None and _fits(told, media):
        return told
    if told is not None and not _holds_either(told, media):
        raise ValueError(f"{_name(media)} was given {told}: use {_class_for(told).__name__}")
    if told is not None and not given:
        return f"{media.type}/{told.partition('/')[2]}"
    if untold := given or _UNTOLD.get(type(media)):
        return untold
    if isinstance(media, Document) and not is_binary(media.data) and _text_in(media.data):
        return "text/plain"
    raise ValueError(
        f"the bytes do not show which type they are: pass media_type to {_name(media)}"
    )


def _fits(told: str, media: _Media) -> bool:
    # A ZIP archive may be a document of any kind.
    return _class_for(told) is type(media) and told != "application/zip"


def _holds_either(told: str, media: _Media) -> bool:
    """Return True for containers that hold sound as well as video, and for a ZIP archive in a document."""
    kinds = {media.type, told.partition("/")[0]}
    return kinds == {"audio", "video"} or told == "application/zip"


def _class_for(media_type: str) -> type[Media]:
    return _CLASSES.get(media_type.partition("/")[0], Document)


def _name(media: _Media) -> str:
    return type(media).__name__
