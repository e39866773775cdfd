"""Authorize the requests to an HTTP server with a stored token, a refreshed one, or one from client credentials.

All connections to a server share one `OAuthAuth`. Requests with a valid token do not wait for each other. If the token
is refused or expired, one request renews it for all others and for other processes, without user interaction.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncGenerator
from contextlib import nullcontext

import httpx2

from mcprun._util.url_secrets import without_secrets
from mcprun.client.auth.stored_token import Key, StoredToken
from mcprun.client.auth.token_store import TokenStore
from mcprun.client.target import HttpTarget
from mcprun.client.transports.http_failure import current_delivery
from mcprun.errors import UsageError
from mcprun.runs.events import Emit, WarningEvent
from mcprun.runs.redaction import Redactor

_ROUNDS = 2
"""Times that a request is sent again: once with a token, and once with one that has more scopes."""

_UNAUTHORIZED, _FORBIDDEN = 401, 403

_SHOWN = 500
"""Maximum number of characters of an authorization server's text in a message."""

_PROTOCOL = "mcp-protocol-version"


class OAuthAuth(httpx2.Auth):
    """The authorization of one target, shared by all of its connections.

    `problem` is why the last refused request could not be authorized; empty if none failed since the last new token.
    """

    def __init__(self, target: HttpTarget, store: TokenStore, redactor: Redactor, emit: Emit) -> None:
        self.problem = ""
        self._target = target
        self._client = target.client
        self._key = Key.of(target.url, (target.client.client_id or "") if target.client else "")
        self._store = store
        self._redactor = redactor
        self._emit = emit
        self._grant: StoredToken | None = None
        self._is_read = False
        self._refused: str | None = None
        self._lock = asyncio.Lock()
        self._renewals: set[asyncio.Task[StoredToken | None]] = set()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request with the token, and again with a new one if the server refuses it."""
        grant = await self._current_token(request)
        for resends_left in reversed(range(_ROUNDS + 1)):
            if grant:
                request.headers["Authorization"] = f"Bearer {grant.access_token}"
            response = yield request
            if response.status_code not in (_UNAUTHORIZED, _FORBIDDEN):
                return
            if not resends_left:
                self._refuse(f"it refuses the token that it was given ({response.status_code})")
                return
            grant = await self._renew_uncancelled(grant, request, response)
            if grant is None:
                return  # the sender gets the refusal: an exception would end the connection

    def _refuse(self, problem: str) -> None:
        """Record why a request stays refused, for the connection and for the request itself.

        The text becomes part of a failed call's result, which replays compare with the recorded one.
        """
        self.problem = current_delivery().cause = problem

    async def _current_token(self, request: httpx2.Request) -> StoredToken | None:
        """Return the current token if it may be valid. An expired login is refreshed first."""
        async with self._lock:
            if not self._is_read:
                self._is_read = True
                self._use_token(await asyncio.to_thread(self._stored_token))
        grant = self._grant
        if grant is None or not grant.is_due:
            return grant
        if self._client or not grant.refresh_token:
            return None  # the server's refusal names the authorization server
        return await self._renew_uncancelled(grant, request, None) or grant

    async def _renew_uncancelled(
        self, refused: StoredToken | None, request: httpx2.Request, response: httpx2.Response | None
    ) -> StoredToken | None:
        """Get another token, even if the request is cancelled meanwhile: a refresh token may be valid only once."""
        protocol = request.headers.get(_PROTOCOL)
        task = asyncio.create_task(self._renew(refused, protocol, response), name="renew")
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)
        return await asyncio.shield(task)

    async def _renew(
        self, refused: StoredToken | None, protocol: str | None, response: httpx2.Response | None
    ) -> StoredToken | None:
        async with self._lock:
            if self._grant and self._grant is not refused and not self._grant.is_due:
                return self._grant  # another request renewed it
            needs_lock = self._client or self._grant
            async with self._store.locked(self._key) if needs_lock else nullcontext():
                stored = await asyncio.to_thread(self._stored_token)
                if stored and not stored.is_due and not (refused and stored.access_token == refused.access_token):
                    grant: StoredToken | None = stored  # another process renewed it
                else:
                    grant = await self._obtain(stored or refused, protocol, response)
                    if grant:
                        await asyncio.to_thread(self._write_token, grant)
            if grant:
                self._use_token(grant)
            return grant

    async def _obtain(
        self, before: StoredToken | None, protocol: str | None, response: httpx2.Response | None
    ) -> StoredToken | None:
        from mcprun.client.auth.flow import (  # slow to import, and rarely needed
            ProtectedServer,
            get_machine_token,
            is_step_up,
            refresh_token,
        )

        server = ProtectedServer(self._key.url, protocol, self._redactor.learn)
        status = response.status_code if response else _UNAUTHORIZED
        log_in = f"mcprun login {without_secrets(self._target.url)}"
        if response is not None and status == _FORBIDDEN and not is_step_up(response):
            self._refuse(f"it forbids the request ({status})")
            return None
        try:
            if self._client and response is not None:
                return await get_machine_token(server, self._client, before, response)
            if response is not None and is_step_up(response):
                scopes = shlex.quote(_scopes(before, response))
                self._refuse(f"it asks for more scopes than the login has: {log_in} --oauth-scope {scopes}")
            elif before is None and (damage := await asyncio.to_thread(self._store.damage, self._key)):
                self._refuse(f"it wants authorization ({status}), and {damage}; log in again: {log_in}")
            elif before is None:
                ways = f"log in once ({log_in}), or give --token or --oauth-client-id"
                self._refuse(f"it wants authorization ({status}): {ways}")
            elif not (before.refresh_token and before.client) or before.refresh_token == self._refused:
                self._refuse(f"it does not take the login any more ({status}): {log_in}")
            elif renewed := await refresh_token(server, before):
                return renewed
            else:
                self._refused = before.refresh_token
                self._refuse(f"the login is over, and was not renewed: {log_in}")
        except Exception as error:  # noqa: BLE001  SDK, JSON and network errors are reported alike
            reason = self._redactor.text(str(error) or type(error).__name__)
            self._refuse(f"no token was given: {reason[:_SHOWN]}")
        return None

    def _stored_token(self) -> StoredToken | None:
        """Return the stored token, unless the client requested it with other scopes."""
        grant = self._store.read(self._key)
        return grant if grant is None or not self._client or grant.asked == self._client.scope else None

    def _write_token(self, grant: StoredToken) -> None:
        try:
            self._store.write(self._key, grant)
        except UsageError as error:
            self._emit(WarningEvent(message=f"{error}; they are used for this run only"))

    def _use_token(self, grant: StoredToken | None) -> None:
        if grant:
            self._redactor.learn(grant.secrets)
            self.problem = ""
            self._grant = grant


def _scopes(before: StoredToken | None, response: httpx2.Response) -> str:
    from mcp.client.auth.utils import extract_scope_from_www_auth, union_scopes

    granted = (before.scope or before.asked) if before else None
    return (union_scopes(granted, extract_scope_from_www_auth(response)) or "")[:_SHOWN]
