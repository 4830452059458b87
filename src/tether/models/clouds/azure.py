"""Azure OpenAI: deployments of models under an address of one's own. No I/O.

After Microsoft's reference (Azure OpenAI in Foundry models). The v1 API, which is the default, has OpenAI's own paths;
an API version asks for the older one, in which the deployment stands in the path.
"""

import re
from typing import Any, Final
from urllib.parse import quote

from attrs import evolve

from tether.models._wire.protocol import WireApi, join_url
from tether.models.clouds.settings import Given, chosen, key_from, needed
from tether.models.openai_chat.api import COMPATIBLE_CHAT, OPENAI_CHAT
from tether.models.openai_responses.api import OPENAI_RESPONSES

__all__ = ("azure", "azure_responses")

_ENDPOINT: Final = "AZURE_OPENAI_ENDPOINT"
_VERSIONS: Final = ("OPENAI_API_VERSION", "AZURE_OPENAI_API_VERSION")
_KEYS: Final = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN")
_OTHERS: Final = re.compile(
    r"gpt-oss|deepseek|llama|ministral|mistral|codestral|grok|phi|command|cohere|kimi|qwen|jais",
    re.IGNORECASE,
)
"""What the names of deployments have in common that are of other models than OpenAI's."""


def azure(
    model: str,
    *,
    base_url: str | None = None,
    api_key: Given = None,
    token: Given = None,
    api_version: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Reach a deployment over chat completions.

    Args:
        model: the deployment.
        base_url: the endpoint, such as `https://NAME.openai.azure.com`, with or without a path;
            AZURE_OPENAI_ENDPOINT if None.
        api_key: the key; AZURE_OPENAI_API_KEY if None.
        token: a token of Microsoft Entra in place of a key; AZURE_OPENAI_AD_TOKEN if None, and no key is set.
        api_version: such as `2024-10-21`; OPENAI_API_VERSION if None. Without one, and with `v1`, the v1 API is asked.
        **settings: of the model.

    Returns:
        The fields of the model.

    Raises:
        UsageError: there is no endpoint.
    """
    api = COMPATIBLE_CHAT if _OTHERS.search(model) else OPENAI_CHAT
    path = f"/deployments/{quote(model, safe='')}/chat/completions"
    return (
        _reached(api, "/chat/completions", path, base_url, api_version, api_key, token) | settings
    )


def azure_responses(
    model: str,
    *,
    base_url: str | None = None,
    api_key: Given = None,
    token: Given = None,
    api_version: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Reach a deployment over the Responses API; see `azure`."""
    del model
    path = "/responses"
    return _reached(OPENAI_RESPONSES, path, path, base_url, api_version, api_key, token) | settings


def _reached(
    api: WireApi,
    path: str,
    versioned_path: str,
    base_url: str | None,
    api_version: str | None,
    api_key: Given,
    token: Given,
) -> dict[str, Any]:
    given = needed(base_url, "azure", "base_url", _ENDPOINT)
    endpoint, _, query = given.partition("?")
    endpoint = re.sub(r"(/openai(/v1|/deployments/[^/]+)?)?/*$", "", endpoint)
    version = chosen(api_version, *_VERSIONS) or _version_in(query) or "v1"
    is_v1 = version in {"v1", "preview", "latest"}
    base = f"{endpoint}/openai/v1" if is_v1 else f"{endpoint}/openai?api-version={version}"
    whole_path = path if is_v1 else versioned_path
    return {
        "api": evolve(
            api,
            url=lambda base_url, _: join_url(base_url, whole_path),
            headers=_bearer if token is not None else _key_or_token,
        ),
        "base_url": base,
        "key": token if token is not None else key_from(api_key, *_KEYS),
    }


def _version_in(query: str) -> str | None:
    found = re.search(r"(?:^|&)api-version=([^&]+)", query)
    return found[1] if found else None


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _key_or_token(key: str) -> dict[str, str]:
    """Tokens of Microsoft Entra are JSON Web Tokens, which no key looks like."""
    if re.match(r"eyJ[\w-]+\.", key):
        return _bearer(key)
    return {"api-key": key} if key else {}
