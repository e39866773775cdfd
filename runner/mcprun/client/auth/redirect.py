"""Receive the redirect that ends a login, on a loopback port (RFC 8252, section 7.3) or as a pasted URL."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import AuthorizationCodeResult, OAuthFlowError

from mcprun.errors import UsageError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PATH = "/callback"
_MAX_BYTES = 16_384
_TIMEOUT_S = 10.0
"""Time limit for the request of a browser that has connected."""

_DONE = "You are logged in. You may close this page."
_REFUSED = "The login failed; see the terminal. You may close this page."
_UNEXPECTED = "This is not the expected redirect."

_HEAD = """HTTP/1.1 {status}\r
Content-Type: text/html; charset=utf-8\r
Content-Security-Policy: default-src 'none'\r
Cache-Control: no-store\r
Referrer-Policy: no-referrer\r
Content-Length: {length}\r
Connection: close\r
\r
"""


def answer_of(query: str, state: str) -> AuthorizationCodeResult | None:
    """Parse the query of a redirected URL. Return None if it does not answer the login with this `state`.

    Raises `OAuthFlowError` if the authorization server refused the login (RFC 6749, section 4.1.2.1).
    """
    parameters = {key: values[0] for key, values in parse_qs(query).items()}
    if parameters.get("state") != state:
        return None
    if error := parameters.get("error"):
        description = parameters.get("error_description")
        raise OAuthFlowError(f"the authorization server returned {error}" + (f": {description}" if description else ""))
    if not parameters.get("code"):
        return None
    return AuthorizationCodeResult(code=parameters["code"], state=state, iss=parameters.get("iss"))


class Redirects:
    """Receive the answer to one login, from a browser that was redirected to `uri`, or as a pasted URL."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._state: str | None = None
        self._answer: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()
        # Retrieve an error that comes after the login has ended: asyncio would log it.
        self._answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    async def answer(self, state: str) -> AuthorizationCodeResult:
        """Wait for the answer with this `state`. Raises `OAuthFlowError` if it is a refusal."""
        self._state = state
        return await self._answer

    def take(self, url: str) -> str | None:
        """Accept a pasted URL, or its query. Return what is wrong with it, or None if it answers this login."""
        try:
            query = urlsplit(url).query or url.lstrip("?")
        except ValueError as error:  # such as "http://[", an unclosed IPv6 address
            return f"it is not a URL: {error}"
        page, _ = self._handle_query(query)
        return None if page != _UNEXPECTED else "it is not the redirect URL of this login"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one HTTP request from a browser."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                line = (await reader.readline()).decode("latin-1").split()
                while (await reader.readline()).strip():  # headers are ignored
                    pass
                page, status = _UNEXPECTED, "404 Not Found"
                if len(line) > 1 and line[0] == "GET" and urlsplit(line[1]).path == urlsplit(self.uri).path:
                    page, status = self._handle_query(urlsplit(line[1]).query)
                body = f"<!doctype html><title>mcprun</title><p>{page}</p>\n".encode()
                writer.write(_HEAD.format(status=status, length=len(body)).encode() + body)
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError):
            pass  # a slow, invalid or lost request: the login goes on
        finally:
            writer.close()

    def _handle_query(self, query: str) -> tuple[str, str]:
        """Return the page and the status for a redirect's query. Ignore a query that does not belong to this login."""
        try:
            answer = answer_of(query, self._state) if self._state else None
        except OAuthFlowError as error:
            if not self._answer.done():
                self._answer.set_exception(error)
            return _REFUSED, "200 OK"
        if answer is None:
            return _UNEXPECTED, "400 Bad Request"
        if not self._answer.done():
            self._answer.set_result(answer)
        return _DONE, "200 OK"


@asynccontextmanager
async def listen_for_redirect(port: int | None, uri: str | None) -> AsyncIterator[Redirects]:
    """Listen for a browser at the redirect URI that was registered, else on the port, else on a free port.

    For a URI on another machine there is no listener: the user can paste the redirected URL. Raises `UsageError` if the
    URI is invalid or the port is in use.
    """
    host, path = "127.0.0.1", _PATH
    if uri:
        try:
            parts = urlsplit(uri)
            host, path, port = parts.hostname or "", parts.path or "/", parts.port or 80
        except ValueError:
            host = ""
        if not host or parts.scheme not in ("http", "https"):
            raise UsageError("--redirect-uri: expected an http:// or https:// URL with a host")
        if host not in LOOPBACK or parts.scheme != "http":
            yield Redirects(uri)
            return
    redirects: list[Redirects] = []
    try:
        server = await asyncio.start_server(lambda *pair: redirects[0].serve(*pair), host, port or 0, limit=_MAX_BYTES)
    except OSError as error:
        raise UsageError(f"can't listen on port {port}: {error.strerror or error}") from None
    async with server:
        redirects.append(Redirects(uri or f"http://{host}:{server.sockets[0].getsockname()[1]}{path}"))
        yield redirects[0]


async def read_pasted_lines() -> AsyncIterator[str]:
    """Yield the non-empty lines of stdin. A daemon thread reads them, because a blocking read cannot be cancelled."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def put(line: str | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: the login is over
            loop.call_soon_threadsafe(lines.put_nowait, line)

    def read() -> None:
        rest = b""
        with suppress(OSError, ValueError):
            while data := os.read(sys.stdin.fileno(), _MAX_BYTES):
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    put(line.decode("utf-8", "replace").strip())
        if rest:
            put(rest.decode("utf-8", "replace").strip())
        put(None)

    threading.Thread(target=read, name="pasted", daemon=True).start()
    while (line := await lines.get()) is not None:
        if line:
            yield line
