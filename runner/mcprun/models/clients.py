"""Clients of the anthropic SDK, for the Messages API and for other providers of Claude."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import httpx2

from mcprun._util.network import has_proxy
from mcprun.models.http.transport import HttpTransport
from mcprun.models.providers import Endpoint

Client = anthropic.AsyncAnthropic | anthropic.AsyncAnthropicBedrock | anthropic.AsyncAnthropicVertex
"""The client for Foundry is a subclass of `AsyncAnthropic`."""

_CLIENTS = {
    "bedrock": anthropic.AsyncAnthropicBedrock,
    "vertex": anthropic.AsyncAnthropicVertex,
    "foundry": anthropic.AsyncAnthropicFoundry,
}


def create_http_client(timeout_s: float) -> httpx2.AsyncClient:
    """Create the HTTP client for a model's API. Each wait, to connect or for data, is limited to `timeout_s`."""
    transport = direct_transport()
    if transport is None:
        return anthropic.DefaultAsyncHttpxClient(timeout=timeout_s)
    return anthropic.DefaultAsyncHttpxClient(timeout=timeout_s, transport=transport)


def direct_transport() -> HttpTransport | None:
    """Return mcprun's own transport, or None if the environment configures a proxy, which only the SDK's supports."""
    return None if has_proxy() else HttpTransport()


@asynccontextmanager
async def open_client(endpoint: Endpoint, http: httpx2.AsyncClient, timeout_s: float) -> AsyncIterator[Client]:
    """Open a client of the SDK that sends requests through `http`, and close both on exit.

    Each request is limited to `timeout_s`. The SDK's retries are off, since `models/retry.py` is the only retry layer.
    """
    client: Client
    if cloud := endpoint.cloud:
        client = _CLIENTS[cloud.kind](max_retries=0, timeout=timeout_s, http_client=http, **cloud.settings)
    else:
        client = anthropic.AsyncAnthropic(
            api_key=endpoint.api_key,
            auth_token=endpoint.auth_token,
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout_s,
            http_client=http,
        )
    async with client:
        yield client
