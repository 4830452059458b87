"""Which model the command uses where none is named: the one that goes with the first API key that is set."""

from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ("default_model",)

_DEFAULT_MODELS: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    ("anthropic:claude-sonnet-4-5", ("ANTHROPIC_API_KEY",)),
    ("openai:gpt-5", ("OPENAI_API_KEY",)),
    ("google:gemini-2.5-flash", ("GEMINI_API_KEY",)),
    ("groq:llama-3.3-70b-versatile", ("GROQ_API_KEY",)),
    ("mistral:mistral-large-latest", ("MISTRAL_API_KEY",)),
    ("deepseek:deepseek-chat", ("DEEPSEEK_API_KEY",)),
    ("openrouter:openrouter/auto", ("OPENROUTER_API_KEY",)),
    (
        "azure:{AZURE_OPENAI_DEPLOYMENT}",
        ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENT"),
    ),
    (
        "bedrock:global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ("AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION"),
    ),
)
"""Models, and the environment variables that are set where one is the default; the first one wins."""


def default_model(environ: Mapping[str, str]) -> str | None:
    """Choose a model.

    Args:
        environ: the environment variables.

    Returns:
        Its name; None if no key is set.
    """
    for model, variables in _DEFAULT_MODELS:
        if all(environ.get(name) for name in variables):
            return model.format_map(environ)
    return None
