"""Clients of the anthropic SDK, for the Messages API and for other providers of Claude."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic

from mcprun.models.providers import Endpoint

Client = anthropic.AsyncAnthropic | anthropic.AsyncAnthropicBedrock | anthropic.AsyncAnthropicVertex
"""The client for Foundry is a subclass of `AsyncAnthropic`."""

_CLIENTS = {
    "bedrock": anthropic.AsyncAnthropicBedrock,
    "vertex": anthropic.AsyncAnthropicVertex,
    "foundry": anthropic.AsyncAnthropicFoundry,
}


@asynccontextmanager
async def open_client(endpoint: Endpoint, timeout_s: float) -> AsyncIterator[Client]:
    """Open a client, and close its connections on exit. Each request is limited to `timeout_s`.

    The SDK's retries are off, since `models/retry.py` is the only retry layer.
    """
    client: Client
    if cloud := endpoint.cloud:
        client = _CLIENTS[cloud.kind](max_retries=0, timeout=timeout_s, **cloud.settings)
    else:
        client = anthropic.AsyncAnthropic(
            api_key=endpoint.api_key,
            auth_token=endpoint.auth_token,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout_s,
        )
    async with client:
        yield client
