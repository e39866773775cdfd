"""Compute the price of tokens, for tests of budgets."""

from __future__ import annotations

from mcprun.models.prices import price
from mcprun.runs.transcript import Usage

SONNET = "claude-sonnet-5-5"


def priced(model: str = SONNET, **tokens: int) -> float:
    """Return the price in USD of these tokens, by kind."""
    cost = price(model, Usage(**tokens))
    assert cost is not None
    return cost
