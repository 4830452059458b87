"""Which model the command uses where none is named, and at which address.

A conversation goes on with the model that it was held with. Without one, the first API key that is set decides.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from tether import Session, UsageError
from tether.cli.session_files import is_kept_here

__all__ = (
    "NO_KEY",
    "HeldWith",
    "address_from",
    "chosen_address",
    "default_model",
    "held_with",
    "why_model",
)

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

_DEFAULT: Final = "default"
"""The word for a provider's own address."""
_MASK: Final = "[key]"
"""What a session has in the place of a secret."""


NO_KEY: Final = (
    "no API key is set: using the offline model, which follows a few rules;"
    " `tether keys set anthropic` keeps a key"
)


def why_model(model: str, environ: Mapping[str, str]) -> str:
    """Say why a model was chosen, in half a sentence; empty where a person has named it, or their extension has."""
    if model == "offline":
        return "no API key is set"
    if model == environ.get("TETHER_MODEL"):
        return "TETHER_MODEL names it"
    for name, variables in _DEFAULT_MODELS:
        if all(environ.get(one) for one in variables) and model == name.format_map(environ):
            return f"{variables[0]} is set"
    return ""


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


@frozen
class HeldWith:
    """What a conversation was held with last, as its session has it."""

    name: str | None = None
    base_url: str | None = None
    """None for the provider's own address."""


def held_with(session: Session | None) -> HeldWith:
    """Look up what a conversation was held with last; the offline model counts as none."""
    branch = session.branch if session is not None else ()
    for entry in reversed(branch):
        name, url = entry.data.get("name"), entry.data.get("base_url")
        if entry.kind != "model" or not isinstance(name, str):
            continue
        if name == "offline":
            break
        return HeldWith(name, url if isinstance(url, str) else None)
    return HeldWith()


def address_from(text: str) -> str | None:
    """Read an address that a person has given; None for that of the provider."""
    return None if text == _DEFAULT else text


def chosen_address(given: str | None, held: str | None, session_path: Path | None) -> str | None:
    """Choose the address to go to: the one that is given, else that of the conversation so far.

    Args:
        given: what the person gave, if they gave one.
        held: where the conversation was held, if not at the provider's own address.
        session_path: where the conversation is kept.

    Returns:
        The address; None for the provider's own.

    Raises:
        UsageError: the person has to name it: it held a secret, which is not kept; or it is from a file that others
            may have written, and a key and what is said would be sent to it.
    """
    if given is not None:
        return address_from(given)
    if held is None:
        return None
    is_ours = session_path is not None and is_kept_here(session_path)
    if _MASK not in held and (is_ours or _is_loopback(held)):
        return held
    raise UsageError(
        f"this conversation was held at {held}: pass --base-url with that address to go on there,"
        f" or --base-url {_DEFAULT} for the provider's own"
    )


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
