"""OpenAI Responses as a wire API. No I/O."""

from typing import Final

from tether.models._wire.protocol import WireApi, join_url
from tether.models.openai_responses.items import NAME
from tether.models.openai_responses.reply import decode
from tether.models.openai_responses.request import encode

__all__ = ("OPENAI_RESPONSES",)

OPENAI_RESPONSES: Final = WireApi(
    name=NAME,
    encode=encode,
    decode=decode,
    url=lambda base_url, _: join_url(base_url, "/responses"),
    headers=lambda key: {"authorization": f"Bearer {key}"} if key else {},
)
"""The wire API."""
