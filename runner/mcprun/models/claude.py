"""Claude as a run asks it: one policy a layer, the retries around the budget around the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from mcprun.events import Emit
from mcprun.limits import Limits
from mcprun.models import Manner, Model
from mcprun.models.anthropic import AnthropicModel
from mcprun.models.budget import Budget, BudgetedModel
from mcprun.models.caching import caching
from mcprun.models.clients import open_client
from mcprun.models.clouds import Cloud
from mcprun.models.retry import RetryingModel
from mcprun.models.throttle import Throttle
from mcprun.records import Usage


@asynccontextmanager
async def open_claude(
    name: str,
    *,
    api_key: str | None,
    auth_token: str | None,
    base_url: str | None,
    cloud: Cloud | None,
    manner: Manner,
    limits: Limits,
    emit: Emit,
    earlier: Iterable[tuple[str, Usage | None]],
    throttle: Throttle | None = None,
) -> AsyncIterator[Model]:
    """Make the model with this name, of the API or of a provider (`cloud`).

    `earlier` are the replies already paid for: each one's model and tokens. Without a `throttle` it has its own.
    """
    seconds = limits.request_seconds
    async with open_client(api_key, auth_token, base_url, cloud, seconds) as client:
        refusals = cloud.refusals if cloud else ()
        model = AnthropicModel(client, name, manner, seconds, caching=caching(cloud, manner), refusals=refusals)
        budget = Budget(limits.budget_tokens, limits.budget_usd, emit, cloud.kind if cloud else "claude")
        for paid, usage in earlier:
            budget.spend(paid, usage or Usage(output_tokens=limits.max_tokens))
        budgeted = BudgetedModel(model, budget)  # each try is paid for
        throttle = throttle or Throttle(limits.concurrency)
        yield RetryingModel(budgeted, throttle, limits.retries, limits.retry_wait_seconds, emit)
