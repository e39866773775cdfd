"""Why no connection to a server came about, in one message that names the cause."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from mcprun.deadline import Deadline
from mcprun.errors import ErrorKind, RunError
from mcprun.process import Ahead
from mcprun.server import first_problem
from mcprun.serverlog import Stderr
from mcprun.target import HttpTarget, StdioTarget, Target, has_folder
from mcprun.wire import error_text

_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_REFUSED = "it refuses the authorization that it was given (401)"

_STAND_INS = frozenset({"Server returned an error response", "Not Found"})
"""What the SDK makes of a refusal that is no JSON-RPC."""


@dataclass(slots=True)
class Progress:
    """How far a connection has come: what it waits for, the server's stderr, its time, and how it was refused.

    The server may have been started `ahead`. `unprobed` is the time limit of the probe for newer protocols, in seconds,
    if the server did not answer it. `has_agreed` tells whether a protocol was agreed on, `how` what it did
    that ended the connection, if it did not exit.
    """

    stderr: Stderr
    clock: Deadline
    ahead: Ahead | None = None
    step: str = "it to start"
    refused: int | None = None
    words: str = ""
    unprobed: float | None = None
    has_agreed: bool = False
    how: str = ""

    def sending(self, method: str) -> None:
        """Note which request is waited for from now on."""
        self.step = "its tools" if method == "tools/list" else f"its answer to {method}"

    def not_probed(self, seconds: float) -> None:
        """Note that the server did not answer the probe within its time limit."""
        self.unprobed = seconds


def explained(error: Exception, progress: Progress, target: Target, refusal: str) -> RunError:
    """Say why a target was not reached within its time; `refusal` is why it lets nobody in, if that is known."""
    kind, message = ErrorKind.SERVER_START, ""
    refusal = refusal or (_REFUSED if progress.refused == _UNAUTHORIZED else "")
    match error:
        case RunError():
            kind, message = error.kind, str(error)
        case _ if refusal:
            said = f": {progress.words}" if progress.words and progress.refused == _FORBIDDEN else ""
            message = f"can't connect to {target}: {refusal}{said}"
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
        case MCPError() if error.code == mcp_types.CONNECTION_CLOSED:
            message = f"the server {progress.how or 'exited'} before it answered: {target}"
        case MCPError():
            message = f"the server refused to connect: {_said(error, progress)} ({target}){_hint(progress, target)}"
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


def _said(error: MCPError, progress: Progress) -> str:
    """Give a refusal's words: HTTP's status and what came with it, where the SDK has put words of its own."""
    if progress.refused is None or error.message not in _STAND_INS:
        return error_text(error.error)
    return ": ".join(filter(None, (f"status {progress.refused}", progress.words)))
