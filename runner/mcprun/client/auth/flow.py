"""Get and refresh tokens with the SDK's OAuth providers, which implement discovery, registration, PKCE and scopes.

The providers are designed to wrap every request of a connection, and hold a lock until it is answered: concurrent calls
would wait for each other. So a provider is created only when a token is needed. Its requests go through a separate
HTTP client, because a connection's counters, limits and headers must not apply to an authorization server.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.auth.utils import extract_field_from_www_auth, issuers_match, union_scopes
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from pydantic import AnyUrl, ValidationError
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_exponential, wait_random

from mcprun.client.auth.stored_token import StoredToken, renewal_time
from mcprun.client.oauth_client import OAuthClient
from mcprun.client.transports.bounded_body import BoundedStream

Learn = Callable[[Iterable[str]], None]
"""Called with the secrets of a response, before the response is used."""

_TIMEOUT_S = 30.0
"""Timeout of a request to an authorization server."""

_MAX_BYTES = 1024 * 1024
"""Size limit of a response from an authorization server."""

_REFUSALS = frozenset({400, 401})
"""Statuses with which the token endpoint refuses the grant or the client (RFC 6749, section 5.2)."""

_TOKEN_ATTEMPTS = 3
_FIRST_WAIT_S = 0.25
"""Back-off before a token request is sent again: 0.25 s, then 0.5 s, each plus up to 0.25 s of jitter."""

_SECRET_KEYS = ("access_token", "refresh_token", "id_token", "client_secret", "registration_access_token")
_SECRET_METHODS = ("client_secret_basic", "client_secret_post")


class _MemoryStorage:
    """A token storage for the SDK's providers, in memory: their initial values, and then their results."""

    def __init__(self, tokens: OAuthToken | None = None, client: OAuthClientInformationFull | None = None) -> None:
        self.tokens = tokens
        self.client = client

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass(frozen=True, slots=True)
class ProtectedServer:
    """The server that a token is for.

    Args:
        url: The server's endpoint.
        protocol: The negotiated protocol version; None before the handshake.
        learn: Called with the secrets of each response.
    """

    url: str
    protocol: str | None
    learn: Learn


@dataclass(frozen=True, slots=True)
class LoginRedirect:
    """The redirect that ends a login: its `uri`, and `ask`, which sends the user to a URL and awaits the result."""

    uri: str
    ask: Callable[[str], Awaitable[AuthorizationCodeResult]]


async def get_machine_token(
    server: ProtectedServer, client: OAuthClient, before: StoredToken | None, challenge: httpx2.Response
) -> StoredToken:
    """Get a token without user interaction, after a server refused a request with `challenge`.

    `challenge` is a 401, or a 403 for lack of a scope. `before` is the token that was refused, if there was one.
    Raises `OAuthFlowError` or `httpx2.HTTPError`.
    """
    url = server.url
    tokens = OAuthToken(access_token=before.access_token, scope=before.scope) if before else None
    memory = _MemoryStorage(tokens)
    client_id, secret = client.client_id or "", client.client_secret or ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)  # the issuer may be left out: the server then names it
        provider: OAuthClientProvider | IdentityAssertionOAuthProvider
        if client.assertion:
            provider = IdentityAssertionOAuthProvider(
                server.url,
                memory,
                client_id,
                secret,
                client.issuer or "",
                _constant_assertion(client.assertion),
                scope=client.scope,
            )
        elif client.private_key:
            signed = SignedJWTParameters(
                issuer=client_id,
                subject=client_id,
                signing_key=client.private_key,
                signing_algorithm=client.algorithm or "RS256",
            )
            provider = PrivateKeyJWTOAuthProvider(
                server.url,
                memory,
                client_id,
                signed.create_assertion_provider(),
                scope=client.scope,
                issuer=client.issuer,
            )
        else:
            provider = ClientCredentialsOAuthProvider(
                url, memory, client_id, secret, scope=client.scope, issuer=client.issuer
            )
    await _run_flow(provider, server, challenge_for(url, challenge, client.scope))
    return _token_to_store(provider, memory, tokens, requested=client.scope)


