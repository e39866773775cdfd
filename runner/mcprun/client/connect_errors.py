"""Describe why connecting to a server failed, in one message that names the cause."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from mcprun._util.network import proxy_of
from mcprun.client.connect_attempt import ConnectAttempt
from mcprun.client.request_errors import first_problem
from mcprun.client.target import HttpTarget, StdioTarget, Target, has_folder
from mcprun.client.transports.framing import error_text
from mcprun.errors import ErrorKind, RunError

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_REFUSED = "the server rejected the credentials (401)"


def connect_error(error: Exception, attempt: ConnectAttempt, refusal: str) -> RunError:
    """Return the error for a failed attempt. `refusal` is why authorization was refused; empty if it was not."""
    target = attempt.candidate.target
    kind, message = ErrorKind.SERVER_START, ""
    refusal = refusal or (_REFUSED if attempt.refused == _UNAUTHORIZED else "")
    match error:
        case RunError():
            kind, message = error.kind, str(error)
        case _ if refusal:
            failure = attempt.delivery.failure
            reply = f": {failure.body_text}" if failure and failure.body_text and failure.status == _FORBIDDEN else ""
            message = f"can't connect to {target}: {refusal}{reply}"
        case TimeoutError():
            kind = ErrorKind.CONNECT_TIMEOUT
            also = " (server/discover was not answered either)" if attempt.unprobed else ""
            message = f"the server did not respond {attempt.clock.limit}, waiting for {attempt.step}{also}: {target}"
        case FileNotFoundError() if isinstance(target, StdioTarget):
            if target.cwd and not Path(target.cwd).is_dir():
                message = f"the server's working directory does not exist: {target.cwd}"
            else:
                place = f", relative to {target.cwd}" if target.cwd and has_folder(target.command) else ""
                message = f"command not found: {target.command}{place}"
        case PermissionError() if isinstance(target, StdioTarget):
            message = f"no permission to run {target.command}"
        case MCPError() if error.code == mcp_types.CONNECTION_CLOSED and not attempt.is_own_error(error):
            message = f"the server exited before it responded: {target}"
            if attempt.link.reason:
                message = f"the connection was lost before the server responded: {attempt.link.reason} ({target})"
        case httpx2.HTTPStatusError() if attempt.delivery.failure:
            message = f"the server refused the connection: {attempt.delivery.failure.message()} ({target})"
        case MCPError():
            message = f"the server refused the connection: {error_text(error.error)} ({target}){_hint(attempt, target)}"
        case ValidationError():
            message = f"the server's handshake is invalid: {first_problem(error)} ({target})"
        case _:
            proxy = proxy_of(target.url) if isinstance(target, HttpTarget) else ""
            through = f" through the proxy of {proxy}" if proxy else ""
            message = f"can't connect to {target}{through}: {str(error) or type(error).__name__}"
    return RunError(kind, message, stderr=attempt.stderr.stderr_tail)


def _hint(attempt: ConnectAttempt, target: Target) -> str:
    """Return a hint at the usual path of servers if a URL without a path was not found; else empty."""
    is_root = isinstance(target, HttpTarget) and urlsplit(target.url).path in ("", "/")
    is_missing = attempt.refused == _NOT_FOUND and is_root
    return "; most servers are at /mcp, and this URL has no path" if is_missing else ""
