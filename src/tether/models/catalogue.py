"""From names to models: `provider:model`, with an address and a key for each provider.

The code of a wire API is imported when the first model that needs it is named.
"""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import frozen

from tether.errors import ModelError, UnknownModelError, UsageError
from tether.model import Model

__all__ = (
    "CLOUDS",
    "PROVIDERS",
    "Cloud",
    "Provider",
    "model_from_name",
    "own_server",
    "provider_keys",
)


@frozen
class Provider:
    """A service that offers models."""

    api: str
    """The module and name of the wire API."""
    base_url: str | None = None
    key: str | None = None
    """The environment variable that holds the key; None where no key is needed."""
    other_key: str | None = None
    """Another variable, read if that one is not set."""
    elsewhere: str | None = None
    """The wire API at any other address, where a compatible server answers, if it is another."""


@frozen
class Cloud:
    """A service at an address of its user's own, with settings of its own."""

    settings: str
    """The module and name of the function that makes the fields of a model of them."""
    keys: tuple[str, ...]
    """The environment variables that are set where it can be used; one is enough."""
    extra: str | None = None
    """What has to be installed for it: an extra of tether's."""


_CHAT: Final = "openai_chat.api:OPENAI_CHAT"
_LIKE_CHAT: Final = "openai_chat.api:COMPATIBLE_CHAT"
_TAGGED_CHAT: Final = "openai_chat.api:TAGGED_CHAT"
"""Of servers that leave the thinking of a model between the tags it wrote."""
_DEEPSEEK: Final = "openai_chat.api:DEEPSEEK_CHAT"
_MISTRAL: Final = "openai_chat.api:MISTRAL_CHAT"
_OPENROUTER: Final = "openai_chat.api:OPENROUTER_CHAT"

