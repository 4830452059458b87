"""Names of models, and what they are made into."""

import subprocess
import sys

import pytest

from tether import ModelError, ModelRequest, UnknownModelError, UsageError, UserMessage
from tether.models._http.client import HttpModel
from tether.models.catalogue import PROVIDERS, model_from_name
from tether.models.openai_chat.api import COMPATIBLE_CHAT, OPENAI_CHAT


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_every_provider_makes_a_model_that_speaks_to_it(provider: str) -> None:
    model = model_from_name(f"{provider}:some/model:tag", api_key="k")
    assert isinstance(model, HttpModel)
    assert (model.name, model.model) == (f"{provider}:some/model:tag", "some/model:tag")
    assert model.base_url == PROVIDERS[provider].base_url
    assert model.api.url(model.base_url, model.model).startswith(f"{model.base_url}/")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("grok:llama", "did you mean groq? A name is"),
        ("Groq:llama", "did you mean groq? A name is"),
        ("offlin", "did you mean offline? A name is"),
        ("grok-4", "did you mean xai:grok-4? A name is"),
        ("deepseek-chat", "did you mean deepseek:deepseek-chat? A name is"),
        ("groq:", "'groq:' names a provider but no model; write groq:MODEL"),
        ("groq", "'groq' names a provider but no model; write groq:MODEL"),
        ("", "no model is called ''. A name is PROVIDER:MODEL, where PROVIDER is one of openai"),
    ],
)
def test_an_unknown_name_is_told_with_the_closest_known_ones(name: str, hint: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        model_from_name(name)
    assert hint in str(caught.value)


def test_a_base_url_must_be_one() -> None:
    with pytest.raises(UsageError, match="must begin with http:// or https://, not 'localhost:1'"):
        model_from_name("vllm:m", base_url="localhost:1")
    with pytest.raises(UsageError, match="base_url is not a URL"):
        model_from_name("openai-chat:m", base_url="http://[::1")


@pytest.mark.parametrize(
    ("base_url", "api"),
    [
        (None, OPENAI_CHAT),
        ("https://eu.api.openai.com/v1", OPENAI_CHAT),
        ("https://me.openai.azure.com/openai/v1", OPENAI_CHAT),
        ("http://127.0.0.1:1/v1", COMPATIBLE_CHAT),
        ("https://openai.com.example.org/v1", COMPATIBLE_CHAT),
    ],
)
def test_a_server_of_ones_own_is_spoken_to_in_the_older_words(
    base_url: str | None, api: object
) -> None:
    """OpenAI alone insists on the newer name of the output limit; others may know only the older."""
    model = model_from_name("openai-chat:m", base_url=base_url)
    assert isinstance(model, HttpModel)
    assert model.api is api


def test_what_a_base_url_asks_for_stays_behind_the_path() -> None:
    model = model_from_name(
        "openai-chat:m", base_url="https://x.azure.com/openai/v1/?api-version=1"
    )
    assert isinstance(model, HttpModel)
    url = model.api.url(model.base_url, model.model)
    assert url == "https://x.azure.com/openai/v1/chat/completions?api-version=1"


async def test_a_key_that_is_not_set_is_missed_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    model = model_from_name("groq:m")
    with pytest.raises(ModelError, match="no key: set GROQ_API_KEY, or pass api_key") as caught:
        async with model.stream(ModelRequest(messages=[UserMessage("hi")])):
            pass
    assert caught.value.kind == "authentication"


@pytest.mark.parametrize("name", ["groq:m", "offline"])
def test_a_provider_that_is_not_named_is_not_imported(name: str) -> None:
    """Nor is HTTP, before a model is made."""
    code = f"""
import sys, tether
before = set(sys.modules)
known = {{"catalogue", "fallback", "knowledge", "retry"}}
assert {{m.removeprefix("tether.models.") for m in before if m.startswith("tether.models.")}} <= known
assert not before & {{"httpx", "genai_prices"}}
tether.model_from_name({name!r})
spoken = {{"anthropic", "openai_responses", "google"}}
assert not {{m for m in sys.modules if m.removeprefix("tether.models.") in spoken}}
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
