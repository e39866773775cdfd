"""Clients of the anthropic SDK, for the Messages API and for other providers of Claude."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic

from mcprun.models.providers import Cloud

Client = anthropic.AsyncAnthropic | anthropic.AsyncAnthropicBedrock | anthropic.AsyncAnthropicVertex
"""The client for Foundry is a subclass of `AsyncAnthropic`."""

_CLIENTS = {
    "bedrock": anthropic.AsyncAnthropicBedrock,
    "vertex": anthropic.AsyncAnthropicVertex,
    "foundry": anthropic.AsyncAnthropicFoundry,
}


@asynccontextmanager
async def open_client(
    api_key: str | None, auth_token: str | None, base_url: str | None, cloud: Cloud | None, seconds: float
) -> AsyncIterator[Client]:
    """Open a client, and close its connections on exit. Each request is limited to `seconds`.

    A `cloud` has its own key and URL. The SDK's retries are off, since `models/retry.py` is the only retry layer.
    """
    client: Client
    if cloud:
        client = _CLIENTS[cloud.kind](max_retries=0, timeout=seconds, **cloud.settings)
    else:
        client = anthropic.AsyncAnthropic(
            api_key=api_key, auth_token=auth_token, base_url=base_url, max_retries=0, timeout=seconds
        )
    async with client:
        yield client
