"""Which model the command uses where none is named: the one that goes with the first API key that is set."""

from collections.abc import Mapping
from typing import Final

__all__ = ("default_model",)

_DEFAULT_MODELS: Final = {
    "ANTHROPIC_API_KEY": "anthropic:claude-sonnet-4-5",
    "OPENAI_API_KEY": "openai:gpt-5",
    "GEMINI_API_KEY": "google:gemini-2.5-flash",
    "GROQ_API_KEY": "groq:llama-3.3-70b-versatile",
    "MISTRAL_API_KEY": "mistral:mistral-large-latest",
    "DEEPSEEK_API_KEY": "deepseek:deepseek-chat",
    "OPENROUTER_API_KEY": "openrouter:openrouter/auto",
}
"""The model by the API key that is set, where no model is named; the first one wins."""


def default_model(environ: Mapping[str, str]) -> str | None:
    """Choose a model.

    Args:
        environ: the environment variables.

    Returns:
        Its name; None if no key is set.
    """
    return next((model for key, model in _DEFAULT_MODELS.items() if environ.get(key)), None)
