"""OpenAI Chat Completions as a wire API, in each of its dialects. No I/O."""

import functools
from typing import Any, Final

from tether.models._wire.protocol import WireApi, join_url
from tether.models.openai_chat.dialects import (
    COMPATIBLE,
    DEEPSEEK,
    MISTRAL,
    OPENAI,
    OPENROUTER,
    Dialect,
)
from tether.models.openai_chat.reply import NAME, decode
from tether.models.openai_chat.request import encode

__all__ = (
    "COMPATIBLE_CHAT",
    "DEEPSEEK_CHAT",
    "MISTRAL_CHAT",
    "OPENAI_CHAT",
    "OPENROUTER_CHAT",
)


def _speaking(dialect: Dialect) -> WireApi:
    encoder: Any = functools.partial(encode, dialect=dialect)
    return WireApi(
        name=NAME,
        encode=encoder,
        decode=decode,
        url=lambda base_url, _: join_url(base_url, "/chat/completions"),
        headers=lambda key: {"authorization": f"Bearer {key}"} if key else {},
    )


OPENAI_CHAT: Final = _speaking(OPENAI)
COMPATIBLE_CHAT: Final = _speaking(COMPATIBLE)
DEEPSEEK_CHAT: Final = _speaking(DEEPSEEK)
MISTRAL_CHAT: Final = _speaking(MISTRAL)
OPENROUTER_CHAT: Final = _speaking(OPENROUTER)
"""The wire API, as each of them wants it spoken."""