PROVIDERS: Final[dict[str, Provider]] = {
    "openai": Provider(
        "openai_responses.api:OPENAI_RESPONSES", "https://api.openai.com/v1", "OPENAI_API_KEY"
    ),
    "openai-chat": Provider(
        _CHAT, "https://api.openai.com/v1", "OPENAI_API_KEY", elsewhere=_LIKE_CHAT
    ),
    "anthropic": Provider(
        "anthropic.api:ANTHROPIC_MESSAGES", "https://api.anthropic.com", "ANTHROPIC_API_KEY"
    ),
    "google": Provider(
        "google.api:GOOGLE_GENERATE",
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        other_key="GOOGLE_API_KEY",
    ),
    "groq": Provider(_CHAT, "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "deepseek": Provider(_DEEPSEEK, "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "mistral": Provider(_MISTRAL, "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "openrouter": Provider(_OPENROUTER, "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "xai": Provider(_CHAT, "https://api.x.ai/v1", "XAI_API_KEY"),
    "together": Provider(_TAGGED_CHAT, "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "cerebras": Provider(_CHAT, "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "huggingface": Provider(_TAGGED_CHAT, "https://router.huggingface.co/v1", "HF_TOKEN"),
    "ollama": Provider(_TAGGED_CHAT, "http://127.0.0.1:11434/v1"),
    "vllm": Provider(_TAGGED_CHAT, "http://127.0.0.1:8000/v1"),
}
"""Services with an address of their own, by the name that stands before the colon."""

CLOUDS: Final[dict[str, Cloud]] = {
    "azure": Cloud("clouds.azure:azure", ("AZURE_OPENAI_API_KEY",)),
    "azure-responses": Cloud("clouds.azure:azure_responses", ("AZURE_OPENAI_API_KEY",)),
    "bedrock": Cloud(
        "clouds.aws:bedrock", ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID"), extra="bedrock"
    ),
    "vertex": Cloud("clouds.vertex:vertex", ("GOOGLE_CLOUD_PROJECT",)),
}
"""The same of clouds."""

_OWN_HOSTS: Final = (".openai.com", ".azure.com")
"""Hosts that serve OpenAI's own models, also when `base_url` names them."""

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
"""How names of models begin, and who provides them."""


def provider_keys() -> dict[str, tuple[str, ...]]:
    """List the providers: the names that can stand before the colon.

    Returns:
        Their names, and the environment variables that may hold their keys; none if no key is needed.
    """
    keys = {
        name: tuple(key for key in (provider.key, provider.other_key) if key is not None)
        for name, provider in PROVIDERS.items()
    }
    return keys | {name: cloud.keys for name, cloud in CLOUDS.items()}


def model_from_name(
    name: str,
    *,
    base_url: str | None = None,
    api_key: str | Callable[[], Any] | None = None,
    think_tags: bool | None = None,
    **settings: Any,
) -> Model:
    """Make a model from its name. No request is made yet.

    Args:
        name: `provider:model`, such as `groq:llama-3.3-70b-versatile`; or `offline`.
        base_url: the address of the server, in place of the provider's own.
        api_key: the key, or a function, plain or async, that returns it, called at each request; the
            provider's environment variable if None.
        think_tags: whether `<think>...</think>` at the beginning of a text is thinking, as local models write it. If
            None, it is for `ollama`, `vllm`, `together` and `huggingface`; other services have a field for thinking.
        **settings: fields of `HttpModel`, such as `idle_timeout`, `headers`, `retry` and `stream`; and a cloud's own:
            `api_version` and `token` (azure), `project`, `region` and `token` (vertex), `region`, `profile` and
            `credentials` (bedrock).

    Returns:
        The model.

    Raises:
        UnknownModelError: there is no such provider, or no model is named; the message has the closest names.
        UsageError: something that a cloud needs is missing, or an extra is not installed; the base URL is not a URL,
            or the key or a header cannot be sent; or `think_tags` is given for another API than chat completions.
    """
    if name == "offline":
        return _imported("offline:offline_model")()  # type: ignore[no-any-return]  # that is what it makes
    prefix, _, model = name.partition(":")
    if not model or prefix not in {*PROVIDERS, *CLOUDS}:
        raise UnknownModelError(_unknown(name, prefix))
    if (cloud := CLOUDS.get(prefix)) is not None:
        reached = _cloud(prefix, cloud)(model, base_url=base_url, api_key=api_key, **settings)
    else:
        reached = _reached(PROVIDERS[prefix], base_url, api_key) | settings
    if not str(reached["base_url"]).startswith(("http://", "https://")):
        url = _printable(reached["base_url"])
        raise UsageError(f"base_url must begin with http:// or https://, not {url!r}")
    if think_tags is not None:
        reached["api"] = _imported("openai_chat.api:with_think_tags")(reached["api"], think_tags)
    return _imported("_http.client:HttpModel")(name=name, model=model, **reached)  # type: ignore[no-any-return]


def _cloud(name: str, cloud: Cloud) -> Callable[..., dict[str, Any]]:
    try:
        return _imported(cloud.settings)  # type: ignore[no-any-return]  # it is such a function
    except ImportError as error:
        if cloud.extra is None:
            raise
        raise UsageError(f"{name} needs more: pip install 'tether[{cloud.extra}]'") from error


def _reached(
    provider: Provider, base_url: str | None, api_key: str | Callable[[], Any] | None
) -> dict[str, Any]:
    """Find out how a service is reached: the fields of its model."""
    url = (base_url or provider.base_url or "").rstrip("/")
    own = base_url is None
    place = provider.api if own or _is_at_openai(url) else provider.elsewhere or provider.api
    api = _imported(place)
    if not own and api.at is not None:
        api = api.at(url)
    return {"api": api, "base_url": url, **_key(provider, api_key, needed=own)}


def _key(
    provider: Provider, given: str | Callable[[], Any] | None, *, needed: bool
) -> dict[str, Any]:
    """Return the key, and where it comes from."""
    if given is not None:
        return {"key": given}
    variables = " or ".join(filter(None, (provider.key, provider.other_key)))
    found = f"read from {variables}" if variables else "not set: pass api_key"
    return {"key": _key_from_environment(provider, needed=needed), "key_from": found}


def own_server(model: Model) -> str | None:
    """Return where a model is, if it is not at its provider's own address.

    Args:
        model: any model.

    Returns:
        The address, as people may see it: without user name and password, and with parameters masked. None for the
        provider's own, and for a model that has no address.
    """
    url: object = getattr(model, "base_url", None)
    prefix = model.name.partition(":")[0]
    provider = PROVIDERS.get(prefix)
    own = None if provider is None else (provider.base_url or "").rstrip("/")
    if not isinstance(url, str) or prefix not in {*PROVIDERS, *CLOUDS} or url == own:
        return None
    return _printable(url)


def _imported(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"tether.models.{module}"), name)


def _key_from_environment(provider: Provider, *, needed: bool) -> Callable[[], str] | None:
    """Read the key at each request; a server of one's own may want none."""
    variable = provider.key
    if variable is None:
        return None

    def key() -> str:
        found = os.environ.get(variable) or os.environ.get(provider.other_key or "", "")
        if needed and not found:
            raise ModelError(f"no key: set {variable}, or pass api_key", kind="authentication")
        return found

    return key


def _is_at_openai(url: str) -> bool:
    try:
        return (urlsplit(url).hostname or "").endswith(_OWN_HOSTS)
    except ValueError as error:
        told = f" ({error})" if _printable(url) == url else ""
    raise UsageError(f"base_url is not a URL: {_printable(url)!r}{told}")


def _printable(url: str) -> str:
    return str(_imported("_http.secrets:printable_url")(url))


def _unknown(name: str, prefix: str) -> str:
    if prefix in provider_keys():
        return f"{name!r} names a provider but no model; write {prefix}:MODEL"
    return (
        f"no model is called {name!r}{_hint(name, prefix)} A name is PROVIDER:MODEL, where PROVIDER is one of "
        f"{', '.join(provider_keys())}; or offline"
    )


def _hint(name: str, prefix: str) -> str:
    whose = [maker for start, maker in _MAKERS.items() if prefix.lower().startswith(start)]
    if ":" not in name and whose and whose[0] in PROVIDERS:
        return f"; did you mean {whose[0]}:{name}?"
    import difflib  # noqa: PLC0415 - only after a failure

    close = difflib.get_close_matches(
        prefix.lower(), [*provider_keys(), "offline"], n=3, cutoff=0.55
    )
    return f"; did you mean {' or '.join(close)}?" if close else "."
