"""Facts about models: prices, context windows, and which models there are.

They come from the package genai-prices (the extra `prices`), which others keep up to date; it is imported when it is
needed. Without the package nothing is known; a model works all the same.

No I/O.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from tether.errors import UsageError
from tether.messages import AssistantMessage, Usage
from tether.model import AlternativeModels, Model

__all__ = (
    "closest_models",
    "context_window",
    "cost_of",
    "known_models",
    "price_of",
    "require_price",
    "token_prices",
)

_FREE: Final = "offline"
"""The model that runs here."""

_PROVIDERS: Final = {
    "openai-chat": "openai",
    "xai": "x-ai",
    "anthropic-messages": "anthropic",
    "google-generate": "google",
    "openai-responses": "openai",
    "azure-responses": "azure",
    "bedrock": "aws",
    "bedrock-converse": "aws",
    "vertex": "google",
}
"""From our names of providers and wire APIs to the package's, if they differ."""


def price_of(reply: AssistantMessage, provider: str | None = None) -> float:
    """Look up what a reply cost.

    Args:
        reply: the reply, with its usage and the model as reported.
        provider: such as `groq`; if None, found by the wire API or the name of the model.

    Returns:
        US dollars; 0 if the price is not known.

    Raises:
        UsageError: genai-prices is not installed.
    """
    return _price(reply.usage, reply.model, provider or reply.api) or 0.0


def cost_of(reply: AssistantMessage, model: Model) -> float:
    """Look up what a reply of a model cost, by the name that it reports, else by the one that was asked for.

    Returns:
        US dollars; 0 if the price is not known.

    Raises:
        UsageError: genai-prices is not installed.
    """
    for provider, name in _names_of(model):
        price = _price(reply.usage, reply.model, provider)
        if price is None:
            price = _price(reply.usage, name, provider)
        if price is not None:
            return price
    return 0.0


def require_price(model: Model) -> None:
    """Check that a limit of cost can be held with a model.

    Raises:
        UsageError: genai-prices is not installed, or does not know the model's price; the text names the model.
    """
    _require_prices()
    for provider, name in _names_of(model):
        if name != _FREE and _price(Usage(), name, provider) is None:
            shown = f"{provider}:{name}" if provider else name
            raise UsageError(
                f"the price of {shown} is not known, so that a limit of cost cannot be held: give the agent "
                "`price=`, a function from a reply to its cost"
            )


def _names_of(model: Model) -> Iterator[tuple[str, str]]:
    """The provider and the name of a model; of models that stand in for each other, those of each."""
    if isinstance(model, AlternativeModels):
        for alternative in model.alternatives:
            yield from _names_of(alternative)
    else:
        provider, _, name = model.name.partition(":")
        yield (provider, name) if name else ("", provider)


def _price(usage: Usage, model: str, provider: str | None) -> float | None:
    package = _require_prices()
    try:
        spent = package.calc_price(
            _counts(package, usage), model, provider_id=_package_name(provider)
        )
    except LookupError:
        return None
    return float(spent.total_price)


def _require_prices() -> Any:
    """Return the package that holds the prices.

    Raises:
        UsageError: genai-prices is not installed.
    """
    package = _package()
    if package is None:
        raise UsageError(
            "prices come from genai-prices: pip install 'tether[prices]'", hint=", or pass `price`"
        )
    return package


def context_window(name: str) -> int | None:
    """Look up how many tokens a request may have.

    Args:
        name: `provider:model`, as in `model_from_name`.

    Returns:
        Tokens; None if it is not known.
    """
    known = _known(name)
    window: int | None = None if known is None else known.context_window
    return window


def token_prices(name: str) -> tuple[float | None, float | None] | None:
    """Look up what tokens cost, in requests of the smallest tier.

    Args:
        name: `provider:model`, as in `model_from_name`.

    Returns:
        US dollars for a million tokens of input and of output, None for one that is not known; None if the model is
        not known.
    """
    known = _known(name)
    if known is None:
        return None
    prices = known.get_prices(datetime.now(UTC))
    return _base(prices.input_mtok), _base(prices.output_mtok)


def _known(name: str) -> Any:
    """Return what the package says of a model; None where there is no package, or it says nothing."""
    provider, _, model = name.partition(":")
    package = _package()
    if package is None:
        return None
    try:
        _, known = package.data_snapshot.get_snapshot().find_provider_model(
            model, None, _package_name(provider), None
        )
    except LookupError:
        return None
    return known


def _base(price: Any) -> float | None:
    price = getattr(price, "base", price)
    return None if price is None else float(price)


def known_models(provider: str) -> tuple[str, ...]:
    """List the known models of a provider.

    Args:
        provider: such as `anthropic`.

    Returns:
        Their names, without the provider's, in order.
    """
    return tuple(sorted(_names(provider)))


def closest_models(name: str) -> tuple[str, ...]:
    """Find known models with a name similar to an unknown one.

    Args:
        name: `provider:model`.

    Returns:
        At most three names, the closest first.
    """
    import difflib  # noqa: PLC0415 - only after a failure

    provider, _, model = name.partition(":")
    return tuple(difflib.get_close_matches(model, list(_names(provider)), n=3, cutoff=0.6))


def _names(provider: str) -> Iterator[str]:
    package = _package()
    known = package.data_snapshot.get_snapshot().providers if package is not None else ()
    for entry in known:
        if entry.id == _package_name(provider):
            yield from (model.id for model in entry.models)


def _package() -> Any:
    try:
        import genai_prices  # noqa: PLC0415 - large, and few programs ask
    except ImportError:
        return None
    return genai_prices


def _package_name(provider: str | None) -> str | None:
    # Anybody may serve chat completions: then the name of the model decides.
    if provider in {None, "", "openai-chat"}:
        return None
    return _PROVIDERS.get(str(provider), provider)


def _counts(package: Any, usage: Usage) -> Any:
    return package.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
