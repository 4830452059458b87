"""Media types: told by the first bytes of a file, and written the one way that servers know.

No I/O.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = (
    "format_of",
    "media_type_of",
    "media_type_of_file",
    "media_type_of_name",
    "normal_media_type",
)

_HEAD: Final = 4096
"""Bytes that are looked at."""

_MARKS: Final[Sequence[tuple[int, bytes, str]]] = (
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"{\\rtf", "application/rtf"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AIFF", "audio/aiff"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (8, b"AVI ", "video/x-msvideo"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"\0\0\x01\xba", "video/mpeg"),
    (0, b"\0\0\x01\xb3", "video/mpeg"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "video/x-ms-wmv"),
)
"""Where a mark stands, the mark, and what it is the mark of. Those at 8 stand in a container; see `_CONTAINERS`."""

_CONTAINERS: Final = (b"RIFF", b"FORM")

_BRANDS: Final[Mapping[bytes, str]] = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"3gp4": "video/3gpp",
    b"3gp5": "video/3gpp",
}
"""Of files in the form of MP4 (ISO 14496-12); any other brand is a video."""

_OFFICE: Final[Sequence[tuple[bytes, str]]] = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
"""Folders in ZIP archives, and the documents they are in."""

_OTHER_NAMES: Final[Mapping[str, str]] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "application/x-pdf": "application/pdf",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/mp4a-latm": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "audio/aacp": "audio/aac",
    "application/ogg": "audio/ogg",
    "video/mov": "video/quicktime",
    "video/mpg": "video/mpeg",
    "video/avi": "video/x-msvideo",
    "video/mkv": "video/x-matroska",
    "video/matroska": "video/x-matroska",
    "text/x-markdown": "text/markdown",
    "application/csv": "text/csv",
}
"""Names that some programs give to types, and the ones that servers know."""

_SENDABLE: Final = (
    r"image/(?!svg).+|audio/.+|video/.+|application/(?:pdf|rtf|msword|epub\+zip|vnd\..+)"
)
"""Types of files that are more than their text."""

_FORMATS: Final[Mapping[str, str]] = {
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "image/svg+xml": "svg",
    "text/markdown": "md",
    "text/plain": "txt",
    "video/3gpp": "three_gp",
    "video/quicktime": "mov",
    "video/x-flv": "flv",
    "video/x-matroska": "mkv",
    "video/x-ms-wmv": "wmv",
    "video/x-msvideo": "avi",
}


def media_type_of(data: bytes) -> str | None:
    """Tell the media type of a file by its first bytes.

    Args:
        data: the file, or its first 4,096 bytes.

    Returns:
        The type, such as `image/png`; None if the bytes do not show it. Texts have no mark.
    """
    head = data[:_HEAD]
    for place, mark, type_ in _MARKS:
        if head.startswith(mark, place) and (place == 0 or head.startswith(_CONTAINERS)):
            return type_
    return _in_a_container(head)


def _in_a_container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"theora" in head[:64] else "audio/ogg"
    if head.startswith(b"PK\x03\x04"):
        return _archived(head)
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if found := _framed_sound(head):
        return found
    # Some programs write a line before the mark of a PDF.
    return "application/pdf" if b"%PDF-" in head[:1024] else None


def _framed_sound(head: bytes) -> str | None:
    """Sound without a mark: frames of AAC (ISO 13818-7) or MPEG audio (ISO 11172-3), each behind twelve set bits."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xF0 != 0xF0:
        return None
    if head[1] & 0x06 == 0:
        return "audio/aac"
    # No frame has the last bit rate or the last sample rate.
    return "audio/mpeg" if head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C else None


def _archived(head: bytes) -> str:
    """OpenDocument says its type in its first file; Office is known by its folders."""
    if found := re.search(rb"mimetype(application/[\w.+-]+?)(?:PK|$)", head[:256]):
        return found[1].decode()
    return next((type_ for folder, type_ in _OFFICE if folder in head), "application/zip")


def media_type_of_name(name: str) -> str | None:
    """Tell the media type by the ending of a file's name, or of a URL's path."""
    # Most programs send no files.
    import mimetypes  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415

    path = urlsplit(name).path if "://" in name else name
    guessed = mimetypes.guess_type(path, strict=False)[0]
    return normal_media_type(guessed) if guessed else None


def media_type_of_file(head: bytes, name: str) -> str | None:
    """Tell the media type of a file by its bytes, and where they do not show it by its name.

    Args:
        head: the first bytes of the file.
        name: its name.

    Returns:
        The type of a picture, a document, sound or a video; None for a text, and for anything else.
    """
    told = media_type_of(head)
    if told is None:
        named = media_type_of_name(name) or ""
        # TypeScript and MPEG streams have the same ending; no text has that of a picture.
        told = named if b"\0" in head or named.startswith("image/") else ""
    return told if re.fullmatch(_SENDABLE, told) else None


def normal_media_type(name: str) -> str:
    """Write a media type as servers know it: in lower case, without parameters, by its registered name.

    Args:
        name: the type as somebody wrote it, such as `image/jpg` or `text/plain; charset=utf-8`.

    Returns:
        The type, such as `image/jpeg`.
    """
    plain = name.partition(";")[0].strip().lower()
    return _OTHER_NAMES.get(plain, plain)


def format_of(media_type: str) -> str:
    """Return a media type as the one word that some APIs want, such as `mp3` for `audio/mpeg`."""
    return _FORMATS.get(media_type) or media_type.partition("/")[2].removeprefix("x-")
