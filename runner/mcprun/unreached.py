"""Why no connection to a server came about, in one message that names the cause."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from mcprun.errors import ErrorKind, RunError
from mcprun.http_failure import Delivery
from mcprun.link import Link
from mcprun.process import Ahead
from mcprun.server import first_problem
from mcprun.serverlog import Stderr
from mcprun.target import HttpTarget, StdioTarget, Target

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_REFUSED = "it refuses the authorization that it was given (401)"


@dataclass(slots=True)
class Progress:
    """How far a connection has come: what it waits for, and whose stderr it is.

    The server may have been started `ahead`. `delivery` holds what HTTP said about the last request;
    `is_agreed` tells that a protocol has been agreed on.
    """

    stderr: Stderr
    ahead: Ahead | None = None
    step: str = "it to start"
    delivery: Delivery = field(default_factory=Delivery)
    link: Link | None = None
    is_agreed: bool = False

    def has_said(self, error: MCPError) -> bool:
        """Return whether an error is the server's own answer to the last request, and not the SDK's."""
        said = self.link.last_error if self.link else None
        return said is not None and (said.code, said.message) == (error.code, error.message)

    @property
    def refused(self) -> int | None:
        """The HTTP status that the last request was refused with, if it was."""
        return self.delivery.failure.status if self.delivery.failure else None


def explained(error: Exception, progress: Progress, target: Target, seconds: float, refusal: str) -> RunError:
    """Say why a target was not reached within its `seconds`; `refusal` is why it lets nobody in, if that is known."""
    kind, message = ErrorKind.SERVER_START, ""
    refusal = refusal or (_REFUSED if progress.refused == _UNAUTHORIZED else "")
    match error:
        case RunError():
            kind, message = error.kind, str(error)
        case _ if refusal:
            failure = progress.delivery.failure
            said = f": {failure.words}" if failure and failure.words and failure.status == _FORBIDDEN else ""
            message = f"can't connect to {target}: {refusal}{said}"
        case TimeoutError():
            kind = ErrorKind.CONNECT_TIMEOUT
            message = f"the server did not answer within {seconds:g} s, waiting for {progress.step}: {target}"
        case FileNotFoundError() if isinstance(target, StdioTarget):
            if target.cwd and not Path(target.cwd).is_dir():
                message = f"the server's working folder is not there: {target.cwd}"
            else:
                place = f", seen from {target.cwd}" if target.cwd and os.sep in target.command else ""
                message = f"command not found: {target.command}{place}"
        case PermissionError() if isinstance(target, StdioTarget):
            message = f"not allowed to run {target.command}"
        case MCPError() if error.code == mcp_types.CONNECTION_CLOSED and not progress.has_said(error):
            message = f"the server exited before it answered: {target}"
        case httpx2.HTTPStatusError() if progress.delivery.failure:
            message = f"the server refused to connect: {progress.delivery.failure.message()} ({target})"
        case MCPError():
            message = f"the server refused to connect: {error.message} ({target}){_hint(progress, target)}"
        case ValidationError():
            message = f"the server's handshake is invalid: {first_problem(error)} ({target})"
        case _:
            message = f"can't connect to {target}: {str(error) or type(error).__name__}"
    return RunError(kind, message, stderr=progress.stderr.last_words)


def _hint(progress: Progress, target: Target) -> str:
    """Say where a server mostly is, when nothing is at the root of a URL."""
    is_root = isinstance(target, HttpTarget) and urlsplit(target.url).path in ("", "/")
    is_missing = progress.refused == _NOT_FOUND and is_root
    return "; most servers are at /mcp, and this URL has no path" if is_missing else ""
