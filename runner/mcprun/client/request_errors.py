"""Classify why a request to a server has no usable result."""

from __future__ import annotations

import mcp_types
from mcp import MCPError
from pydantic import ValidationError

from mcprun.client.input_required import RoundsError
from mcprun.client.transports.framing import INVALID_ANSWER, MALFORMED_ERROR, error_text
from mcprun.client.transports.http_failure import HttpFailure
from mcprun.errors import ErrorKind, QueryError

TIMEOUT = "timeout"
"""The `problem` of a request or call that was not answered in time."""

_CLOSED = (mcp_types.CONNECTION_CLOSED, "Connection closed")
"""Code and message with which the SDK fails a pending request when its connection is lost.

A server may send the same error itself.
"""


class RequestFailed(Exception):  # noqa: N818  an outcome that the caller reports, not an error of the program
    """A request has no usable result, and the server is still up. `str()` describes the cause.

    Args:
        message: The cause.
        problem: Classifies the failure.
        result_text: The text of the result of a failed tool call; `message` if omitted.
        reply: The JSON-RPC error that the SDK raised, if any.
        error: The text of that error, None unless the server itself sent it.
    """

    def __init__(
        self,
        message: str,
        problem: str,
        result_text: str | None = None,
        *,
        reply: mcp_types.ErrorData | None = None,
        error: str | None = None,
    ) -> None:
        self.problem = problem
        self.result_text = result_text or message
        self.reply = reply
        self.error = error
        super().__init__(message)


class HttpError(Exception):
    """A request was answered over HTTP without a result. `reply` is the JSON-RPC error that the SDK raised for it."""

    def __init__(self, failure: HttpFailure, reply: mcp_types.ErrorData) -> None:
        self.failure = failure
        self.reply = reply
        super().__init__(failure.message())


FAILURES = (TimeoutError, HttpError, MCPError, ValidationError, RoundsError)
"""The exceptions that `request_failure` classifies."""


def request_failure(error: Exception, what: str, limit: str) -> RequestFailed | QueryError:
    """Return the error to raise for one of `FAILURES`.

    It is a `QueryError` (`session_lost`) if the server refused a new session too. `what` names the request, and `limit`
    its time limit, such as `within 2 s`.

    Recorded calls hold the `result_text` verbatim, and replays compare it: rewording one makes old recordings diverge.
    """
    match error:
        case HttpError(failure=failure) if failure.is_lost_session:
            message = f"the server refused {what} in a new session too: {failure.message()}"
            return QueryError(ErrorKind.SESSION_LOST, message)
        case HttpError(failure=failure):
            words = failure.body_text if failure.is_json_rpc else None
            return RequestFailed(failure.message(), failure.problem, reply=error.reply, error=words)
        case MCPError(code=code):
            text = error_text(error.error)
            if code == INVALID_ANSWER:
                return RequestFailed(
                    text, "invalid answer", f"No result of {what}: {error.message}.", reply=error.error
                )
            problem = "json-rpc error" if code == MALFORMED_ERROR else f"json-rpc error {code}"
            return RequestFailed(text, problem, reply=error.error, error=text)
        case ValidationError():
            why = f"server sent an invalid result: {first_problem(error)}"
            return RequestFailed(f"the {why}", "invalid result", f"The {why}.")
        case RoundsError():
            return RequestFailed(str(error), "input required", f"No result of {what}: {error}.")
    return RequestFailed(f"no response to {what} {limit}", TIMEOUT, f"No answer from {what} {limit}.")


def is_closed(error: Exception) -> bool:
    """Return whether an error is the one with which the SDK fails requests when the connection is lost."""
    return isinstance(error, MCPError) and (error.code, error.message) == _CLOSED


def first_problem(error: ValidationError) -> str:
    """Describe the first validation error in a server's message, with the path of the field."""
    detail = error.errors(include_url=False)[0]
    path = ".".join(str(step) for step in detail["loc"])
    return f"{path}: {detail['msg']}" if path else detail["msg"]