async def refresh_token(server: ProtectedServer, grant: StoredToken) -> StoredToken | None:
    """Exchange a refresh token. Return None only if the authorization server refuses it (400 or 401).

    Raises `OAuthFlowError` for any other response without a token, and `httpx2.HTTPError` if there is no response: the
    refresh token may still be valid then.
    """
    client = OAuthClientInformationFull.model_validate(grant.client)
    tokens = OAuthToken(access_token=grant.access_token, refresh_token=grant.refresh_token, scope=grant.scope)
    memory = _MemoryStorage(tokens, client)
    provider = OAuthClientProvider(server.url, OAuthClientMetadata(redirect_uris=None), memory)
    context = provider.context
    context.token_expiry_time = 1.0  # in the past: the SDK refreshes only expired tokens
    context.oauth_metadata = OAuthMetadata.model_validate(grant.server) if grant.server else None
    if grant.resource:
        context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(grant.resource)
    await _run_flow(provider, server, None)
    return _token_to_store(provider, memory, tokens, requested=grant.asked) if context.current_tokens else None


async def log_in_interactively(
    server: ProtectedServer,
    client: OAuthClient,
    login: LoginRedirect,
    challenge: httpx2.Response | None,
    *,
    metadata_url: str | None = None,
) -> StoredToken:
    """Get tokens by an interactive login.

    A client that was registered by hand is used if there is one. Otherwise `metadata_url` identifies the client, if
    the authorization server supports client ID metadata documents. Otherwise a client is registered now. Raises
    `OAuthFlowError`, `httpx2.HTTPError`, and what `login.ask` raises.
    """
    uris = [AnyUrl(login.uri)]
    memory = _MemoryStorage(client=_registered_client(client, uris))
    sent_to = ""

    async def redirect(to: str) -> None:
        nonlocal sent_to
        sent_to = to
        metadata = provider.context.oauth_metadata
        if client.issuer and not (metadata and issuers_match(str(metadata.issuer), client.issuer)):
            issuer = str(metadata.issuer) if metadata else "none"
            raise OAuthFlowError(f"the server's authorization server is {issuer}, expected {client.issuer}")

    async def answer() -> AuthorizationCodeResult:
        return await login.ask(sent_to)

    client_metadata = OAuthClientMetadata(redirect_uris=uris, client_name="mcprun")
    provider = OAuthClientProvider(
        server.url, client_metadata, memory, redirect, answer, client_metadata_url=metadata_url
    )
    await _run_flow(provider, server, challenge_for(server.url, challenge, client.scope))
    return _token_to_store(provider, memory, None, requested=client.scope)


def challenge_for(url: str, refusal: httpx2.Response | None, scope: str | None) -> httpx2.Response:
    """Return the challenge to pass to the SDK: a server's refusal, with the requested scopes in place of its own.

    For a step-up (403), the server's scopes are added to them. If `refusal` is None, a 401 without a challenge is used.
    """
    request = httpx2.Request("POST", url)
    if refusal is None:
        refusal = httpx2.Response(401, request=request)
    scopes = extract_field_from_www_auth(refusal, "scope")
    if scope:
        scopes = union_scopes(scope, scopes) if is_step_up(refusal) else scope
    metadata = extract_field_from_www_auth(refusal, "resource_metadata")
    error = extract_field_from_www_auth(refusal, "error")
    fields = {"error": error, "scope": scopes, "resource_metadata": metadata}
    parameters = ", ".join(f'{name}="{value}"' for name, value in fields.items() if value)
    return httpx2.Response(refusal.status_code, headers={"www-authenticate": f"Bearer {parameters}"}, request=request)


def is_step_up(response: httpx2.Response) -> bool:
    """Return whether a response refuses a valid token for lack of a scope (RFC 6750, section 3.1)."""
    return response.status_code == 403 and extract_field_from_www_auth(response, "error") == "insufficient_scope"


async def _run_flow(
    provider: OAuthClientProvider | IdentityAssertionOAuthProvider,
    server: ProtectedServer,
    challenge: httpx2.Response | None,
) -> None:
    """Send a provider's own requests until it is ready to send the request that needs the token.

    That request is never sent. `challenge` stands for its first response; without one, the flow ends when it is due.
    """
    headers = {MCP_PROTOCOL_VERSION_HEADER: server.protocol} if server.protocol else {}
    request = httpx2.Request("POST", server.url, headers=headers)
    async with _client() as client, aclosing(provider.async_auth_flow(request)) as flow:
        outgoing = await anext(flow)
        while outgoing is not request or challenge is not None:
            if outgoing is request:
                answer, challenge = challenge, None
                assert answer is not None  # noqa: S101
            else:
                send = _send_token_request if _asks_for_token(outgoing) else httpx2.AsyncClient.send
                answer = await send(client, outgoing)
                server.learn(_secrets_of(answer))
                _choose_auth_method(provider, answer)
            try:
                outgoing = await flow.asend(answer)
            except StopAsyncIteration:
                return


