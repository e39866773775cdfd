"""Prices of tokens, from the package genai-prices (the extra `prices`). Imported only if prices are needed."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from mcprun.errors import UsageError
from mcprun.runs.transcript import Usage

try:
    import genai_prices
    from genai_prices import data
except ImportError:
    raise UsageError("--budget-usd needs prices: pip install 'mcprun[prices]'") from None

_PROVIDER = "anthropic"

_PRICE_PROVIDERS = {"bedrock": "aws", "vertex": "google", "foundry": "azure"}
"""The ids of the providers in genai-prices, by `kind`."""


def price(model: str, usage: Usage, kind: str = "claude") -> float | None:
    """Return the price of a reply in US dollars, or None if the model's price is unknown.

    `kind` is the provider, as in `ModelRecord`. If a provider's own price is unknown, use the price of the Messages
    API.
    """
    counted = genai_prices.Usage(
        input_tokens=usage.read,  # includes cached tokens
        output_tokens=usage.output_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
        cache_write_1h_tokens=usage.written_for_1h,  # included in cache_write_tokens
        cache_read_tokens=usage.cache_read_input_tokens,
    )
    for provider in (_PRICE_PROVIDERS.get(kind), _PROVIDER):
        if provider:
            with suppress(LookupError):
                return float(genai_prices.calc_price(counted, model, provider_id=provider).total_price)
    return None


@cache
def highest_price_model() -> str:
    """Return the id of the most expensive model. Unknown models are charged at its price, and never as free."""
    sample = Usage(input_tokens=1000, output_tokens=1000)
    (provider,) = (provider for provider in data.providers if provider.id == _PROVIDER)
    return max((model.id for model in provider.models), key=lambda model: price(model, sample) or 0.0)
