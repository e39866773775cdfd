"""Requests that are prepared once, beside those that the SDK builds each time."""

from __future__ import annotations

import anthropic
import httpx2
import pytest

from mcprun.models.messages_endpoint import MessagesEndpoint

STATISTICS = {"x-stainless-timeout", "x-stainless-read-timeout", "x-stainless-retry-count"}
"""Headers with the SDK's statistics of one request, which are left out."""

FRAMING = {"content-length", "transfer-encoding"}
"""Headers that the body determines."""


async def send(base_url: str, key: str, *, is_prepared: bool) -> list[httpx2.Request]:
    """Send two requests to an API that sets a cookie, and return them."""
    requests: list[httpx2.Request] = []

    def respond(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return httpx2.Response(200, headers={"set-cookie": "node=7"}, json={})

    http = anthropic.DefaultAsyncHttpxClient(transport=httpx2.MockTransport(respond), timeout=9)
    async with anthropic.AsyncAnthropic(api_key=key, base_url=base_url, timeout=9, http_client=http) as client:
        endpoint = MessagesEndpoint(client, http, 9)
        for _ in range(2):
            if is_prepared:
                await endpoint.post(b"{}")
            else:
                await client.post("/v1/messages", cast_to=httpx2.Response, body={})
    return requests


@pytest.mark.parametrize(
    ("base_url", "key", "headers"),
    [
        ("https://api.example", "key", ""),
        ("https://api.example/gateway/", "key", ""),
        ("http://user:password@API.example:8080/a b?c=d", "key", ""),
        ("http://[::1]:8080", "key", ""),
        ("https://my_gateway.example", "key", ""),
        ("http://exämple.example", "schlüssel", "x-team: Äpfel"),
        ("https://api.example", "key", "authorization: Basic abc\nX-Team: 1\nhost: other\naccept-encoding: br"),
    ],
)  # fmt: skip
async def test_prepared_requests_are_those_of_the_sdk(
    monkeypatch: pytest.MonkeyPatch, base_url: str, key: str, headers: str
) -> None:
    """The URL, the headers, cookies of earlier responses, time limits and the name for TLS are the same."""
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", headers)
    prepared, expected = [await send(base_url, key, is_prepared=is_prepared) for is_prepared in (True, False)]
    for ours, theirs in zip(prepared, expected, strict=True):
        assert (ours.method, ours.url, ours.content) == (theirs.method, theirs.url, theirs.content)
        assert ours.extensions == theirs.extensions
        assert sorted(ours.headers.raw) == sorted(
            (name, value) for name, value in theirs.headers.raw if name.decode() not in STATISTICS
        )
    assert "node=7" in prepared[1].headers["cookie"]


async def test_length_of_a_body_is_never_a_configured_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured length or transfer coding would make the API wait for more, or read less."""
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Content-Length: 7\nTransfer-Encoding: chunked")
    request, _ = await send("https://api.example", "key", is_prepared=True)
    assert {name: request.headers.get(name) for name in FRAMING} == {"content-length": "2", "transfer-encoding": None}


@pytest.mark.parametrize(
    "body",
    [b"", b" no JSON\n", b"[" * 100_000, b'{"type": "error", "error": {"type": "api_error", "message": "m"}}', b"null"],
    ids=["empty", "text", "too deep", "error", "null"],
)
async def test_error_status_is_the_error_of_the_sdk(body: bytes) -> None:
    """The message, the body and its fields are the same."""
    http = anthropic.DefaultAsyncHttpxClient(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(500, content=body))
    )
    async with anthropic.AsyncAnthropic(api_key="key", http_client=http, max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError) as expected:
            await client.post("/v1/messages", cast_to=httpx2.Response, body={})
        with pytest.raises(anthropic.APIStatusError) as raised:
            await MessagesEndpoint(client, http, 9).post(b"{}")
    ours, theirs = raised.value, expected.value
    assert (str(ours), ours.body, ours.type, ours.api_message) == (
        str(theirs), theirs.body, theirs.type, theirs.api_message
    )  # fmt: skip
