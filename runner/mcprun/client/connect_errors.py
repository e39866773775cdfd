"""Describe why connecting to a server failed, in one message that names the cause."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx2
import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from mcprun._util.network import proxy_of
from mcprun.client.connect_attempt import ConnectAttempt
from mcprun.client.request_errors import first_problem
from mcprun.client.start_hints import hint
from mcprun.client.target import HttpTarget, StdioTarget, Target, has_folder
from mcprun.client.transports.framing import error_text
from mcprun.errors import ErrorKind, RunError

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_NO_POST = frozenset({405, 501})
"""Statuses with which a web server that is no MCP server responds to a POST request."""

_USUAL_PATHS = ("/mcp", "/sse")
"""Paths at which most servers are: of Streamable HTTP and of HTTP+SSE."""

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
        case _ if attempt.refused == _NOT_FOUND and isinstance(target, HttpTarget):
            message = _not_found(target, attempt)
        case httpx2.HTTPStatusError() if attempt.delivery.failure:
            message = _refused(target, attempt.delivery.failure.message(), attempt)
        case MCPError():
            message = _refused(target, error_text(error.error), attempt)
        case ValidationError():
            message = f"the server's handshake is invalid: {first_problem(error)} ({target})"
        case _:
            proxy = proxy_of(target.url) if isinstance(target, HttpTarget) else ""
            through = f" through the proxy of {proxy}" if proxy else ""
            message = f"can't connect to {target}{through}: {_reason(error)}"
            message += "; check that the server is running and that its URL is right" if _is_down(error) else ""
    stderr = attempt.stderr.stderr_tail
    advice = hint(target, stderr, attempt.stderr.recent_errors) if kind is ErrorKind.SERVER_START else ""
    return RunError(kind, f"{message}; {advice}" if advice else message, stderr=stderr)


def _is_down(error: Exception) -> bool:
    return isinstance(error, httpx2.ConnectError)


def _refused(target: Target, reply: str, attempt: ConnectAttempt) -> str:
    """Return the message for a refusal, with other URLs to try if the server accepts no POST request at this one."""
    failure = attempt.delivery.failure
    is_no_endpoint = failure is not None and failure.status in _NO_POST and isinstance(target, HttpTarget)
    advice = f"; nothing accepts MCP requests at that path: try {_other_urls(target)}" if is_no_endpoint else ""
    return f"the server refused the connection: {reply} ({target}){advice}"


def _not_found(target: HttpTarget, attempt: ConnectAttempt) -> str:
    """Return the message for a URL at which nothing is served, with other URLs of the same host to try."""
    failure = attempt.delivery.failure
    reply = f" ({failure.message()})" if failure else ""
    return f"nothing is served at {target}{reply}: try {_other_urls(target)}"


def _other_urls(target: Target) -> str:
    """Return the URLs at the usual paths of the same host, without that of the target."""
    url = urlsplit(str(target))
    path = url.path.rstrip("/")
    return " or ".join(urlunsplit((url.scheme, url.netloc, one, "", "")) for one in _USUAL_PATHS if one != path)


def _reason(error: Exception) -> str:
    """Return why a connection failed, in the words of the operating system if they are known."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]
            continue
        if isinstance(cause, OSError) and cause.errno:
            # asyncio puts the address in place of the system's words; a name that is not found has no system error.
            reason = os.strerror(cause.errno) if cause.errno > 0 else cause.strerror or str(cause)
            return reason[:1].lower() + reason[1:]
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
