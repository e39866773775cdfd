"""Resolve calls for which a server requires input first (MCP 2026-07-28, "Multi Round-Trip Requests").

This does on the session what the SDK's `Client.call_tool` does: the input requests go to the same callbacks as the
requests of older protocols, and the call is sent again with the responses and the server's state until it has a result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mcp import ClientSession
from mcp.client.session import ClientRequestContext
from mcp_types import ErrorData, InputRequiredResult, InputResponses

from mcprun._util.json_value import JsonObject
from mcprun.limits import MAX_ROUNDS
from mcprun.tools.results import unsendable

_FIRST_SECONDS, _MAX_SECONDS = 0.05, 0.25
"""Wait before a call is sent again if the server requests no input, doubled each time like in the SDK's client."""

Resend = Callable[[InputResponses | None, str | None], Awaitable[JsonObject]]
"""Sends the call again with the input responses and the server's state, and returns the result in wire form."""


class RoundsError(Exception):
    """A call has no result: an input request was refused, its response can't be sent, or there were too many rounds."""


def asks_for_input(result: JsonObject) -> bool:
    """Return whether a result requires input before the call can complete."""
    return result.get("resultType") == "input_required"


async def resolve_input_required(session: ClientSession, result: JsonObject, resend: Resend) -> JsonObject:
    """Answer a server's input requests, one after the other, until the call has its result. Return that result.

    Raises `RoundsError`, `pydantic.ValidationError` for input requests that are invalid, and what `resend` raises.
    """
    wait = _FIRST_SECONDS
    for _ in range(MAX_ROUNDS):
        if not asks_for_input(result):
            return result
        required = InputRequiredResult.model_validate(result, by_name=False)
        if required.input_requests:
            wait = _FIRST_SECONDS
            responses = await _answer_requests(session, required)
        else:
            await asyncio.sleep(wait)
            wait, responses = min(2 * wait, _MAX_SECONDS), None
        result = await resend(responses, required.request_state)
    if asks_for_input(result):
        raise RoundsError(f"the server has asked for input {MAX_ROUNDS} times, and asks again")
    return result


async def _answer_requests(session: ClientSession, requested: InputRequiredResult) -> InputResponses:
    responses: InputResponses = {}
    for name, request in (requested.input_requests or {}).items():
        context = ClientRequestContext(session=session, request_id=name)
        response = await session.dispatch_input_request(context, request)
        if isinstance(response, ErrorData):
            raise RoundsError(f"the server asked for input ({request.method}), and {response.message}")
        if problem := unsendable(response.model_dump(by_alias=True)):
            raise RoundsError(f"the server asked for input ({request.method}), and the answer can't be sent: {problem}")
        responses[name] = response
    return responses
