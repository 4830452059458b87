"""Make text of what the web has: pages become Markdown."""

import codecs
import re
from typing import Final

from tether import Image, UsageError
from tether.media_types import media_type_of_file
from tether.opening import is_binary

__all__ = ("content_of",)

_PAGES: Final = {"text/html", "application/xhtml+xml"}
_TEXTS: Final = re.compile(
    r"text/.*|application/(?:json|xml|yaml|x-yaml|toml|javascript|x-javascript|ecmascript|x-sh|x-ndjson|sql|graphql"
    r"|ld\+json|rtf)|.*\+(?:json|xml|yaml)"
)
_IMAGES: Final = {"image/png", "image/jpeg", "image/gif", "image/webp"}
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_LOOKS_LIKE_A_PAGE: Final = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)
_HEAD: Final = 1024
"""Bytes in which a page says how it is written."""
_NOT_FOR_PAGES: Final = {
    *(
        "idna",
        "punycode",
        "unicode_escape",
        "raw_unicode_escape",
        "utf-7",
        "undefined",
        "mbcs",
        "oem",
    ),
}


def content_of(content: bytes, content_type: str, url: str) -> str | Image:
    """Make of an answer what a model can read.

    Args:
        content: its bytes.
        content_type: what the server says that it is; it may say nothing, or what is not true.
        url: where it is; addresses in a page are completed with it.

    Returns:
        The text, or an image.

    Raises:
        ValueError: it is neither.
        UsageError: what turns pages into Markdown is not installed.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _IMAGES:
        return _image(content, kind)
    if kind and kind not in _PAGES and not _TEXTS.fullmatch(kind):
        raise ValueError(
            f"it is {kind} of {len(content):,} bytes; only pages, texts and images can be read"
        )
    if is_binary(content) and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"it is no text, although the server says {kind or 'nothing'} of it")
    is_page = kind in _PAGES or (not kind and _LOOKS_LIKE_A_PAGE.match(content) is not None)
    text = _decoded(content, content_type, is_page=is_page)
    return _markdown(text, url) if is_page else text


def _image(content: bytes, kind: str) -> Image:
    if media_type_of_file(content, "image") != kind:
        raise ValueError(f"it is no {kind}, although the server says so")
    return Image(content, kind)


def _decoded(content: bytes, content_type: str, *, is_page: bool) -> str:
    if content.startswith(codecs.BOM_UTF8):
        return content.decode("utf-8-sig", errors="replace")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    head = content[:_HEAD].decode("ascii", errors="replace") if is_page else ""
    for said in (_CHARSET.search(content_type), _CHARSET.search(head)):
        if said and (name := _known(said[1])):
            return content.decode(name, errors="replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _known(charset: str) -> str | None:
    try:
        name = codecs.lookup(charset).name
        b"a".decode(name, errors="replace")  # some codecs are for no text
    except (LookupError, UnicodeError):
        return None
    return None if name in _NOT_FOR_PAGES else name


def _markdown(page: str, url: str) -> str:
    try:
        from html_to_markdown import (  # noqa: PLC0415 - only where a page is fetched
            ConversionOptions,
            convert,
        )
    except ModuleNotFoundError as error:
        raise UsageError(
            "pages become Markdown by html-to-markdown: pip install 'tether[fetch]'"
        ) from error
    options = ConversionOptions(base_url=url, bullets="-", inline_data_media="alt_text_only")
    return (convert(page, options).content or "").strip()
