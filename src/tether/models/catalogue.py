"""Names to models: `vendor:model`, with an address and a key for each vendor.

A vendor's code is imported when a model of its is named, not before.
"""

import difflib
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import frozen

from tether.errors import ModelError, UnknownModelError, UsageError
from tether.model import Model

__all__ = ("VENDORS", "Vendor", "model_from_name", "vendors")


@frozen
class Vendor:
    """Someone who serves models."""

    api: str
    """The module and name of the wire API."""
    base_url: str | None = None
    key: str | None = None
    """The environment variable that holds the key; None where no key is needed."""
    other_key: str | None = None
    """Another variable, for where that one is not set."""
    elsewhere: str | None = None
    """The wire API at an address that is not the vendor's, where it is another."""


_CHAT: Final = "openai_chat.api:OPENAI_CHAT"
_LIKE_CHAT: Final = "openai_chat.api:COMPATIBLE_CHAT"
_DEEPSEEK: Final = "openai_chat.api:DEEPSEEK_CHAT"
_MISTRAL: Final = "openai_chat.api:MISTRAL_CHAT"
_OPENROUTER: Final = "openai_chat.api:OPENROUTER_CHAT"

VENDORS: Final[dict[str, Vendor]] = {
    "openai": Vendor(
        "openai_responses.api:OPENAI_RESPONSES", "https://api.openai.com/v1", "OPENAI_API_KEY"
    ),
    "openai-chat": Vendor(
        _CHAT, "https://api.openai.com/v1", "OPENAI_API_KEY", elsewhere=_LIKE_CHAT
    ),
    "anthropic": Vendor(
        "anthropic.api:ANTHROPIC_MESSAGES", "https://api.anthropic.com", "ANTHROPIC_API_KEY"
    ),
    "google": Vendor(
        "google.api:GOOGLE_GENERATE",
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        other_key="GOOGLE_API_KEY",
    ),
    "groq": Vendor(_CHAT, "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": Vendor(_DEEPSEEK, "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "mistral": Vendor(_MISTRAL, "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "openrouter": Vendor(_OPENROUTER, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": Vendor(_CHAT, "https://api.x.ai/v1", "XAI_API_KEY"),
    "together": Vendor(_LIKE_CHAT, "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "cerebras": Vendor(_CHAT, "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "huggingface": Vendor(_LIKE_CHAT, "https://router.huggingface.co/v1", "HF_TOKEN"),
    "ollama": Vendor(_LIKE_CHAT, "http://127.0.0.1:11434/v1"),
    "vllm": Vendor(_LIKE_CHAT, "http://127.0.0.1:8000/v1"),
}
"""Who can be named before the colon."""

_OWN_HOSTS: Final = (".openai.com", ".azure.com")
"""Where OpenAI's models are, though the address be given."""

_MAKERS: Final = {
    "gpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "claude": "anthropic",
    "gemini": "google",
    "grok": "xai",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "magistral": "mistral",
}
"""How names of models begin, and whose they are."""


def vendors() -> dict[str, tuple[str, ...]]:
    """List who can be named before the colon.

    Returns:
        Their names, and the environment variables that may hold their keys; none where no key is needed.
    """
    return {
        name: tuple(key for key in (vendor.key, vendor.other_key) if key is not None)
        for name, vendor in VENDORS.items()
    }


def model_from_name(
    name: str,
    *,
    base_url: str | None = None,
    api_key: str | Callable[[], Any] | None = None,
    **settings: Any,
) -> Model:
    """Make a model of its name. Nothing is asked of anybody yet.

    Args:
        name: `vendor:model`, such as `groq:llama-3.3-70b-versatile`; or `offline`.
        base_url: where the model is, in place of the vendor's own address.
        api_key: the key, or a function, plain or async, that is asked for it at each request; the
            vendor's environment variable if None.
        **settings: fields of `HttpModel`, such as `idle_timeout`, `headers` and `retry`.

    Returns:
        The model.

    Raises:
        UnknownModelError: the name names nothing; the text has the closest names that do.
        UsageError: the base URL is no URL.
    """
    if name == "offline":
        return _imported("offline:offline_model")()  # type: ignore[no-any-return]  # that is what it makes
    prefix, _, model = name.partition(":")
    vendor = VENDORS.get(prefix)
    if vendor is None or not model:
        raise UnknownModelError(_unknown(name, prefix))
    url = (base_url or vendor.base_url or "").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"base_url must begin with http:// or https://, not {url!r}")
    own = base_url is None
    return _imported("_http.client:HttpModel")(  # type: ignore[no-any-return]  # it is the class
        name=name,
        model=model,
        api=_imported(vendor.api if own or _is_at_openai(url) else vendor.elsewhere or vendor.api),
        base_url=url,
        key=api_key if api_key is not None else _key_from_environment(vendor, needed=own),
        **settings,
    )


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"tether.models.{module}"), name)


def _key_from_environment(vendor: Vendor, *, needed: bool) -> Callable[[], str] | None:
    """Look the key up at each request; a server of one's own may want none."""
    variable = vendor.key
    if variable is None:
        return None

    def key() -> str:
        found = os.environ.get(variable) or os.environ.get(vendor.other_key or "", "")
        if needed and not found:
            raise ModelError(f"no key: set {variable}, or give api_key", kind="authentication")
        return found

    return key


def _is_at_openai(url: str) -> bool:
    try:
        return (urlsplit(url).hostname or "").endswith(_OWN_HOSTS)
    except ValueError as error:
        raise UsageError(f"base_url is no URL: {url!r} ({error})") from error


def _unknown(name: str, prefix: str) -> str:
    if prefix in VENDORS:
        return f"{name!r} names a vendor but no model; write {prefix}:MODEL"
    return (
        f"no model is called {name!r}{_hint(name, prefix)} A name is VENDOR:MODEL, where VENDOR is one of "
        f"{', '.join(VENDORS)}; or offline"
    )


def _hint(name: str, prefix: str) -> str:
    whose = [maker for start, maker in _MAKERS.items() if prefix.lower().startswith(start)]
    if ":" not in name and whose and whose[0] in VENDORS:
        return f"; did you mean {whose[0]}:{name}?"
    close = difflib.get_close_matches(prefix.lower(), [*VENDORS, "offline"], n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else "."
