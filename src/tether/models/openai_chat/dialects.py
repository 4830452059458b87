"""How servers of chat completions differ from OpenAI in what they accept.

After their API references. Everything else is as with OpenAI.

No I/O.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from attrs import frozen

from tether.media import Media
from tether.model import ThinkingLevel
from tether.models._wire.ids import valid_call_id
from tether.models.openai_chat.media import (
    compatible_part,
    mistral_part,
    openai_part,
    openrouter_part,
    picture_part,
)

__all__ = ("COMPATIBLE", "DEEPSEEK", "MISTRAL", "OPENAI", "OPENROUTER", "Dialect")


def _effort(level: ThinkingLevel) -> Mapping[str, Any]:
    return {"reasoning_effort": "none" if level == "off" else level}


def _effort_or_none(level: ThinkingLevel) -> Mapping[str, Any]:
    """Mistral knows two levels."""
    return {"reasoning_effort": "none" if level == "off" else "high"}


def _switch_and_effort(level: ThinkingLevel) -> Mapping[str, Any]:
    """DeepSeek has a switch, and maps the levels it does not know itself."""
    if level == "off":
        return {"thinking": {"type": "disabled"}}
    return {"thinking": {"type": "enabled"}, "reasoning_effort": level}


def _reasoning_object(level: ThinkingLevel) -> Mapping[str, Any]:
    """OpenRouter translates one object for all the providers behind it."""
    return {"reasoning": {"enabled": False} if level == "off" else {"effort": level}}


def _nine_characters(call_id: str) -> str:
    """Mistral's ids are nine letters and digits; every other is refused."""
    if re.fullmatch(r"[a-zA-Z0-9]{9}", call_id):
        return call_id
    return hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:9]


def _forty_characters(call_id: str) -> str:
    """OpenAI refuses longer ids."""
    return valid_call_id(call_id, longest=40)


@frozen(kw_only=True)
class Dialect:
    """How a server differs from OpenAI."""

    output_limit: str = "max_completion_tokens"
    """The name of the output limit. `max_tokens` is the older one, which all but OpenAI's newer models know."""
    asks_for_usage: bool = True
    """False if usage always comes, and a request for it is an error."""
    thinking: Callable[[ThinkingLevel], Mapping[str, Any]] = _effort
    """From a thinking level to the fields that request it."""
    forces_without_thinking: bool = False
    """Whether a model that thinks, as it does by default, refuses to be forced to call a tool."""
    thinking_back: Literal["reasoning_content", "reasoning_details"] | None = None
    """The field in which a server accepts its own thinking; if None, thinking is left out."""
    call_id: Callable[[str], str] = _forty_characters
    """From any id to a valid one."""
    media: Callable[[Media], dict[str, Any]] = openai_part
    """From a picture, document, sound or video to the part of a message that holds it."""
    bridge: str | None = None
    """The assistant's words between a tool's result and a user message, which the server refuses side by side."""
    cache_marker_for: str | None = None
    """How the names of models begin whose cache must be requested."""


OPENAI: Final = Dialect()

COMPATIBLE: Final = Dialect(output_limit="max_tokens", media=compatible_part)
"""Any other server: Hugging Face, Ollama, Together, one's own."""

MISTRAL: Final = Dialect(
    output_limit="max_tokens",
    asks_for_usage=False,
    thinking=_effort_or_none,
    call_id=_nine_characters,
    media=mistral_part,
    bridge="I have these results.",
)

DEEPSEEK: Final = Dialect(
    output_limit="max_tokens",
    thinking=_switch_and_effort,
    forces_without_thinking=True,
    media=picture_part,
    # Required of every reply that called tools, once there was thinking.
    thinking_back="reasoning_content",
)

OPENROUTER: Final = Dialect(
    output_limit="max_tokens",
    thinking=_reasoning_object,
    media=openrouter_part,
    thinking_back="reasoning_details",
    cache_marker_for="anthropic/",
)
