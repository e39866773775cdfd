"""Logging in, once, as a person: the tokens that come of it are kept, and used and renewed by later runs."""

from __future__ import annotations

import asyncio
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthFlowError, OAuthRegistrationError
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types import LATEST_PROTOCOL_VERSION

from mcprun.client.auth.flow import by_person
from mcprun.client.auth.redirect import Redirects, listening, pasted
from mcprun.client.auth.stored_token import Key
from mcprun.client.auth.token_store import TokenStore
from mcprun.client.oauth_client import OAuthClient
from mcprun.client.target import HttpTarget
from mcprun.client.transports.bounded_body import BoundedStream
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.runs.redaction import Redactor

_PROBE_SECONDS = 30.0
_MOST_BYTES = 1024 * 1024
_UNAUTHORIZED = 401
_SHOWN = 500
"""Characters of what an authorization server says that are told."""

_PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginMethod:
    """How a person is asked: whether a browser is opened, where they come back to, and for how long that is waited for.

    `metadata_url` is that of a document that describes the client (a client ID metadata document), `seconds` bounds the
    whole login.
    """

    opens_browser: bool = True
    port: int | None = None
    redirect_uri: str | None = None
    metadata_url: str | None = None
    seconds: float = 300.0


async def log_in(
    target: HttpTarget,
    client: OAuthClient,
    manner: LoginMethod,
    *,
    store: TokenStore,
    redactor: Redactor,
    tell: Callable[[str], None],
) -> str:
    """Have a person log in to a server, keep the tokens, and say where.

    `tell` is given what the person is to be told. Raises `RunError` when it comes to nothing, and `UsageError` for
    what can't be meant and for tokens that can't be kept.
    """
    port = manner.port or client.port
    was_refused = False
    try:
        async with asyncio.timeout(manner.seconds), listening(port, manner.redirect_uri) as redirects:
            refusal = await _refusal(target)
            was_refused = refusal is not None
            grant = await by_person(
                target.url,
                client,
                redirects.uri,
                lambda url: _asked(url, redirects, tell, opens_browser=manner.opens_browser),
                refusal,
                LATEST_PROTOCOL_VERSION,
                redactor.learn,
                metadata_url=manner.metadata_url,
            )
    except TimeoutError:
        message = f"nobody has logged in to {target} within {manner.seconds:g} s, the --timeout"
        raise RunError(ErrorKind.CONNECT_TIMEOUT, message) from None
    except OAuthRegistrationError as error:
        if not was_refused:
            raise RunError(ErrorKind.SERVER_START, f"{target} asks for no authorization") from None
        hint = "if it registers no clients by itself, give --oauth-client-id"
        raise RunError(ErrorKind.SERVER_START, f"can't log in to {target}: {str(error)[:_SHOWN]} ({hint})") from None
    except (OAuthFlowError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
        told = str(error)[:_SHOWN] or type(error).__name__
        raise RunError(ErrorKind.SERVER_START, f"can't log in to {target}: {told}") from None
    except ValueError as error:
        raise UsageError(f"can't log in to {target}: {error}") from None
    redactor.learn(grant.secrets)
    return await asyncio.to_thread(store.write, Key.of(target.url), grant)


async def _refusal(target: HttpTarget) -> httpx2.Response | None:
    """Give a server's refusal of somebody unknown, which says where to log in; `None` if it refuses nobody."""

    async def bound(response: httpx2.Response) -> None:
        response.stream = BoundedStream(response.stream, _MOST_BYTES, "a refusal may have")

    headers = {
        "accept": "application/json, text/event-stream",
        MCP_PROTOCOL_VERSION_HEADER: LATEST_PROTOCOL_VERSION,
        **target.headers,
    }
    async with httpx2.AsyncClient(timeout=_PROBE_SECONDS, headers=headers, event_hooks={"response": [bound]}) as client:
        for method, body in (("POST", _PING), ("GET", None)):
            async with client.stream(method, target.url, json=body) as response:
                if response.status_code == _UNAUTHORIZED:
                    await response.aread()
                    return response
    return None


async def _asked(
    url: str, redirects: Redirects, tell: Callable[[str], None], *, opens_browser: bool
) -> AuthorizationCodeResult:
    """Send a person to a URL, and wait for what they come back with."""
    state = parse_qs(urlsplit(url).query)["state"][-1]
    waiting = asyncio.create_task(redirects.answer(state), name="answer")
    helper: asyncio.Task[None] | None = None
    try:
        await asyncio.sleep(0)  # the answer is waited for before anybody can give it
        tell(f"Log in here: {url}")
        if opens_browser:
            helper = asyncio.create_task(_browse(url, redirects, tell), name="browser")
        else:
            helper = asyncio.create_task(_paste(redirects, tell), name="paste")
        return await waiting
    finally:
        waiting.cancel()
        if helper:
            helper.cancel()
            with suppress(asyncio.CancelledError):
                await helper


async def _browse(url: str, redirects: Redirects, tell: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[bool] = loop.create_future()

    def open_it() -> None:
        is_open = False
        with suppress(webbrowser.Error, OSError):
            is_open = webbrowser.open(url)
        with suppress(RuntimeError):  # the loop is closed: the login is over
            loop.call_soon_threadsafe(_settle, opened, is_open)

    # Some browsers are waited for until they are closed: nobody waits for the thread.
    threading.Thread(target=open_it, name="browser", daemon=True).start()
    if not await opened:
        tell("No browser could be opened.")
        await _paste(redirects, tell)


async def _paste(redirects: Redirects, tell: Callable[[str], None]) -> None:
    tell("If the browser is on another machine, paste the URL here that it ends up at.")
    async for line in pasted():
        if wrong := redirects.take(line):
            tell(f"Try again: {wrong}.")


def _settle(opened: asyncio.Future[bool], is_open: bool) -> None:
    if not opened.done():
        opened.set_result(is_open)