def _asks_for_token(request: httpx2.Request) -> bool:
    """Return whether a request goes to the token endpoint: a form with a `grant_type` (RFC 6749, section 4)."""
    return request.method == "POST" and b"grant_type=" in request.content


async def _send_token_request(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """Send a token request, with retries on 429 and server errors. Return a success, or a refusal (400 or 401).

    Raises `OAuthFlowError` for any other status, which the SDK would treat as a refusal too.
    """
    wait = wait_exponential(multiplier=_FIRST_WAIT_S) + wait_random(0, _FIRST_WAIT_S)
    is_transient = retry_if_result(lambda response: response.status_code == 429 or response.status_code >= 500)
    retrying = AsyncRetrying(
        stop=stop_after_attempt(_TOKEN_ATTEMPTS),
        wait=wait,
        retry=is_transient,
        sleep=asyncio.sleep,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    response: httpx2.Response = await retrying(client.send, request)
    if not (response.is_success or response.status_code in _REFUSALS):
        raise OAuthFlowError(f"the token endpoint returned {response.status_code} {response.reason_phrase}".rstrip())
    return response


def _client() -> httpx2.AsyncClient:
    async def bound(response: httpx2.Response) -> None:
        response.stream = BoundedStream(response.stream, _MAX_BYTES, "an authorization server may send")

    return httpx2.AsyncClient(timeout=_TIMEOUT_S, event_hooks={"response": [bound]})


def _secrets_of(answer: httpx2.Response) -> Iterator[str]:
    """Yield the secrets in a response, even in an invalid one: the SDK quotes those in its errors."""
    try:
        body = json.loads(answer.content)
    except ValueError:
        return
    if isinstance(body, dict):
        yield from (value for key in _SECRET_KEYS if isinstance(value := body.get(key), str))


def _choose_auth_method(
    provider: OAuthClientProvider | IdentityAssertionOAuthProvider, answer: httpx2.Response
) -> None:
    """Choose how a client that was registered by hand sends its secret, by what is supported (RFC 8414, section 2)."""
    client = provider.context.client_info if isinstance(provider, OAuthClientProvider) else None
    if client is None or not client.client_secret or client.client_id_issued_at is not None:
        return
    try:
        supported = OAuthMetadata.model_validate_json(answer.content).token_endpoint_auth_methods_supported
    except ValidationError:
        return
    if supported and client.token_endpoint_auth_method in _SECRET_METHODS:
        usable = [method for method in _SECRET_METHODS if method in supported]
        client.token_endpoint_auth_method = (usable or [client.token_endpoint_auth_method])[0]


def _registered_client(client: OAuthClient, uris: list[AnyUrl]) -> OAuthClientInformationFull | None:
    if not client.client_id:
        return None
    return OAuthClientInformationFull(
        client_id=client.client_id,
        client_secret=client.client_secret,
        redirect_uris=uris,
        token_endpoint_auth_method=_SECRET_METHODS[0] if client.client_secret else "none",
    )


def _token_to_store(
    provider: OAuthClientProvider | IdentityAssertionOAuthProvider,
    memory: _MemoryStorage,
    before: OAuthToken | None,
    *,
    requested: str | None,
) -> StoredToken:
    """Build the token to store from a provider's results. Raises `OAuthFlowError` if there is no new token."""
    tokens = memory.tokens
    if tokens is None or tokens is before:
        raise OAuthFlowError("the authorization server returned no token")
    context = provider.context if isinstance(provider, OAuthClientProvider) else None
    client = context.client_info if context else None
    server = context.oauth_metadata if context else None
    resource = context.protected_resource_metadata if context else None
    is_interactive = isinstance(provider, OAuthClientProvider) and type(provider) is OAuthClientProvider
    return StoredToken(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token if is_interactive else None,  # client credentials get a new token instead
        scope=tokens.scope,
        asked=requested,
        expires_at=renewal_time(tokens.expires_in),
        client=_dump(client) if is_interactive else None,
        server=_dump(server) if is_interactive else None,
        resource=_dump(resource) if is_interactive else None,
    )


def _dump(model: Any) -> dict[str, Any] | None:
    return model.model_dump(mode="json", exclude_none=True) if model is not None else None


def _constant_assertion(assertion: str) -> Callable[[str, str], Awaitable[str]]:
    async def provide(_: str, __: str) -> str:
        return assertion

    return provide
