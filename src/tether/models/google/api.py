"""Google Gemini as a wire API. No I/O."""

from typing import Final

from tether.models._wire.protocol import WireApi, join_url
from tether.models.google.reply import NAME, decode
from tether.models.google.request import encode

__all__ = ("GOOGLE_GENERATE",)


def _path(model: str) -> str:
    return model if "/" in model else f"models/{model}"


def _url(base_url: str, model: str) -> str:
    base, _, query = base_url.partition("?")
    more = f"&{query}" if query else ""
    return f"{base.rstrip('/')}/{_path(model)}:streamGenerateContent?alt=sse{more}"


def _whole_url(base_url: str, model: str) -> str:
    return join_url(base_url, f"/{_path(model)}:generateContent")


GOOGLE_GENERATE: Final = WireApi(
    name=NAME,
    encode=encode,
    decode=decode,
    url=_url,
    headers=lambda key: {"x-goog-api-key": key} if key else {},
    whole_url=_whole_url,
)
"""The wire API."""
