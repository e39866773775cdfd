"""Build the Claude model of a run from one layer per policy: access, retries, budget and, innermost, the request."""

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
    """Open the model `name` of the Messages API, or of a provider.

    Args:
        name: The model's name in the API.
        api_key: The API key, if any.
        auth_token: The bearer token, if any.
        base_url: The URL of the API, if it is not the default.
        cloud: The provider, or None for the Messages API itself.
        manner: The parameters that every request has.
        limits: The limits of the run.
        emit: Called with the events of retries and batches.
        budget: The budget that replies are charged to.
        waves: If set, turns go through Message Batches, which only the Messages API has.
        throttle: The rate limiter; the model gets its own by default.
        warn: Emits the first warning of each kind.
        access: Judges refusals of the credentials.
        client_name: The client that the credentials belong to.
    """
    timeout = limits.request_seconds
    async with open_client(api_key, auth_token, base_url, cloud, timeout) as client:
        refusals = cloud.refusals if cloud else ()
        model = AnthropicModel(
            client,
            name,
            manner,
            timeout,
            caching=caching(cloud, manner),
            refusals=refusals,
            warn=warn or WarnOnce(emit),
        )
        async with AsyncExitStack() as stack:
            throttle = throttle or AdaptiveLimiter(limits.concurrency)
            kind = cloud.kind if cloud else "claude"
            budgeted = BudgetedModel(model, budget, kind)  # inside the retries: every attempt is charged
            if waves and isinstance(client, anthropic.AsyncAnthropic):
                max_requests = limits.batch_queries or BATCH_QUERIES
                batched = await stack.enter_async_context(BatchModel(model, client, waves, limits, emit))
                budgeted = BudgetedModel(batched, budget, kind, is_batched=True, parked=batched.parked)
                # Never lowered: a lower limit would split the same requests into more batches.
                throttle = AdaptiveLimiter(max_requests, least=max_requests)
            retrying = RetryingModel(budgeted, throttle, limits.retries, limits.retry_wait_seconds, emit)
            yield AccessModel(retrying, access, client_name)
