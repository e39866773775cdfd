"""Parse JSON-RPC messages in HTTP bodies, and build the HTTP responses that the SDK gets instead. No I/O.

Over HTTP, the response to a POST answers the request in it (MCP, "Streamable HTTP"), whatever `id` it has.
"""

from __future__ import annotations

import json

import httpx2
import mcp_types
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from pydantic import ValidationError

from mcprun._util.json_text import levels
from mcprun._util.long_integers import carrier, holds_long_integer
from mcprun._util.nesting import MAX_DEPTH, parsed_leniently
from mcprun._util.surrogates import well_formed, well_formed_bytes
from mcprun.client.transports.framing import INVALID_ANSWER, MALFORMED_ERROR, flaw_of, read_value
from mcprun.client.transports.http_body import RequestId, rpc_error
from mcprun.client.transports.http_failure import HttpFailure

SESSION = "mcp-session-id"
"""The header with the session's id (MCP 2025-11-25, "Session Management")."""

Message = mcp_types.JSONRPCMessage


def read_message(data: bytes, number: RequestId) -> tuple[bytes, Message]:
    """Parse a message that a server sent in response to request `number`. Return its JSON for the SDK, and the message.

    A response without an `id`, or with one of another type, is taken as the response to that request. A malformed
    error keeps all of its members. Invalid UTF-8 and lone surrogates become U+FFFD. Raises `ValueError` if the data is
    not a message, or is the response to another request.
    """
    try:
        message = mcp_types.jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValidationError:
        return _read_leniently(data, number)
    is_error = isinstance(message, mcp_types.JSONRPCError)  # the pydantic model drops unknown members
    if is_error or (isinstance(message, mcp_types.JSONRPCResponse) and message.id != number):
        return _read_leniently(data, number)
    return data, message


def _read_leniently(data: bytes, number: RequestId) -> tuple[bytes, Message]:
    """Parse a message leniently, and correct its `id` and the form of an error."""
    try:
        value = parsed_leniently(well_formed_bytes(data).decode(errors="replace"))
    except ValueError:
        raise ValueError("it is not JSON") from None
    if levels(value) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON-RPC message")
    if "method" not in value:
        response_id = value.get("id")
        if isinstance(response_id, int) and not isinstance(response_id, bool) and response_id != number:
            raise ValueError("it has the id of another request")
        if flaw := flaw_of(value):
            raise ValueError(flaw)
        value["id"] = number
        message = read_value(value)
        if isinstance(message, mcp_types.JSONRPCError):
            value = message.model_dump(by_alias=True)
        elif holds_long_integer(value):
            value["result"] = carrier.put(value["result"])
    elif "id" in value and holds_long_integer(value.get("params")):
        value["params"] = carrier.put(value["params"])
    data = well_formed(json.dumps(value, ensure_ascii=False)).encode()
    try:
        return data, mcp_types.jsonrpc_message_adapter.validate_json(data, by_name=False)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{found['loc'][-1]}: {found['msg']}" if found["loc"] else str(found["msg"])) from None


def read_error(data: bytes, number: RequestId) -> tuple[bytes, mcp_types.ErrorData] | None:
    """Parse the body of an HTTP error as a JSON-RPC error that has a code. Return its JSON for the SDK, and the error.

    None if the body is something else.
    """
    if (error := rpc_error(data)) is None or error.code == MALFORMED_ERROR:
        return None
    try:
        text, message = read_message(data, number)
    except ValueError:
        return None
    return (text, message.error) if isinstance(message, mcp_types.JSONRPCError) else None


def is_prescribed(status: int, code: int) -> bool:
    """Return whether the protocol prescribes this HTTP status for a JSON-RPC error code (MCP 2026-07-28)."""
    return ERROR_CODE_HTTP_STATUS.get(code) == status


def failed(request: httpx2.Request, number: RequestId, failure: HttpFailure) -> httpx2.Response:
    """Build the response that reports a failure to the SDK: a JSON-RPC error with the failure's message."""
    has_session = SESSION in request.headers
    if failure.status == httpx2.codes.NOT_FOUND and not has_session:
        code = mcp_types.METHOD_NOT_FOUND  # the SDK reads a bare 404 during negotiation the same way
    else:
        code = INVALID_ANSWER if failure.flaw else mcp_types.INTERNAL_ERROR
    return replied(request, error_json(number, code, failure.message()))


def error_json(number: RequestId, code: int, message: str) -> bytes:
    """Serialize a JSON-RPC error."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}).encode()


def replied(request: httpx2.Request, data: bytes, headers: httpx2.Headers | None = None) -> httpx2.Response:
    """Build a response with a JSON-RPC message, and with the session's id from the server's `headers`."""
    session_header = {name: headers[name] for name in (SESSION,) if headers and name in headers}
    return httpx2.Response(
        200, headers={**session_header, "content-type": "application/json"}, content=data, request=request
    )
