"""The HTTP transport of requests to a model's API, unless a proxy is configured. It reuses connections.

It does what the SDK's own transport (httpcore2) does for these requests, and raises the same exceptions, for a fifth of
the processor time: the most recent connection that is free is used, without a search, and responses are parsed by
compiled code.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import NamedTuple

import httpx2

from mcprun.models.http.connection import HttpConnection
from mcprun.models.http.happy_eyeballs import connect_socket

KEEP_ALIVE_SECONDS = 5.0
"""The seconds after which a free connection is not used again, as in httpx2."""

_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}
"""Probes of an idle connection: seconds before the first and between two, and their number. Systems lack some."""

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_VALUE = re.compile(rb"(?:[^\0\s]+(?:[ \t]+[^\0\s]+)*)?")
"""The name and the value of a header (RFC 9110, section 5). Line breaks would add headers or requests."""


class Origin(NamedTuple):
    """What a connection leads to (RFC 9110, section 4.3.1)."""

    scheme: str
    host: str
    port: int


class HttpTransport(httpx2.AsyncBaseTransport):
    """Sends requests over HTTP/1.1, on one connection per request in flight."""

    def __init__(self) -> None:
        self._free: defaultdict[Origin, list[tuple[HttpConnection, float]]] = defaultdict(list)
        self._ssl_context: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return the response, whose body is still to be read.

        Raises a `httpx2.TransportError`: `ConnectError` or `ConnectTimeout` if no connection could be made, the errors
        of `HttpConnection`, `LocalProtocolError` for an invalid header, `UnsupportedProtocol` for another URL scheme.
        """
        data = _serialize(request, await request.aread())
        await _be_cancelled()
        origin = _origin(request.url)
        timeouts = request.extensions.get("timeout", {})
        connection = self._take_free(origin)
        if connection is None:
            server_name = request.extensions.get("sni_hostname", origin.host)
            connection = await self._connect(origin, server_name, timeouts.get("connect"))
        try:
            connection.send(data, timeouts.get("read"))
            head = await connection.receive_head()
        except BaseException:
            connection.close()
            raise
        return httpx2.Response(
            head.status,
            headers=head.headers,
            stream=_Body(self, origin, connection),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": head.reason},
        )

    async def aclose(self) -> None:
        """Close the free connections."""
        for free in self._free.values():
            for connection, _ in free:
                connection.close()
        self._free.clear()

    def release(self, origin: Origin, connection: HttpConnection) -> None:
        """Keep a connection for another request, or close it if it can't carry one."""
        if connection.is_reusable:
            self._free[origin].append((connection, _now() + KEEP_ALIVE_SECONDS))
        else:
            connection.close()

    def _take_free(self, origin: Origin) -> HttpConnection | None:
        """Return the connection that was released last, unless it has expired: then all have."""
        free = self._free[origin]
        while free:
            connection, expires = free.pop()
            if connection.is_reusable and not connection.is_readable and _now() < expires:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: Origin, server_name: str, timeout_s: float | None) -> HttpConnection:
        try:
            tls = self._tls_context() if origin.scheme == "https" else None
            async with asyncio.timeout(timeout_s):
                sock = await connect_socket(origin.host, origin.port)
                enable_keep_alive(sock)
                _, connection = await asyncio.get_running_loop().create_connection(
                    HttpConnection,
                    sock=sock,
                    ssl=tls,
                    server_hostname=server_name if tls else None,
                    ssl_handshake_timeout=timeout_s if tls else None,
                )
        except (ssl.SSLError, socket.gaierror, ValueError) as error:
            raise httpx2.ConnectError(str(error)) from error
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:  # not the system's ETIMEDOUT
                raise httpx2.ConnectTimeout("") from None
            raise httpx2.ConnectError("All connection attempts failed") from error
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        """Return the TLS settings, with the certificates that httpx2 trusts. They are read once."""
        if self._ssl_context is None:
            self._ssl_context = httpx2.create_ssl_context()
            self._ssl_context.set_alpn_protocols(["http/1.1"])
        return self._ssl_context


class _Body(httpx2.AsyncByteStream):
    """The body of a response. Its connection is released when it was read or is closed."""

    def __init__(self, transport: HttpTransport, origin: Origin, connection: HttpConnection) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: HttpConnection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._connection and (piece := await self._connection.receive()):
            yield piece

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            self._transport.release(self._origin, connection)


def _origin(url: httpx2.URL) -> Origin:
    if not url.is_absolute_url:
        raise httpx2.UnsupportedProtocol("Request URL is missing an 'http://' or 'https://' protocol.")
    if url.scheme not in _PORTS:
        raise httpx2.UnsupportedProtocol(f"Request URL has an unsupported protocol '{url.scheme}://'.")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme])


def _serialize(request: httpx2.Request, body: bytes) -> bytes:
    """Return a request as it is sent. Raise `httpx2.LocalProtocolError` for an invalid header."""
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    for name, value in request.headers.raw:
        if not _NAME.fullmatch(name):
            raise httpx2.LocalProtocolError(f"Illegal header name {name!r}")
        if not _VALUE.fullmatch(value):
            raise httpx2.LocalProtocolError(f"Illegal header value {value!r}")
        lines.append(b"%s: %s" % (name, value))
    return b"\r\n".join([*lines, b"", body])


def enable_keep_alive(sock: socket.socket) -> None:
    """Let the system probe an idle connection, as the SDK does: an answer may take minutes, and routers forget it."""
    with contextlib.suppress(OSError):  # macOS refuses it if the peer has closed already, which is noticed later
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if number := getattr(socket, name, None):
                sock.setsockopt(socket.IPPROTO_TCP, number, value)


async def _be_cancelled() -> None:
    """Raise `CancelledError` if this task was cancelled since it last waited: the request must not be sent."""
    task = asyncio.current_task()
    if task and task.cancelling():
        await asyncio.sleep(0)


def _now() -> float:
    return asyncio.get_running_loop().time()
