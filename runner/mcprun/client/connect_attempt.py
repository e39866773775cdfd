"""The ways to connect to a server, and the progress of an attempt at one of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import anyio
import httpx2
from mcp import MCPError

from mcprun._util.deadline import Deadline
from mcprun.client.connection import Connection
from mcprun.client.server_log import ServerStderr
from mcprun.client.target import HttpTarget, StdioTarget, Target
from mcprun.client.traffic import Traffic
from mcprun.client.transports.http_failure import Delivery
from mcprun.client.transports.process import PrestartedServer
from mcprun.limits import AUTO, LEGACY, MODERN

_EXITS = (MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError, ConnectionError)
"""Exceptions that the client raises if the server disconnects before the handshake is complete."""

_NO_SSE = (httpx2.HTTPStatusError, httpx2.SSEError)
"""Exceptions that show that a URL is not an HTTP+SSE endpoint."""

_NOT_POSTED_TO = frozenset({400, 404, 405, 406, 410, 415})
"""HTTP statuses with which servers refuse a POST to a URL that is not a Streamable HTTP endpoint."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to connect: the target, and the protocol `mode` of the SDK's client."""

    target: Target
    mode: str


def candidates(target: Target, mode: str, asked: str) -> list[Candidate]:
    """Return the ways to connect to a target in order: with `mode`, then as an older server would need it.

    A server may exit on the probe for newer protocols, so it is started again without the probe. A URL may be an
    HTTP+SSE endpoint, which clients should try (MCP, "Backwards Compatibility" of Streamable HTTP). `asked` is the
    protocol that the user asked for, which excludes older ones unless it is `auto` or, for a URL, `legacy`.
    """
    first = Candidate(target, mode)
    match target:
        case StdioTarget() if mode == asked == AUTO:
            return [first, Candidate(target, LEGACY)]
        case HttpTarget(transport="http") if asked != MODERN:
            return [first, Candidate(replace(target, transport="sse"), LEGACY)]
    return [first]


@dataclass(slots=True)
class ConnectAttempt:
    """One attempt to connect.

    Args:
        candidate: The target and the protocol mode.
        link: The connection to open.
        stderr: The server's stderr.
        clock: The deadline, which all candidates share.
        prestarted: The server, if it has been started already.
        step: What mcprun is waiting for, as messages name it.
        unprobed: The time limit of the probe for newer protocols, in seconds, if the server did not answer it.
        delivery: The HTTP outcome of the last request.
        traffic: The messages of the connection, unless the server is in this process.
        has_agreed: Whether a protocol version has been negotiated.
        error: The exception that ended the attempt.
    """

    candidate: Candidate
    link: Connection
    stderr: ServerStderr
    clock: Deadline
    prestarted: PrestartedServer | None = None
    step: str = "it to start"
    unprobed: float | None = None
    delivery: Delivery = field(default_factory=Delivery)
    traffic: Traffic | None = None
    has_agreed: bool = False
    error: Exception | None = None

    def is_own_error(self, error: MCPError) -> bool:
        """Return whether the server itself sent an error as its last message, rather than the SDK raising it."""
        last_error = self.traffic.last_error if self.traffic else None
        return last_error is not None and (last_error.code, last_error.message) == (error.code, error.message)

    @property
    def refused(self) -> int | None:
        """The HTTP status with which the last request was refused; None if it was not."""
        return self.delivery.failure.status if self.delivery.failure else None

    def sending(self, method: str) -> None:
        """Record the method of the request that mcprun is waiting for."""
        self.step = "its tools" if method == "tools/list" else f"its response to {method}"

    def not_probed(self, seconds: float) -> None:
        """Record that the server did not answer the probe within `seconds`."""
        self.unprobed = seconds

    def allows_next(self) -> bool:
        """Return whether the failure may be that of an older server, and half of the time is left to try that."""
        if not isinstance(self.error, _EXITS) or self.clock.elapsed > self.clock.limit_s / 2:
            return False
        if isinstance(self.candidate.target, HttpTarget):
            return self.refused in _NOT_POSTED_TO
        return not self.has_agreed


def reported(attempts: list[ConnectAttempt]) -> ConnectAttempt:
    """Return the failed attempt whose error explains the failure of all: the last, unless the URL has no HTTP+SSE."""
    return attempts[0] if isinstance(attempts[-1].error, _NO_SSE) else attempts[-1]
