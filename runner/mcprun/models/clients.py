"""Clients of the anthropic SDK: of the API itself, and of the providers that offer Claude as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic

from mcprun.models.providers import Cloud

Client = anthropic.AsyncAnthropic | anthropic.AsyncAnthropicBedrock | anthropic.AsyncAnthropicVertex
"""That of Foundry is one of the first kind."""

_CLIENTS = {
    "bedrock": anthropic.AsyncAnthropicBedrock,
    "vertex": anthropic.AsyncAnthropicVertex,
    "foundry": anthropic.AsyncAnthropicFoundry,
}


@asynccontextmanager
async def open_client(
    api_key: str | None, auth_token: str | None, base_url: str | None, cloud: Cloud | None, seconds: float
) -> AsyncIterator[Client]:
    """Make a client, and close its connections in the end; each request may take so many seconds.

    A `cloud` brings its own key and URL. The SDK's own retries are off: retrying is one layer's business.
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
