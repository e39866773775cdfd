"""Prices of a model, for tests of budgets."""

from __future__ import annotations

from mcprun.models.prices import price
from mcprun.runs.transcript import Usage

SONNET = "claude-sonnet-5-5"


def priced(model: str = SONNET, **tokens: int) -> float:
    """Give what so many tokens cost."""
    cost = price(model, Usage(**tokens))
    assert cost is not None
    return cost
