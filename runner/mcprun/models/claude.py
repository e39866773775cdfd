"""Claude as a run asks it: one policy a layer, the retries around the budget around the request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anthropic

from mcprun.limits import BATCH_QUERIES, Limits
from mcprun.models.access import AccessModel
from mcprun.models.access_policy import Access
from mcprun.models.base import Model, ModelSettings
from mcprun.models.budget import Budget, BudgetedModel
from mcprun.models.clients import open_client
from mcprun.models.message_batches.model import BatchModel
from mcprun.models.message_batches.queue import BatchContext
from mcprun.models.messages_api import AnthropicModel
from mcprun.models.prompt_caching import caching
from mcprun.models.providers import Cloud
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.models.retry import RetryingModel
from mcprun.runs.events import Emit
from mcprun.runs.warn_once import Warn, WarnOnce


@asynccontextmanager
async def open_claude(
    name: str,
    *,
    api_key: str | None,
    auth_token: str | None,
    base_url: str | None,
    cloud: Cloud | None,
    manner: ModelSettings,
    limits: Limits,
    emit: Emit,
    budget: Budget,
    waves: BatchContext | None = None,
    throttle: AdaptiveLimiter | None = None,
    warn: Warn | None = None,
    access: Access,
    client_name: str,
) -> AsyncIterator[Model]:
    """Make the model with this name, of the API or of a provider (`cloud`).

    What it takes is taken of the `budget`. With `waves`, turns go through Message Batches, which only the API has.
    Without a `throttle` it has its own. `warn` emits the first warning of each kind. `access` judges refusals of the
    credentials, which belong to `client_name`.
    """
    seconds = limits.request_seconds
    async with open_client(api_key, auth_token, base_url, cloud, seconds) as client:
        refusals = cloud.refusals if cloud else ()
        model = AnthropicModel(
            client,
            name,
            manner,
            seconds,
            caching=caching(cloud, manner),
            refusals=refusals,
            warn=warn or WarnOnce(emit),
        )
        async with AsyncExitStack() as stack:
            throttle = throttle or AdaptiveLimiter(limits.concurrency)
            kind = cloud.kind if cloud else "claude"
            budgeted = BudgetedModel(model, budget, kind)  # below the retries: each attempt is paid for
            if waves and isinstance(client, anthropic.AsyncAnthropic):
                most = limits.batch_queries or BATCH_QUERIES
                batched = await stack.enter_async_context(BatchModel(model, client, waves, limits, emit))
                budgeted = BudgetedModel(batched, budget, kind, is_batched=True, parked=batched.parked)
                throttle = AdaptiveLimiter(
                    most, least=most
                )  # one that sends less makes more batches, and no less of them
            retrying = RetryingModel(budgeted, throttle, limits.retries, limits.retry_wait_seconds, emit)
            yield AccessModel(retrying, access, client_name)
