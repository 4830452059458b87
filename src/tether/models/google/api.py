"""Google Gemini as a wire API. No I/O."""

from typing import Final

from tether.models._wire.protocol import WireApi
from tether.models.google.reply import NAME, decode
from tether.models.google.request import encode

__all__ = ("GOOGLE_GENERATE",)


def _url(base_url: str, model: str) -> str:
    base, _, query = base_url.partition("?")
    path = model if "/" in model else f"models/{model}"
    more = f"&{query}" if query else ""
    return f"{base.rstrip('/')}/{path}:streamGenerateContent?alt=sse{more}"


GOOGLE_GENERATE: Final = WireApi(
    name=NAME,
    encode=encode,
    decode=decode,
    url=_url,
    headers=lambda key: {"x-goog-api-key": key} if key else {},
)
"""The wire API."""
