"""OpenAI Chat Completions as a wire API, in each of its dialects. No I/O."""

import functools
from typing import Any, Final

from attrs import evolve

from tether.errors import UsageError
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
    "TAGGED_CHAT",
    "with_think_tags",
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


def with_think_tags(api: WireApi, think_tags: bool) -> WireApi:  # noqa: FBT001 - it has no other argument
    """Let a wire API read thinking from between tags at the beginning of a text, or take it for text.

    Raises:
        UsageError: it is not the API of chat completions.
    """
    if api.name != NAME:
        raise UsageError(f"think_tags is for chat completions: {api.name} has a field for thinking")
    reader: Any = functools.partial(decode, think_tags=think_tags)
    return evolve(api, decode=reader)


OPENAI_CHAT: Final = _speaking(OPENAI)
COMPATIBLE_CHAT: Final = _speaking(COMPATIBLE)
DEEPSEEK_CHAT: Final = _speaking(DEEPSEEK)
MISTRAL_CHAT: Final = _speaking(MISTRAL)
OPENROUTER_CHAT: Final = _speaking(OPENROUTER)
TAGGED_CHAT: Final = with_think_tags(COMPATIBLE_CHAT, think_tags=True)
"""The wire API, as each of them wants it spoken."""
