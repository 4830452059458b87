"""What is known of models beyond their names: prices, context windows, and which there are.

It comes from the package genai-prices (the extra `prices`), which is kept up to date by others, and is looked up only
when asked for. Without the package nothing is known, and a model of which nothing is known works as well as any.

No I/O.
"""

from collections.abc import Iterator
from typing import Any, Final

from tether.errors import UsageError
from tether.messages import AssistantMessage, Usage

__all__ = ("closest_models", "context_window", "known_models", "price_of", "require_prices")

_PROVIDERS: Final = {
    "openai-chat": "openai",
    "xai": "x-ai",
    "anthropic-messages": "anthropic",
    "google-generate": "google",
    "openai-responses": "openai",
}
"""Our names of vendors and wire APIs, to the package's, where they differ."""


def price_of(reply: AssistantMessage, vendor: str | None = None) -> float:
    """Look up what a reply cost.

    Args:
        reply: the reply, with its usage and the model as reported.
        vendor: who served it, such as `groq`; told by the wire API, or by the model's name, if None.

    Returns:
        US dollars; 0 where the price is not known.

    Raises:
        UsageError: genai-prices is not installed.
    """
    package = require_prices()
    provider = _provider(vendor or reply.api)
    try:
        spent = package.calc_price(_counts(package, reply.usage), reply.model, provider_id=provider)
    except LookupError:
        return 0.0
    return float(spent.total_price)


def require_prices() -> Any:
    """Return what prices are looked up in.

    Raises:
        UsageError: genai-prices is not installed.
    """
    package = _package()
    if package is None:
        raise UsageError(
            "prices are looked up in genai-prices: pip install 'tether[prices]', or give `price`"
        )
    return package


def context_window(name: str) -> int | None:
    """Look up how many tokens a model can be sent.

    Args:
        name: `vendor:model`, as in `model_from_name`.

    Returns:
        Tokens; None where it is not known.
    """
    vendor, _, model = name.partition(":")
    package = _package()
    if package is None:
        return None
    try:
        _, known = package.data_snapshot.get_snapshot().find_provider_model(
            model, None, _provider(vendor), None
        )
    except LookupError:
        return None
    window: int | None = known.context_window
    return window


def known_models(vendor: str) -> tuple[str, ...]:
    """List the models of a vendor that are known.

    Args:
        vendor: such as `anthropic`.

    Returns:
        Their names, without the vendor's, in order; none where none is known.
    """
    return tuple(sorted(_names(vendor)))


def closest_models(name: str) -> tuple[str, ...]:
    """Look for known models whose names are like one that is not known.

    Args:
        name: `vendor:model`.

    Returns:
        At most three names, the closest first.
    """
    import difflib  # noqa: PLC0415 - only where something failed

    vendor, _, model = name.partition(":")
    return tuple(difflib.get_close_matches(model, list(_names(vendor)), n=3, cutoff=0.6))


def _names(vendor: str) -> Iterator[str]:
    package = _package()
    providers = package.data_snapshot.get_snapshot().providers if package is not None else ()
    for provider in providers:
        if provider.id == _provider(vendor):
            yield from (model.id for model in provider.models)


def _package() -> Any:
    try:
        import genai_prices  # noqa: PLC0415 - large, and few programs ask
    except ImportError:
        return None
    return genai_prices


def _provider(vendor: str | None) -> str | None:
    # Of chat completions anybody may be the server: then the model's name tells.
    return None if vendor in {None, "", "openai-chat"} else _PROVIDERS.get(str(vendor), vendor)


def _counts(package: Any, usage: Usage) -> Any:
    return package.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_tokens=usage.output_tokens,
    )
