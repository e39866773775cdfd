"""Define the errors of mcprun, and the exit codes of errors and verdicts.

    McprunError
    ├── UsageError           the arguments or an input file are invalid; nothing was run    exit 2
    │   ├── PromptsError     a prompts file with bad lines, all of them listed              exit 2
    │   ├── NotRunError      a folder is not a run of mcprun                                exit 2
    │   ├── NothingToGradeError  a routed run has no query that it can grade                exit 2
    │   └── NoJudgeError     no model is available to grade queries that have a rubric      exit 2
    ├── QueryError           one query could not be completed: verdict `error`, with a kind
    │   └── RequestError     a model request failed; the same one may succeed later
    │       ├── NoConnectionError  it could not be sent
    │       └── DeniedError        the API refused the credentials, or their access (401, 403)
    └── RunError             the run can't continue: one message for the whole run, a kind  exit 3

A failure (a check did not hold) is not an error and never raised: it is a verdict.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


REDACTED = "[redacted]"
"""Replaces a secret in files and messages."""


_MAX_CHARS = 300
"""The maximum characters of an exception's message that are shown."""


class ExitCode(IntEnum):
    """The exit code of the process, for CI."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    ERROR = 3
    INTERRUPTED = 130


class ErrorKind(StrEnum):
    """Why something could not be completed: a closed list shared by files, reports and exit codes."""

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
    SETUP = "setup"
    BUDGET = "budget"
    OUTPUT = "output"
    PROMPTS = "prompts"
    FAULT = "fault"
    CANCELLED = "cancelled"


NOT_STARTED = frozenset({ErrorKind.SERVER_START, ErrorKind.CONNECT_TIMEOUT, ErrorKind.API_REFUSED, ErrorKind.BAD_TOOLS})
"""Kinds of errors that end a run before it has completed a query: nothing to resume, it has to be started anew."""


class McprunError(Exception):
    """The base class of all errors that mcprun raises on purpose. Its `str()` is a message for the user."""


class UsageError(McprunError):
    """The arguments, or a file that they name, are invalid. Nothing was run."""


class PromptsError(UsageError):
    """A prompts file was rejected. `problems` holds one `FILE:LINE: field: what is wrong` per bad line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class NotRunError(UsageError):
    """A folder or a file is not a run: it is something else, as opposed to a run that is damaged."""


class NothingToGradeError(UsageError):
    """A routed run has no query that it can grade."""


class NoJudgeError(UsageError):
    """A model has to grade queries, but there is no API key for it."""


class QueryError(McprunError):
    """One query could not be completed; the run continues with the others."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        self.kind = kind
        super().__init__(message)


class RequestError(QueryError):
    """A model request failed.

    `may_pass` is set if the same request may succeed later. `retry_after` is the delay in seconds that the API asks
    for, `status` the HTTP status and `request_id` the API's id of the request; each is None if absent.
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
    """The API could not be reached: an unknown host name, a refused connection, a bad certificate."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorKind.API_ERROR, message, may_pass=True)


class DeniedError(RequestError):
    """The API refused the credentials (401) or their access to the resource (403), or there are none.

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
    """Describe an unexpected exception on one line: its type and the start of its message."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text[:_MAX_CHARS]}" if text else name


class RunError(McprunError):
    """The whole run can't continue. `stderr` is the end of the server's stderr, if that explains the error."""

    def __init__(self, kind: ErrorKind, message: str, *, stderr: str = "") -> None:
        self.kind = kind
        self.stderr = stderr
        super().__init__(message)
