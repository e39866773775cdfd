"""Describe why connecting to a server failed, in one message that names the cause."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from mcprun._util.deadline import Deadline
from mcprun._util.network import proxy_of
from mcprun.client.connection import Connection
from mcprun.client.server_log import ServerStderr
from mcprun.client.session import first_problem
from mcprun.client.target import HttpTarget, StdioTarget, Target, has_folder
from mcprun.client.traffic import Traffic
from mcprun.client.transports.framing import error_text
from mcprun.client.transports.http_failure import Delivery
from mcprun.client.transports.process import PrestartedServer
from mcprun.errors import ErrorKind, RunError

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_REFUSED = "it refuses the authorization that it was given (401)"


@dataclass(slots=True)
class Progress:
    """The progress of one connection attempt.

    Args:
        stderr: The server's stderr.
        clock: The deadline of the attempt.
        ahead: The server, if it has been started already.
        step: What mcprun is waiting for, as messages name it.
        delivery: The HTTP outcome of the last request.
        link: The connection, once it is being opened.
        traffic: The messages of the connection, unless the server is in this process.
        unprobed: The time limit of the probe for newer protocols, in seconds, if the server did not answer it.
        has_agreed: Whether a protocol version has been negotiated.
    """

    stderr: ServerStderr
    clock: Deadline
    ahead: PrestartedServer | None = None
    step: str = "it to start"
    delivery: Delivery = field(default_factory=Delivery)
    link: Connection | None = None
    traffic: Traffic | None = None
    unprobed: float | None = None
    has_agreed: bool = False

    def has_said(self, error: MCPError) -> bool:
        """Return whether the server itself sent an error as its last message, rather than the SDK raising it."""
        sent = self.traffic.last_error if self.traffic else None
        return sent is not None and (sent.code, sent.message) == (error.code, error.message)

    @property
    def refused(self) -> int | None:
        """The HTTP status with which the last request was refused; None if it was not."""
        return self.delivery.failure.status if self.delivery.failure else None

    @property
    def reason(self) -> str:
        """Why the connection ended; empty if the transport does not know."""
        return self.link.reason if self.link else ""

    def sending(self, method: str) -> None:
        """Record the method of the request that mcprun is waiting for."""
        self.step = "its tools" if method == "tools/list" else f"its answer to {method}"

    def not_probed(self, seconds: float) -> None:
        """Record that the server did not answer the probe within `seconds`."""
        self.unprobed = seconds


def connect_error(error: Exception, progress: Progress, target: Target, refusal: str) -> RunError:
    """Return the error for a failed connection. `refusal` is why authorization was refused; empty if it was not."""
    kind, message = ErrorKind.SERVER_START, ""
    refusal = refusal or (_REFUSED if progress.refused == _UNAUTHORIZED else "")
    match error:
        case RunError():
            kind, message = error.kind, str(error)
        case _ if refusal:
            failure = progress.delivery.failure
            reply = f": {failure.words}" if failure and failure.words and failure.status == _FORBIDDEN else ""
            message = f"can't connect to {target}: {refusal}{reply}"
        case TimeoutError():
            kind = ErrorKind.CONNECT_TIMEOUT
            also = " (nor did it answer server/discover)" if progress.unprobed else ""
            message = f"the server did not answer {progress.clock.limit}, waiting for {progress.step}{also}: {target}"
        case FileNotFoundError() if isinstance(target, StdioTarget):
            if target.cwd and not Path(target.cwd).is_dir():
                message = f"the server's working folder is not there: {target.cwd}"
            else:
                place = f", seen from {target.cwd}" if target.cwd and has_folder(target.command) else ""
                message = f"command not found: {target.command}{place}"
        case PermissionError() if isinstance(target, StdioTarget):
            message = f"not allowed to run {target.command}"
        case MCPError() if error.code == mcp_types.CONNECTION_CLOSED and not progress.has_said(error):
            message = f"the server exited before it answered: {target}"
            if progress.reason:
                message = f"the server went away before it answered: {progress.reason} ({target})"
        case httpx2.HTTPStatusError() if progress.delivery.failure:
            message = f"the server refused to connect: {progress.delivery.failure.message()} ({target})"
        case MCPError():
            message = f"the server refused to connect: {error_text(error.error)} ({target}){_hint(progress, target)}"
        case ValidationError():
            message = f"the server's handshake is invalid: {first_problem(error)} ({target})"
        case _:
            proxy = proxy_of(target.url) if isinstance(target, HttpTarget) else ""
            through = f" through the proxy of {proxy}" if proxy else ""
            message = f"can't connect to {target}{through}: {str(error) or type(error).__name__}"
    return RunError(kind, message, stderr=progress.stderr.last_words)


def _hint(progress: Progress, target: Target) -> str:
    """Return a hint at the usual path of servers if a URL without a path was not found; else empty."""
    is_root = isinstance(target, HttpTarget) and urlsplit(target.url).path in ("", "/")
    is_missing = progress.refused == _NOT_FOUND and is_root
    return "; most servers are at /mcp, and this URL has no path" if is_missing else ""
