"""Parse the result of each request in a Message Batch: a reply, an error, or nothing. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anthropic
import httpx2

from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import as_text, loads
from mcprun.errors import DeniedError, ErrorKind, RequestError
from mcprun.models.api_errors import translate_api_errors
from mcprun.models.base import ModelReply
from mcprun.models.message_batches.queue import QueuedRequest
from mcprun.models.messages_api import read_reply

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The API's HTTP status for each type of error; other types are failures of the API itself (500)."""


def result_of(line: bytes) -> tuple[str, JsonObject]:
    """Parse a line of a batch's results into `custom_id` and `result`. Raises `ValueError` if it is malformed."""
    found = as_text(loads(line))
    match found:
        case {"custom_id": str(custom_id), "result": dict(result)}:
            return custom_id, result
    raise ValueError("a line is not a result")


def reply_from_result(
    result: JsonObject, batch: str, custom_id: str, one: QueuedRequest, model: str
) -> ModelReply | None:
    """Return the reply in a result.

    None if the batch ended before the request was processed (`canceled`, `expired`). An error is raised as for a single
    request, with the API's HTTP status for it. `model` is the run's model.
    """
    match result:
        case {"type": "succeeded", "message": message}:
            return replace(read_reply(message, custom_id), batch=batch)
        case {"type": "canceled" | "expired"}:
            return None
        case {"type": "errored", "error": {"error": {"type": str(kind)}} as body}:
            try:
                with translate_api_errors(
                    one.requested_model, one.requested_model or model, 0.0, has_marks=one.has_marks
                ):
                    raise _status_error(kind, body)
            except DeniedError as error:
                error.is_accepted = True
                raise
    raise RequestError(ErrorKind.API_ERROR, f"malformed result in batch {batch}", may_pass=True)


def _status_error(kind: str, body: Any) -> anthropic.APIStatusError:
    status = _STATUS.get(kind, 500)
    headers = {"request-id": body["request_id"]} if isinstance(body.get("request_id"), str) else {}
    response = httpx2.Response(status, headers=headers, request=httpx2.Request("POST", "/v1/messages"))
    return anthropic.APIStatusError(str(body["error"].get("message")), response=response, body=body)
