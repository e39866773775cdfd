"""The errors of mcprun, and the exit codes that they and the verdicts become.

    McprunError
    ├── UsageError           the arguments or an input file are wrong; nothing was run      exit 2
    │   ├── PromptsError     a prompts file with bad lines, all of them listed              exit 2
    │   └── NoJudgeError     nobody can be asked to grade queries that have a rubric        exit 2
    ├── QueryError           one query could not be completed: verdict `error`, with a kind
    │   └── RequestError     a model request failed; the same one may succeed later
    │       ├── NoConnectionError  it could not even be sent
    │       └── DeniedError        the API refused the credentials, or their access (401, 403)
    └── RunError             the run can't go on: one message for the whole run, a kind     exit 3

Failure (a check did not hold) is not an error and never raised: it is a verdict.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


REDACTED = "[redacted]"
"""What stands in place of a secret, in files and messages."""


_DESCRIBED = 300
"""Characters of an exception's message that are shown."""


class ExitCode(IntEnum):
    """What the process returns; CI reads it."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    ERROR = 3
    INTERRUPTED = 130


class ErrorKind(StrEnum):
    """Why something could not be completed: a closed list that files, reports and exit codes share."""

    SERVER_START = "server_start"
    SERVER_DIED = "server_died"
    SESSION_LOST = "session_lost"
    CONNECT_TIMEOUT = "connect_timeout"
    REQUEST_TIMEOUT = "request_timeout"
    QUERY_TIMEOUT = "query_timeout"
    RUN_TIMEOUT = "run_timeout"
    MATCH_TIMEOUT = "match_timeout"
    THROTTLED = "throttled"
    API_ERROR = "api_error"
    API_REFUSED = "api_refused"
    BAD_TOOLS = "bad_tools"
    NOT_RECORDED = "not_recorded"
    SCRIPT_ERROR = "script_error"
    BUDGET = "budget"
    OUTPUT = "output"
    PROMPTS = "prompts"
    FAULT = "fault"
    CANCELLED = "cancelled"


NOT_BEGUN = frozenset({ErrorKind.SERVER_START, ErrorKind.CONNECT_TIMEOUT, ErrorKind.API_REFUSED, ErrorKind.BAD_TOOLS})
"""What ends a run before it has come to anything: there is nothing to go on with, it is begun anew."""


class McprunError(Exception):
    """Anything that mcprun raises on purpose; `str()` of it is fit for the terminal."""


class UsageError(McprunError):
    """The arguments, or a file that they name, are wrong. Nothing was run."""


class PromptsError(UsageError):
    """A prompts file is refused whole. `problems` holds one `FILE:LINE: field: what is wrong` for each bad line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NoJudgeError(UsageError):
    """A model is to grade queries, and there is no key to ask one with."""


class QueryError(McprunError):
    """One query could not be completed; the run goes on with the others."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class RequestError(QueryError):
    """A model request failed.

    `may_pass` tells whether the same request may succeed later, `retry_after` the seconds that the API asks to
    wait before it; `status` is the HTTP status and `request_id` the API's name for the request, where there are any.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        may_pass: bool,
        retry_after: float | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        self.may_pass = may_pass
        self.retry_after = retry_after
        self.status = status
        self.request_id = request_id
        super().__init__(kind, message)


class NoConnectionError(RequestError):
    """Nobody was there to take a model request: an unknown name, a refused connection, a bad certificate."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorKind.API_ERROR, message, may_pass=True)


class DeniedError(RequestError):
    """The API refused the credentials, or their access to what was requested (401, 403), or there are none.

    `names_model` is set if the request named a model itself. `is_accepted` is set if the API accepted the same
    credentials for a Message Batch, of which it refused one request.
    """

    def __init__(
        self,
        message: str,
        *,
        names_model: bool,
        may_pass: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        self.names_model = names_model
        self.is_accepted = False
        super().__init__(
            ErrorKind.API_REFUSED,
            message,
            may_pass=may_pass,
            retry_after=retry_after,
            status=status,
            request_id=request_id,
        )


def describe(error: BaseException) -> str:
    """Describe an unexpected exception on one line: its type and the beginning of its message."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text[:_DESCRIBED]}" if text else name


class RunError(McprunError):
    """The whole run can't go on. `stderr` is the end of what the server printed, where that tells why."""

    def __init__(self, kind: ErrorKind, message: str, *, stderr: str = "") -> None:
        self.kind = kind
        self.stderr = stderr
        super().__init__(message)
