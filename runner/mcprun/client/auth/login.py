"""Log a user in to a server, and store the tokens for later runs to use and refresh."""

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

from mcprun.client.auth.flow import LoginRedirect, ProtectedServer, log_in_interactively
from mcprun.client.auth.redirect import Redirects, listen_for_redirect, read_pasted_lines
from mcprun.client.auth.stored_token import Key
from mcprun.client.auth.token_store import TokenStore
from mcprun.client.oauth_client import OAuthClient
from mcprun.client.target import HttpTarget
from mcprun.client.transports.bounded_body import BoundedStream
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.runs.redaction import Redactor

_PROBE_SECONDS = 30.0
_MAX_BYTES = 1024 * 1024
_UNAUTHORIZED = 401
_SHOWN = 500
"""Maximum number of characters of an authorization server's text in a message."""

_PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginMethod:
    """How to log a user in.

    Args:
        opens_browser: Whether to open a browser. If not, the user opens the URL and can paste the redirected one.
        port: The loopback port to listen on. None for that of the client, else a free one.
        redirect_uri: The redirect URI that the client was registered with, if it was.
        metadata_url: The URL of a client ID metadata document, which describes the client.
        timeout_s: Time limit for the whole login.
    """

    opens_browser: bool = True
    port: int | None = None
    redirect_uri: str | None = None
    metadata_url: str | None = None
    timeout_s: float = 300.0


async def log_in(
    target: HttpTarget,
    client: OAuthClient,
    method: LoginMethod,
    *,
    store: TokenStore,
    redactor: Redactor,
    print_line: Callable[[str], None],
) -> str:
    """Log a user in to a server, store the tokens, and return where they are stored.

    `print_line` is called with each message for the user. Raises `RunError` if the login fails, and `UsageError` for
    invalid options and for tokens that cannot be stored.
    """
    port = method.port or client.port
    was_refused = False
    try:
        async with asyncio.timeout(method.timeout_s), listen_for_redirect(port, method.redirect_uri) as redirects:
            refusal = await _refusal(target)
            was_refused = refusal is not None
            grant = await log_in_interactively(
                ProtectedServer(target.url, LATEST_PROTOCOL_VERSION, redactor.learn),
                client,
                LoginRedirect(
                    redirects.uri,
                    lambda url: _open_and_wait(url, redirects, print_line, opens_browser=method.opens_browser),
                ),
                refusal,
                metadata_url=method.metadata_url,
            )
    except TimeoutError:
        message = f"no login to {target} within {method.timeout_s:g} s (--timeout)"
        raise RunError(ErrorKind.CONNECT_TIMEOUT, message) from None
    except OAuthRegistrationError as error:
        if not was_refused:
            raise RunError(ErrorKind.SERVER_START, f"{target} does not require authorization") from None
        hint = "if it does not support client registration, pass --oauth-client-id"
        raise RunError(ErrorKind.SERVER_START, f"can't log in to {target}: {str(error)[:_SHOWN]} ({hint})") from None
    except (OAuthFlowError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
        reason = str(error)[:_SHOWN] or type(error).__name__
        raise RunError(ErrorKind.SERVER_START, f"can't log in to {target}: {reason}") from None
    except ValueError as error:
        raise UsageError(f"can't log in to {target}: {error}") from None
    redactor.learn(grant.secrets)
    return await asyncio.to_thread(store.write, Key.of(target.url), grant)


async def _refusal(target: HttpTarget) -> httpx2.Response | None:
    """Return the server's 401 to a request without a token, which names where to log in. None if it sends none."""

    async def bound(response: httpx2.Response) -> None:
        response.stream = BoundedStream(response.stream, _MAX_BYTES, "a refusal may have")

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


async def _open_and_wait(
    url: str, redirects: Redirects, print_line: Callable[[str], None], *, opens_browser: bool
) -> AuthorizationCodeResult:
    """Send the user to a URL, and wait for the result of the redirect."""
    state = parse_qs(urlsplit(url).query)["state"][-1]
    waiting = asyncio.create_task(redirects.answer(state), name="answer")
    helper: asyncio.Task[None] | None = None
    try:
        await asyncio.sleep(0)  # `waiting` must run before an answer can arrive
        print_line(f"Log in here: {url}")
        if opens_browser:
            helper = asyncio.create_task(_browse(url, redirects, print_line), name="browser")
        else:
            helper = asyncio.create_task(_paste(redirects, print_line), name="paste")
        return await waiting
    finally:
        waiting.cancel()
        if helper:
            helper.cancel()
            with suppress(asyncio.CancelledError):
                await helper


async def _browse(url: str, redirects: Redirects, print_line: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[bool] = loop.create_future()

    def open_browser() -> None:
        is_open = False
        with suppress(webbrowser.Error, OSError):
            is_open = webbrowser.open(url)
        with suppress(RuntimeError):  # the loop is closed: the login is over
            loop.call_soon_threadsafe(_settle, opened, is_open)

    # Some browsers block `webbrowser.open` until they are closed, so it runs in a daemon thread.
    threading.Thread(target=open_browser, name="browser", daemon=True).start()
    if not await opened:
        print_line("Could not open a browser.")
        await _paste(redirects, print_line)


async def _paste(redirects: Redirects, print_line: Callable[[str], None]) -> None:
    print_line("If the browser runs on another machine, paste here the URL that it was redirected to.")
    async for line in read_pasted_lines():
        if problem := redirects.take(line):
            print_line(f"Try again: {problem}.")


def _settle(opened: asyncio.Future[bool], is_open: bool) -> None:
    if not opened.done():
        opened.set_result(is_open)
