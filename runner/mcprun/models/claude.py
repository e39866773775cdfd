"""Build the Claude model of a run from one layer per policy: access, retries, budget and, innermost, the request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anthropic
import httpx2
from opentelemetry import trace

from mcprun.limits import BATCH_QUERIES
from mcprun.models.access import AccessModel
from mcprun.models.base import Model, ModelSettings
from mcprun.models.budget import BudgetedModel
from mcprun.models.clients import Client, create_http_client, open_client
from mcprun.models.messages_api import AnthropicModel
from mcprun.models.messages_endpoint import MessagesEndpoint
from mcprun.models.model_context import ModelContext
from mcprun.models.prompt_caching import caching
from mcprun.models.providers import Endpoint
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.models.retry import RetryingModel


@asynccontextmanager
async def open_claude(
    name: str, endpoint: Endpoint, settings: ModelSettings, context: ModelContext, client_name: str
) -> AsyncIterator[Model]:
    """Open the model `name` of the Messages API, or of a provider.

    Args:
        name: The model's name in the API.
        endpoint: Where requests go.
        settings: The parameters that every request has.
        context: What the models of the run share. With a `batch_context`, turns go through Message Batches, which only
            the Messages API has.
        client_name: The client that the credentials belong to.
    """
    limits, emit, budget, cloud = context.limits, context.emit, context.budget, endpoint.cloud
    seconds, kind = limits.request_seconds, cloud.kind if cloud else "claude"
    async with AsyncExitStack() as stack:
        http = create_http_client(seconds)
        client = await stack.enter_async_context(open_client(endpoint, http, seconds))
        model = AnthropicModel(
            client,
            name,
            settings,
            seconds,
            endpoint=_endpoint(client, http, seconds),
            caching=caching(cloud, settings),
            refusals=cloud.refusals if cloud else (),
            warn=context.warn,
        )
        limiter = context.limiter or AdaptiveLimiter(limits.concurrency)
        budgeted = BudgetedModel(model, budget, kind)  # inside the retries: every attempt is charged
        if context.batch_context and isinstance(client, anthropic.AsyncAnthropic):
            from mcprun.models.message_batches.model import BatchModel

            max_requests = limits.batch_queries or BATCH_QUERIES
            batched = await stack.enter_async_context(BatchModel(model, client, context.batch_context, limits, emit))
            budgeted = BudgetedModel(
                batched, budget, kind, is_batched=True, waiting_elsewhere=batched.waiting_elsewhere
            )
            # Never lowered: a lower limit would split the same requests into more batches.
            limiter = AdaptiveLimiter(max_requests, least=max_requests)
        retrying = RetryingModel(budgeted, limiter, limits.retries, limits.retry_wait_seconds, emit)
        yield AccessModel(retrying, context.access, client_name)


def _endpoint(client: Client, http: httpx2.AsyncClient, timeout_s: float) -> MessagesEndpoint | None:
    """Return where requests go, or None if the SDK has to adapt them to a provider or trace them as spans."""
    if type(client) is anthropic.AsyncAnthropic and not _is_traced():
        return MessagesEndpoint(client, http, timeout_s)
    return None


def _is_traced() -> bool:
    """Return whether the process has a tracer provider, or the environment names one that can't be loaded."""
    try:
        return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    except Exception:  # noqa: BLE001  it may come from any package that the environment names
        return True
