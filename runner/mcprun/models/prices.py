"""What tokens cost, from the package genai-prices (the extra `prices`). Imported only when somebody asks."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from mcprun.errors import UsageError
from mcprun.runs.records import Usage

try:
    import genai_prices
    from genai_prices import data
except ImportError:
    raise UsageError("--budget-usd needs to know prices: pip install 'mcprun[prices]'") from None

_PROVIDER = "anthropic"

_PAID = {"bedrock": "aws", "vertex": "google", "foundry": "azure"}
"""What genai-prices calls who is paid."""


def price(model: str, usage: Usage, kind: str = "claude") -> float | None:
    """Give what a reply costs in US dollars; `None` when the model's price is not known.

    `kind` is who is paid, as in `ModelRecord`; where a provider's own price is not known, the API's stands for it.
    """
    counted = genai_prices.Usage(
        input_tokens=usage.read,  # those that were cached are counted among them
        output_tokens=usage.output_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
        cache_write_1h_tokens=usage.written_for_1h,  # counted among the ones before
        cache_read_tokens=usage.cache_read_input_tokens,
    )
    for provider in (_PAID.get(kind), _PROVIDER):
        if provider:
            with suppress(LookupError):
                return float(genai_prices.calc_price(counted, model, provider_id=provider).total_price)
    return None


@cache
def dearest() -> str:
    """Name the model that costs most: what is not known is counted like it, and never as nothing."""
    sample = Usage(input_tokens=1000, output_tokens=1000)
    (provider,) = (provider for provider in data.providers if provider.id == _PROVIDER)
    return max((model.id for model in provider.models), key=lambda model: price(model, sample) or 0.0)
